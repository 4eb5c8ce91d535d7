"""Any BIDS tree of T1-weighted scans whose derivatives hold label volumes."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from medadv_jax.data import scans
from medadv_jax.data.bids_labels import numbering_of
from medadv_jax.data.table import Row, Table, need, read_csv

HOMEPAGE = (
    "the data set's own page; a BIDS folder with labels has sub-*/anat/*_T1w.nii.gz and "
    "derivatives/*/sub-*/anat/*_dseg.nii.gz (https://bids-specification.readthedocs.io)"
)
OWN_SPACES = ("", "T1w", "orig", "individual")
"""Entity `space` of labels that lie on the scan's own grid; those in a template's are others."""
OF_LABELS = {"desc", "space", "res", "den", "label"}
"""Entities that labels have besides those of their image."""
FIELDS: Mapping[str, Any] = {"session": str, "age": np.float32, "sex": str}


def table(
    data_dir: pathlib.Path,
    *,
    plane: str = "coronal",
    spacing: float | int | None = None,
    pipeline: str | None = None,
    desc: str | None = None,
    labels: str | None = None,
    fractions: tuple[float, float, float] = scans.FRACTIONS,
    seed: int = 0,
) -> Table:
    """Reads a BIDS data set: each `*_T1w` image with the `*_dseg` labels of a derivative.

    Images are `sub-*/[ses-*/]anat/*_T1w.nii[.gz]`, labels
    `derivatives/<pipeline>/sub-*/[ses-*/]anat/*_dseg.nii[.gz]`; they belong together if the
    entities of their names (`sub`, `ses`, `acq`, `run`, ...) are equal but for those in OF_LABELS.
    An image without such labels may have ones with further entities (`atlas`, ...), if these stand
    in no image's name. Labels in a template's `space` are passed over. What an id means is said by
    the option `labels` or by the label table, see `bids_labels.numbering_of`. `participants.tsv`,
    where there is one, gives `age` (89+ is 89) and `sex`; what it lacks, or has as n/a, is NaN or
    "". All sessions of a subject are in one split.

    Args:
      data_dir: The data set.
      plane: "coronal", "axial", "sagittal" or "volume".
      spacing: Isotropic spacing in mm; `None` for each scan's own.
      pipeline: Folder of the derivative; needed if several have labels.
      desc: Entity `desc` of the labels; needed if several occur.
      labels: A name of `structures.NUMBERINGS`.
      fractions: Shares of the subjects for training, validation and test.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A subject lacks an image or labels.
      ValueError: A file breaks a rule, or it is not clear which labels are meant.

    Source: K. Gorgolewski et al., The brain imaging data structure, Scientific Data 2016.
    """
    folder = _pipeline(need(data_dir, HOMEPAGE), pipeline)
    images, label_files = _files(data_dir, "T1w"), _files(folder, "dseg")
    label_files = [path for path in label_files if _entities(path).get("space", "") in OWN_SPACES]
    desc = _desc(folder, label_files, desc)
    label_files = [path for path in label_files if _entities(path).get("desc", "") == desc]
    numbering, tables = numbering_of(data_dir, folder, desc, labels)
    people, rows = _participants(data_dir)
    found = []
    for image, label in _pairs(data_dir, folder, images, label_files):
        entities = _entities(image)
        subject = f"sub-{entities['sub']}"
        fields = {"session": entities.get("ses", ""), **_known(rows.get(subject))}
        name = image.name.split("_T1w.nii")[0]
        found.append(scans.Scan(name, subject, image, label, fields))
    count = len({scan.subject for scan in found})
    return scans.table(
        "bids",
        found,
        scans.divided(found, data_dir, fractions, seed),
        numbering=numbering,
        plane=plane,
        spacing=spacing,
        fields=FIELDS,
        description=f"{len(found)} T1-weighted scans of {count} subjects from the BIDS folder "
        f"{data_dir.name}, 27 structures labelled by {folder.name}, divided by subject.",
        homepage=HOMEPAGE,
        files=[*tables, *people],
    )


def _entities(path: pathlib.Path) -> dict[str, str]:
    """Returns the entities of a file name.

    >>> _entities(pathlib.Path("sub-01_ses-2_desc-aseg_dseg.nii.gz"))
    {'sub': '01', 'ses': '2', 'desc': 'aseg'}
    """
    pairs = (part.partition("-") for part in path.name.split(".")[0].split("_"))
    return {key: value for key, dash, value in pairs if dash}


def _files(folder: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Returns the volumes of a suffix below a folder's subjects."""
    return sorted(
        path
        for middle in ("", "ses-*/")
        for ending in (".nii", ".nii.gz")
        for path in folder.glob(f"sub-*/{middle}anat/sub-*_{suffix}{ending}")
    )


def _pipeline(data_dir: pathlib.Path, pipeline: str | None) -> pathlib.Path:
    """Returns the folder of the derivative with labels."""
    derivatives = need(data_dir / "derivatives", HOMEPAGE)
    if pipeline is not None:
        return need(derivatives / pipeline, HOMEPAGE)
    folders = [path for path in sorted(derivatives.iterdir()) if _files(path, "dseg")]
    if len(folders) != 1:
        names = [path.name for path in folders]
        raise ValueError(
            f"{derivatives} has *_dseg.nii.gz files in {len(folders)} folders {names}; give "
            "pipeline=, the folder of the one that is meant."
        )
    return folders[0]


def _desc(folder: pathlib.Path, files: list[pathlib.Path], desc: str | None) -> str:
    """Returns the entity `desc` of the labels that are meant, "" for none."""
    present = sorted({_entities(path).get("desc", "") for path in files})
    if desc is None and len(present) == 1:
        return present[0]
    if desc is None or desc not in present:
        raise ValueError(
            f"{folder} has *_dseg files on the scans' own grid with desc {present}; desc= names "
            f"one of them, got {desc!r}."
        )
    return desc


def _pairs(
    data_dir: pathlib.Path,
    folder: pathlib.Path,
    images: list[pathlib.Path],
    labels: list[pathlib.Path],
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Returns each image with its labels; every subject and every label file has one."""
    people = sorted(path.name for path in data_dir.glob("sub-*") if path.is_dir())
    for person in people:
        if not any(image.name.startswith(f"{person}_") for image in images):
            raise FileNotFoundError(f"{data_dir / person} has no anat/*_T1w.nii.gz.")
    left, pairs = set(labels), []
    named = {path: _entities(path).items() for path in (*images, *labels)}
    told = {key for image in images for key, _ in named[image]}
    for image in images:
        # Labels of at least the image's entities, and which entities they have besides.
        further = {
            path: {key for key, _ in named[path] - named[image]}
            for path in labels
            if named[image] <= named[path]
        }
        own = [path for path, keys in further.items() if keys <= OF_LABELS]
        own = own or [path for path, keys in further.items() if not keys & told]
        if not own:
            raise FileNotFoundError(f"{image} has no labels *_dseg.nii.gz in {folder}.")
        if len(own) > 1:
            raise ValueError(f"{image} has several labels: {', '.join(map(str, own))}.")
        pairs.append((image, own[0]))
        left.discard(own[0])
    if left:
        raise FileNotFoundError(f"{min(left)} has no image *_T1w.nii.gz in {data_dir}.")
    return pairs


def _participants(data_dir: pathlib.Path) -> tuple[list[pathlib.Path], dict[str, Row]]:
    """Returns the table of the subjects as a list of at most one file, and its rows by subject."""
    path = data_dir / "participants.tsv"
    if not path.exists():
        return [], {}
    rows = read_csv(
        path, ("participant_id",), key="participant_id", homepage=HOMEPAGE, delimiter="\t"
    )
    return [path], {row["participant_id"]: row for row in rows}


def _known(row: Row | None) -> dict[str, Any]:
    """Returns age and sex of a subject; an age such as 89+, so published for privacy, is 89."""
    if row is None:
        return dict(age=float("nan"), sex="")
    told = {key: row.values.get(key, "n/a").strip() for key in ("age", "sex")}
    told = {key: "" if value == "n/a" else value for key, value in told.items()}
    told["age"] = told["age"].removesuffix("+")
    return dict(age=Row(row.file, row.line, told).number("age"), sex=told["sex"])
