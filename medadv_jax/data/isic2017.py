"""ISIC 2017, task 3: dermoscopic images of melanoma, seborrheic keratosis and nevus."""

import pathlib

from medadv_jax.data.table import Table, arrange, index_images, need, read_csv, stamp

HOMEPAGE = "https://challenge.isic-archive.com/data/#2017"
CLASS_NAMES = ("melanoma", "seborrheic_keratosis", "nevus")
OFFICIAL = {"train": "Training", "validation": "Validation", "test": "Test_v2"}
"""The part of the published names that stands for a split."""


def table(data_dir: pathlib.Path) -> Table:
    """Reads ISIC 2017 in its published layout and its official splits.

    For each of `Training`, `Validation` and `Test_v2`, `data_dir` holds a folder
    `ISIC-2017_Training_Data` of JPEG images and a file `ISIC-2017_Training_Part3_GroundTruth.csv`
    with the columns `image_id`, `melanoma` and `seborrheic_keratosis`; where both are 0 the
    diagnosis is nevus. The superpixels, PNG files in the same folder, are passed over. The data set
    does not say which images show the same lesion.

    Args:
      data_dir: The folder of the data set.

    Raises:
      FileNotFoundError: A file or a folder is missing.
      ValueError: The table breaks a rule; the message names file, line and rule.

    Source: N. Codella et al., Skin lesion analysis toward melanoma detection, arXiv:1710.05006.
    """
    records, splits, files = [], [], []
    for split, part in OFFICIAL.items():
        path = data_dir / f"ISIC-2017_{part}_Part3_GroundTruth.csv"
        rows = read_csv(path, ("image_id", *CLASS_NAMES[:2]), key="image_id", homepage=HOMEPAGE)
        images = index_images(
            [need(data_dir / f"ISIC-2017_{part}_Data", HOMEPAGE)], endings=(".jpg", ".jpeg")
        )
        for row in rows:
            diagnosis = row.one_hot(CLASS_NAMES[:2])
            fields = dict(
                image=row.image(row["image_id"], images, HOMEPAGE),
                label=CLASS_NAMES.index("nevus") if diagnosis is None else diagnosis,
                image_id=row["image_id"],
            )
            records.append((row["image_id"], fields))
            splits.append(split)
        files += [path, *(images[row["image_id"]] for row in rows)]

    return Table(
        name="isic2017",
        class_names=CLASS_NAMES,
        group="image_id",
        description=f"ISIC 2017, task 3: {len(records)} real dermoscopic images in "
        f"{len(CLASS_NAMES)} diagnoses, official splits.",
        homepage=HOMEPAGE,
        fields=dict(image_id=str),
        splits=arrange(records, splits, CLASS_NAMES, str(data_dir)),
        fingerprint=stamp(files),
    )
