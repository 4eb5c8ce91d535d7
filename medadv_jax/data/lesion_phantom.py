"""Lesion phantoms: a seeded generator of synthetic images that resemble dermoscopy.

The data set that needs no download. Seven classes with the names of HAM10000; a class decides how
probable an attribute is, never the picture itself. Fit to try methods and to test code; a score on
it says nothing about skin.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from medadv_jax.data.lesion_attributes import (
    CLASS_NAMES as CLASS_NAMES,
    Lesion,
    View,
    draw_lesion,
    draw_view,
    generator,
)
from medadv_jax.data.lesion_drawing import check_size, draw

DESCRIPTION = (
    "Lesion phantoms: synthetic images drawn by a seeded generator to resemble dermoscopy of seven "
    "kinds of skin lesion; no patient, no photograph."
)
COUNTS = {"train": 2800, "validation": 420, "test": 700}
"""Number of images of each split by default."""
FEATURES: Mapping[str, Any] = {
    "image_id": str,
    "lesion_id": str,
    "age": np.int32,
    "sex": str,
    "site": str,
    "skin_tone": np.int32,
    "asymmetry": np.float32,
    "border_irregularity": np.float32,
    "border_sharpness": np.float32,
    "diameter": np.float32,
    "number_of_colours": np.int32,
    "colours": str,
    "pigment_network": str,
    "globules": str,
    "streaks": str,
    "vessels": str,
    "blue_white_veil": np.bool_,
    "ovoid_nests": np.bool_,
    "scale": np.bool_,
    "milia_cysts": np.bool_,
    "white_patch": np.bool_,
    "hair": np.int32,
    "ruler_marks": np.bool_,
    "vignette": np.bool_,
}
"""Type of each metadata field of a record; a record has `image` and `label` besides."""

# Of 50 images in a row: akiec 5, bcc 6, bkl 8, df 4, mel 8, nv 15, vasc 4.
BLOCK = np.repeat(np.arange(7), (5, 6, 8, 4, 8, 15, 4))
SEEN_TWICE = 0.5
"""Probability that two neighbouring images show one lesion: 1.33 images each, as in HAM10000."""
LESION, VIEW, CLASSES, PAIRS = range(4)


def describe(split: str, number: int, *, seed: int = 0) -> tuple[Lesion, View]:
    """Returns what image `number` of a split shows and how it is taken, without drawing it.

    Raises:
      ValueError: for an unknown split, or a negative number or seed.
    """
    if split not in COUNTS:
        raise ValueError(f"The splits of lesion_phantom are {', '.join(COUNTS)}, got {split!r}.")
    if number < 0 or seed < 0:
        raise ValueError(f"number and seed are at least 0, got {number} and {seed}.")
    root = (seed, list(COUNTS).index(split))
    # The even image of a pair may lend its lesion to the odd one.
    first = number - number % 2
    twice = generator((*root, PAIRS, first)).random() < SEEN_TWICE
    lesion = first if twice else number
    block, slot = divmod(lesion, len(BLOCK))
    label = generator((*root, CLASSES, block)).permutation(BLOCK)[slot]
    return draw_lesion((*root, LESION, lesion), int(label)), draw_view((*root, VIEW, number))


def record(split: str, number: int, *, size: int = 96, seed: int = 0) -> dict[str, Any]:
    """Returns one record, a pure function of its arguments.

    Args:
      split: "train", "validation" or "test".
      number: Which image of the split, from 0; there is no last one.
      size: Width and height in pixels.
      seed: Another seed is another data set.

    Returns:
      `image` (PIL, RGB), `label` and the fields of FEATURES. `colours` is a list joined by ", ".

    Raises:
      ValueError: for an unknown split, a negative number or seed, a size below 16.

    >>> record("test", 0, size=32)["image"].size
    (32, 32)
    """
    lesion, view = describe(split, number, seed=seed)
    known = {
        **vars(lesion),
        **vars(view),
        "image_id": f"phantom_{split}_{number:06d}",
        "lesion_id": f"phantom_{split}_lesion_{lesion.stream[-1]:06d}",
        "colours": ", ".join(lesion.colours),
        "number_of_colours": len(lesion.colours),
    }
    image = draw(lesion, view, size)
    return {"image": image, "label": lesion.label, **{field: known[field] for field in FEATURES}}


def records(
    split: str, *, size: int = 96, count: int | None = None, seed: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns an iterator over the records of a split, each with its `image_id`.

    Args:
      split: "train", "validation" or "test".
      size: Width and height in pixels.
      count: How many; a larger count leaves the earlier records as they are. None: see COUNTS.
      seed: Another seed is another data set.

    Raises:
      ValueError: as `record`, and for a negative count.

    >>> [name for name, _ in records("test", size=32, count=2)]
    ['phantom_test_000000', 'phantom_test_000001']
    """
    describe(split, 0, seed=seed)  # refuses here what would else be refused at the first record
    check_size(size)
    if count is not None and count < 0:
        raise ValueError(f"count is at least 0, got {count}.")
    numbers = range(COUNTS[split] if count is None else count)
    made = (record(split, number, size=size, seed=seed) for number in numbers)
    return ((one["image_id"], one) for one in made)
