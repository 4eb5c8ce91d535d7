"""Brains that FreeSurfer has segmented: a subjects directory of `recon-all`."""

import pathlib
import re

from medadv_jax.data import scans, structures
from medadv_jax.data.table import Table, need

HOMEPAGE = "https://surfer.nmr.mgh.harvard.edu (run `recon-all -all`)"
IMAGES = ("T1", "norm", "orig")
LABELS = {"aseg": structures.FREESURFER, "aparc+aseg": structures.DESIKAN_KILLIANY}
"""Name of a label file to its numbering."""
AVERAGES = ("fsaverage", "lh.EC_average", "rh.EC_average")
"""Beginnings of folders that FreeSurfer puts there and that are no subject."""


def table(
    data_dir: pathlib.Path,
    *,
    plane: str = "coronal",
    spacing: float | int | None = None,
    image: str = "T1",
    labels: str = "aseg",
    horns: bool = False,
    fractions: tuple[float, float, float] = scans.FRACTIONS,
    seed: int = 0,
) -> Table:
    """Reads a subjects directory: `<subject>/mri/T1.mgz` and `<subject>/mri/aseg.mgz`.

    Each folder is a scan but FreeSurfer's averages and hidden ones. Of one subject are, in the
    longitudinal stream, `<scan>`, `<scan>.long.<base>` and `<base>`, and `sub-01_ses-1` and
    `sub-01_ses-2`. The labels are FreeSurfer's own, not those of a human rater.

    Args:
      data_dir: The subjects directory.
      plane: "coronal", "axial", "sagittal" or "volume".
      spacing: Isotropic spacing in mm; `None` for each scan's own, which is 1 mm.
      image: "T1" (whole head, bias field removed), "norm" (brain only) or "orig" (as it came).
      labels: "aseg", or "aparc+aseg", whose cortex is the one between the surfaces.
      horns: Whether the inferior horns are lateral ventricle, as in MUSE; else background.
      fractions: Shares of the subjects for training, validation and test.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A subject lacks a file.
      ValueError: A file or an option breaks a rule, or there are fewer than three subjects.

    Source: B. Fischl, FreeSurfer, NeuroImage 2012.
    """
    if image not in IMAGES or labels not in LABELS:
        raise ValueError(
            f"image is one of {', '.join(IMAGES)} and labels one of {', '.join(LABELS)}; got "
            f"{image!r} and {labels!r}."
        )
    names = sorted(
        path.name
        for path in need(data_dir, HOMEPAGE).iterdir()
        if path.is_dir() and not path.name.startswith((".", *AVERAGES))
    )
    subject_of = _subjects(names)
    found = []
    for name in names:
        files = [
            need(data_dir / name / "mri" / f"{file}.mgz", HOMEPAGE) for file in (image, labels)
        ]
        found.append(scans.Scan(name, subject_of[name], files[0], files[1], {}))
    numbering = LABELS[labels]
    return scans.table(
        "freesurfer",
        found,
        scans.divided(found, data_dir, fractions, seed),
        numbering=structures.with_horns(numbering) if horns else numbering,
        plane=plane,
        spacing=spacing,
        fields={},
        description=f"{len(found)} T1-weighted brains from the folder {data_dir.name}, 27 "
        f"structures labelled by FreeSurfer ({labels}), divided by subject.",
        homepage=HOMEPAGE,
    )


def _subjects(names: list[str]) -> dict[str, str]:
    """Returns the subject of each folder.

    >>> _subjects(["a", "a.long.b", "b", "c", "sub-01_ses-1"])
    {'a': 'b', 'a.long.b': 'b', 'b': 'b', 'c': 'c', 'sub-01_ses-1': 'sub-01'}
    """
    subject_of = {name: re.sub(r"^(sub-[^_]+)_.*$", r"\1", name) for name in names}
    for name in names:
        scan, long, base = name.partition(".long.")
        if long:
            subject_of.update(dict.fromkeys({scan, name, base} & set(names), base))
    return subject_of
