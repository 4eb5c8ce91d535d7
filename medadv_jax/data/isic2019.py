"""ISIC 2019: 25,331 dermoscopic images of skin lesions in eight diagnoses."""

import pathlib

import numpy as np

from medadv_jax.data.table import Table, divide, index_images, need, read_csv, stamp

HOMEPAGE = "https://challenge.isic-archive.com/data/#2019"
CLASS_NAMES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
UNKNOWN = "UNK"
METADATA = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")


def table(data_dir: pathlib.Path, *, seed: int = 0) -> Table:
    """Reads the training part of ISIC 2019 in its published layout.

    `data_dir` holds the folder `ISIC_2019_Training_Input` of JPEG images,
    `ISIC_2019_Training_GroundTruth.csv` with a column of zeros and ones for each diagnosis, and
    `ISIC_2019_Training_Metadata.csv`. The challenge's test diagnoses have no lesion numbers, so the
    training part is divided: 70 % of the images train, 10 % validate, 20 % test, stratified by
    diagnosis and divided by lesion. An image whose `lesion_id` is empty counts as a lesion of its
    own. No image of the published training part is `UNK`, and one that were is refused.

    The data set contains HAM10000: do not train on one and test on the other.

    Args:
      data_dir: The folder of the data set.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A file or a folder is missing.
      ValueError: A table breaks a rule; the message names file, line and rule.

    Source: M. Combalia et al., BCN20000: dermoscopic lesions in the wild, arXiv:1908.02288.
    """
    truth = data_dir / "ISIC_2019_Training_GroundTruth.csv"
    metadata = data_dir / "ISIC_2019_Training_Metadata.csv"
    rows = read_csv(truth, ("image", *CLASS_NAMES, UNKNOWN), key="image", homepage=HOMEPAGE)
    known = {
        row["image"]: row for row in read_csv(metadata, METADATA, key="image", homepage=HOMEPAGE)
    }
    images = index_images([need(data_dir / "ISIC_2019_Training_Input", HOMEPAGE)])

    records = []
    for row in rows:
        name, label = row["image"], row.one_hot((*CLASS_NAMES, UNKNOWN))
        if label is None or label == len(CLASS_NAMES):
            raise row.error(f"no diagnosis of {', '.join(CLASS_NAMES)} is 1.")
        if name not in known:
            raise row.error(f"{name} has no line in {metadata}.")
        about = known[name]
        fields = dict(
            image=row.image(name, images, HOMEPAGE),
            label=label,
            image_id=name,
            lesion_id=about["lesion_id"] or name,
            age=about.number("age_approx"),
            sex=about["sex"],
            site=about["anatom_site_general"],
        )
        records.append((name, fields))

    return Table(
        name="isic2019",
        class_names=CLASS_NAMES,
        group="lesion_id",
        description=f"ISIC 2019: {len(rows)} real dermoscopic images in {len(CLASS_NAMES)} "
        "diagnoses, divided by lesion.",
        homepage=HOMEPAGE,
        fields=dict(image_id=str, lesion_id=str, age=np.float32, sex=str, site=str),
        splits=divide(records, CLASS_NAMES, str(truth), group="lesion_id", seed=seed),
        fingerprint=stamp([truth, metadata, *(fields["image"] for _, fields in records)]),
    )
