"""Dermofit: 1,300 clinical photographs of skin lesions in ten diagnoses, under a paid licence."""

import pathlib
import re

from medadv_jax.data.table import IMAGE_ENDINGS, Table, divide, need, stamp

HOMEPAGE = "https://licensing.edinburgh-innovations.ed.ac.uk/product/dermofit-image-library"
CLASSES = {
    "AK": "Actinic Keratosis",
    "BCC": "Basal Cell Carcinoma",
    "ML": "Melanocytic Nevus",
    "SK": "Seborrhoeic Keratosis",
    "SCC": "Squamous Cell Carcinoma",
    "IEC": "Intraepithelial Carcinoma",
    "PYO": "Pyogenic Granuloma",
    "VASC": "Haemangioma",
    "DF": "Dermatofibroma",
    "MEL": "Malignant Melanoma",
}
"""The library's code of each diagnosis, and its name. `ML` is the mole, `MEL` the melanoma."""


def table(data_dir: pathlib.Path, *, seed: int = 0) -> Table:
    """Reads the Dermofit image library, one folder a diagnosis.

    Assumed, since the library is under a licence and its layout is not published: `data_dir` holds
    ten folders, each named by the code or by the name of a diagnosis (of the name only the letters
    count, in any case: "Actinic Keratosis", "actinic_keratosis"). An image lies anywhere below the
    folder of its diagnosis, usually as `A1/A1.png`; files that end in `mask.png` are segmentations
    and passed over. Photographs of one lesion differ in a small letter at the end of their name:
    `A10a`, `A10b`. 70 % of the images train, 10 % validate, 20 % test, stratified by diagnosis and
    divided by lesion.

    Args:
      data_dir: The folder of the data set.
      seed: Seed of the division.

    Raises:
      FileNotFoundError: A diagnosis has no folder.
      ValueError: A folder is no diagnosis, or holds no image, or two images have the same name.

    Source: L. Ballerini et al., A color and texture based hierarchical K-NN approach to the
    classification of non-melanoma skin lesions, 2013.
    """
    class_names = tuple(CLASSES.values())
    records, first = [], {}
    for label, folder in enumerate(_folders(data_dir)):
        paths = sorted(path for path in folder.rglob("*") if _is_photograph(path))
        if not paths:
            raise ValueError(f"{folder} holds no image of {class_names[label]}.")
        for path in paths:
            if path.stem in first:
                raise ValueError(f"{path} and {first[path.stem]} are the same image twice.")
            first[path.stem] = path
            lesion = re.sub("(?<=[0-9])[a-z]$", "", path.stem)
            fields = dict(image=path, label=label, image_id=path.stem, lesion_id=lesion)
            records.append((path.stem, fields))

    return Table(
        name="dermofit",
        class_names=class_names,
        group="lesion_id",
        description=f"Dermofit: {len(records)} real clinical photographs in {len(class_names)} "
        "diagnoses, divided by lesion.",
        homepage=HOMEPAGE,
        fields=dict(image_id=str, lesion_id=str),
        splits=divide(records, class_names, str(data_dir), group="lesion_id", seed=seed),
        fingerprint=stamp(fields["image"] for _, fields in records),
    )


def _letters(text: str) -> str:
    """Returns the letters of a text, small."""
    return re.sub("[^a-z]", "", text.lower())


def _folders(data_dir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folder of each diagnosis, in the order of CLASSES."""
    codes = {_letters(name): code for code, name in CLASSES.items()}
    codes.update({_letters(code): code for code in CLASSES})
    found: dict[str, pathlib.Path] = {}
    for path in sorted(need(data_dir, HOMEPAGE).iterdir()):
        if not path.is_dir() or path.name.startswith((".", "__")):
            continue
        code = codes.get(_letters(path.name))
        if code is None:
            raise ValueError(f"{path} is no diagnosis; there are {CLASSES}.")
        if code in found:
            raise ValueError(f"{path} and {found[code]} are both {CLASSES[code]}.")
        found[code] = path
    if missing := [code for code in CLASSES if code not in found]:
        raise FileNotFoundError(
            f"{data_dir} has no folder of {missing[0]} ({CLASSES[missing[0]]}). Get the data from "
            f"{HOMEPAGE}."
        )
    return [found[code] for code in CLASSES]


def _is_photograph(path: pathlib.Path) -> bool:
    """Tells images from their segmentations and from everything else."""
    hidden = path.name.startswith(".")
    return path.suffix.lower() in IMAGE_ENDINGS and not path.stem.endswith("mask") and not hidden
