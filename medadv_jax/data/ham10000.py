"""HAM10000: 10,015 dermoscopic images of pigmented skin lesions in seven diagnoses."""

import pathlib

import numpy as np

from medadv_jax.data.table import Table, divide, index_images, need, read_csv, stamp

HOMEPAGE = "https://doi.org/10.7910/DVN/DBW86T"
CLASS_NAMES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
IMAGE_FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_images")


def table(data_dir: pathlib.Path, *, seed: int = 0) -> Table:
    """Reads HAM10000 in its published layout.

    `data_dir` holds `HAM10000_metadata.csv` and the folders `HAM10000_images_part_1` and
    `HAM10000_images_part_2`, or one folder `HAM10000_images`. There are no official splits: 70 %
    of the images train, 10 % validate, 20 % test, stratified by diagnosis and divided by lesion
    (7,470 lesions; in the published table no lesion has two diagnoses). `age` is NaN in the 57
    images where it is not known; `site` is the column `localization`. An image without a
    `lesion_id` counts as a lesion of its own.

    Args:
      data_dir: The folder of the data set.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A file or a folder is missing.
      ValueError: The table breaks a rule; the message names file, line and rule.

    Source: P. Tschandl, C. Rosendahl, H. Kittler, The HAM10000 dataset, Scientific Data 5, 2018.
    """
    path = data_dir / "HAM10000_metadata.csv"
    rows = read_csv(path, COLUMNS, key="image_id", homepage=HOMEPAGE)
    folders = [data_dir / folder for folder in IMAGE_FOLDERS if (data_dir / folder).is_dir()]
    images = index_images(folders or [need(data_dir / IMAGE_FOLDERS[0], HOMEPAGE)])

    records = []
    for row in rows:
        fields = dict(
            image=row.image(row["image_id"], images, HOMEPAGE),
            label=row.choice("dx", CLASS_NAMES),
            image_id=row["image_id"],
            lesion_id=row["lesion_id"] or row["image_id"],
            dx_type=row["dx_type"],
            age=row.number("age"),
            sex=row["sex"],
            site=row["localization"],
        )
        records.append((row["image_id"], fields))
    return Table(
        name="ham10000",
        class_names=CLASS_NAMES,
        group="lesion_id",
        description=f"HAM10000: {len(rows)} real dermoscopic images in {len(CLASS_NAMES)} "
        "diagnoses, divided by lesion.",
        homepage=HOMEPAGE,
        fields=dict(image_id=str, lesion_id=str, dx_type=str, age=np.float32, sex=str, site=str),
        splits=divide(records, CLASS_NAMES, str(path), group="lesion_id", seed=seed),
        fingerprint=stamp([path, *(fields["image"] for _, fields in records)]),
    )
