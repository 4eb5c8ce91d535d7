"""MICCAI 2012 multi-atlas labelling challenge: 35 OASIS brains labelled by hand."""

import pathlib
import re

import numpy as np

from medadv_jax.data import scans, structures
from medadv_jax.data.table import Table, need

HOMEPAGE = "http://www.neuromorphometrics.com/2012_MICCAI_Challenge_Data.html"
IMAGE = re.compile(r"((\d+)_\d+)\.nii(\.gz)?")
"""Name of an image: the number of a subject, of a session, and the ending."""


def table(
    data_dir: pathlib.Path,
    *,
    plane: str = "coronal",
    spacing: float | int | None = None,
    validation: int = 3,
    seed: int = 0,
) -> Table:
    """Reads the challenge's data in their published layout and official division.

    `data_dir` holds the folders `training-images`, `training-labels`, `testing-images` and
    `testing-labels`; the labels of `1000_3.nii.gz` are `1000_3_glm.nii.gz`, in the numbering of
    Neuromorphometrics. Files of other names are passed over. Some subjects of the training part are
    taken for validation. Scans whose first number is the same are of one subject and stay together.

    Not verified, since the data are under an agreement: the names in the training part are those
    in public programs that read it, the two testing folders are taken to be named alike. Some
    subjects are said to have been scanned twice; where a second scan bears another first number,
    nothing in the files says so, and both count as subjects of their own.

    Args:
      data_dir: The folder of the data set.
      plane: "coronal", "axial", "sagittal" or "volume".
      spacing: Isotropic spacing in mm; `None` for each scan's own.
      validation: How many training subjects validate.
      seed: Seed of their choice.

    Raises:
      FileNotFoundError: A folder or a file is missing.
      ValueError: A file breaks a rule, a subject is in the training and in the testing part, or
        no training subject would remain.

    Source: B. Landman, S. Warfield, MICCAI 2012 workshop on multi-atlas labeling.
    """
    training, testing = _scans(data_dir, "training"), _scans(data_dir, "testing")
    subjects = sorted({scan.subject for scan in training})
    if not 1 <= validation < len(subjects):
        raise ValueError(
            f"{data_dir}: validation is from 1 to {len(subjects) - 1}, as there are "
            f"{len(subjects)} training subjects; got {validation}."
        )
    held = set(np.random.default_rng(seed).permutation(subjects)[:validation])
    splits = ["validation" if scan.subject in held else "train" for scan in training]
    every = [*training, *testing]
    return scans.table(
        "malc",
        every,
        [*splits, *["test"] * len(testing)],
        numbering=structures.NEUROMORPHOMETRICS,
        plane=plane,
        spacing=spacing,
        fields={},
        description=f"MICCAI 2012 multi-atlas challenge: {len(every)} T1-weighted brains (OASIS), "
        "27 structures labelled by hand, official division.",
        homepage=HOMEPAGE,
    )


def _scans(data_dir: pathlib.Path, part: str) -> list[scans.Scan]:
    """Returns the scans of the training or of the testing part."""
    images = need(data_dir / f"{part}-images", HOMEPAGE)
    labels = need(data_dir / f"{part}-labels", HOMEPAGE)
    found = []
    for path in sorted(images.iterdir()):
        if not (match := IMAGE.fullmatch(path.name)):
            continue
        name, subject = match[1], match[2]
        found.append(scans.Scan(name, subject, path, _label(labels, name), {}))
    names = {scan.name for scan in found}
    for path in sorted(labels.glob("*_glm.nii*")):
        if path.name.split("_glm.nii")[0] not in names:
            raise FileNotFoundError(f"{path} has no image in {images}. See {HOMEPAGE}.")
    if not found:
        raise ValueError(f"{images} holds no image named like 1000_3.nii.gz.")
    return found


def _label(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the label file of a scan."""
    plain = folder / f"{name}_glm.nii"
    return plain if plain.exists() else need(folder / f"{name}_glm.nii.gz", HOMEPAGE)
