"""Brain phantoms: seeded synthetic heads with all 27 structures, from formulas alone.

For tests and for machines without the brain template. Structures are ellipsoids at about their real
places, exaggerated where a coarse grid would lose them; the cortex is a folded sheet. A score on
them says nothing about brains.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from jaxtyping import Float, UInt8

from medadv_jax.data.brain_deform import axes_of, random_map
from medadv_jax.data.brain_scan import FLUID, GREY, WHITE, scan
from medadv_jax.data.brain_table import check, table as generated
from medadv_jax.data.slices import Volume
from medadv_jax.data.splits import SPLITS
from medadv_jax.data.structures import NAMES, SIDED
from medadv_jax.data.table import Table

DESCRIPTION = (
    "Brain phantoms: synthetic heads with 27 structures, drawn by a seeded generator to resemble "
    "T1-weighted MRI; no patient, no scan."
)
COUNTS = {"train": 8, "validation": 2, "test": 4}
"""Number of heads of each split by default."""
EXTENT = (192.0, 224.0, 192.0)
"""Extent of the volume towards right, front and top in mm."""
SPACINGS = (2.0, 4.5)
"""Smallest and largest edge of a voxel in mm; at 4 a volume is 48x56x48."""
VARIATION = 0.7
"""Size of the random map of a head, see `brain_deform.random_map`."""


class Ellipsoid(NamedTuple):
    """An ellipsoid with axes along x, y, z; a sided structure's is that of the right.

    Attributes:
      centre: In mm towards right, front and top.
      radii: In mm.
      vary: Standard deviation of the logarithm of its size over heads.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    vary: float = 0.06


SKIN = Ellipsoid((0, 0, 0), (84, 100, 86), 0.0)
SKULL = Ellipsoid((0, 0, 0), (79, 95, 81), 0.0)
INSIDE = Ellipsoid((0, 0, 0), (73, 89, 75), 0.0)
CEREBRUM = Ellipsoid((0, 3, 10), (68, 84, 60), 0.0)
CALLOSUM = Ellipsoid((0, 2, 6), (30, 46, 26))
"""Outside of it a fissure divides the hemispheres."""
TENTORIUM = Ellipsoid((0, -43, -40), (56, 35, 25), 0.0)
"""Fluid round the cerebellum."""
FACE = Ellipsoid((0, 42, -56), (46, 46, 24), 0.1)
"""Soft tissue below the brain, as bright as grey matter and yet background."""
CORTEX, FOLD, WAVE = 8.5, 2.6, 30.0
"""Thickness of the cortex, depth of its folds and their wavelength in mm."""
# Painted in this order: a later structure covers an earlier one.
PARTS: Mapping[str, tuple[Ellipsoid, ...]] = {
    "cerebellum-cortex": (Ellipsoid((24, -43, -40), (25, 27, 20)),),
    "cerebellum-white-matter": (Ellipsoid((20, -40, -39), (13, 16, 10)),),
    "brain-stem": (Ellipsoid((0, -16, -44), (12, 11, 31)),),
    "fourth-ventricle": (Ellipsoid((0, -30, -40), (9, 6, 10)),),
    "lateral-ventricle": (
        Ellipsoid((11, 6, 16), (8, 30, 8), 0.12),
        Ellipsoid((17, -26, 10), (7, 14, 9), 0.12),
    ),
    "caudate": (Ellipsoid((19, 18, 9), (7, 15, 9)),),
    "thalamus": (Ellipsoid((14, -13, 2), (9, 14, 9)),),
    "ventral-dc": (Ellipsoid((11, -12, -13), (8, 9, 7)),),
    "putamen": (Ellipsoid((33, 6, -1), (7, 17, 11)),),
    "pallidum": (Ellipsoid((23, 2, -3), (7, 10, 8)),),
    "hippocampus": (Ellipsoid((29, -20, -19), (8, 18, 8)),),
    "amygdala": (Ellipsoid((26, 5, -21), (9, 8, 8)),),
    "third-ventricle": (Ellipsoid((0, -4, -1), (5, 14, 10)),),
}
BRIGHTNESS = {
    "background": FLUID,  # inside the skull
    "cerebral-white-matter": WHITE,
    "cerebral-cortex": GREY,
    "lateral-ventricle": FLUID,
    "cerebellum-white-matter": WHITE,
    "cerebellum-cortex": GREY,
    "thalamus": 0.74,
    "caudate": 0.68,
    "putamen": 0.71,
    "pallidum": 0.77,
    "hippocampus": GREY,
    "amygdala": 0.65,
    "ventral-dc": 0.75,
    "third-ventricle": FLUID,
    "fourth-ventricle": FLUID,
    "brain-stem": 0.81,
}
"""Brightness of each structure before the scan, as in T1-weighted images."""
SCALP, BONE, SOFT = 0.75, 0.05, 0.6
"""Brightness of skin, skull and face; the rest of the inside is fluid."""


def drawn(rng: np.random.Generator, part: Ellipsoid) -> Ellipsoid:
    """Returns a part as one head has it: shifted by about 1 mm, its radii varied."""
    shift, vary = np.clip(rng.standard_normal((2, 3)), -2, 2)
    x, y, z = np.asarray(part.centre) + shift
    a, b, c = np.asarray(part.radii) * np.exp(part.vary * vary)
    return Ellipsoid((x, y, z), (a, b, c), part.vary)


def distance(
    at: Float[np.ndarray, "3 x y z"], part: Ellipsoid, side: int = 1
) -> Float[np.ndarray, "x y z"]:
    """Returns the distance from a part's centre in radii: at most 1 inside.

    Args:
      at: Places in mm.
      part: The ellipsoid.
      side: 1 as it stands, -1 mirrored to the left.
    """
    centre = np.reshape(part.centre, (3, 1, 1, 1)) * np.reshape((side, 1, 1), (3, 1, 1, 1))
    return np.sqrt(np.sum(((at - centre) / np.reshape(part.radii, (3, 1, 1, 1))) ** 2, 0))


def depth(rng: np.random.Generator, at: Float[np.ndarray, "3 x y z"]) -> Float[np.ndarray, "x y z"]:
    """Returns how deep in mm a place lies under the folded surface of its hemisphere.

    Args:
      rng: Source of the folds' phase.
      at: Places in mm.
    """
    below = (1 - distance(at, CEREBRUM)) * np.mean(CEREBRUM.radii)
    fissure = np.where(distance(at, drawn(rng, CALLOSUM)) > 1, np.abs(at[0]) - 2, np.inf)
    x, y, z = at * (2 * np.pi / WAVE) + rng.uniform(0, 2 * np.pi, (3, 1, 1, 1))
    folds = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)  # a gyroid
    return np.minimum(below, fissure) + FOLD * folds


def paint(rng: np.random.Generator, at: Float[np.ndarray, "3 x y z"]) -> UInt8[np.ndarray, "x y z"]:
    """Returns the number of the structure at each place.

    Args:
      rng: Source of what differs between heads.
      at: Places in mm towards right, front and top.
    """
    deep, left = depth(rng, at), at[0] < 0
    label = np.zeros(deep.shape, np.uint8)
    for where, name in (deep > 0, "cerebral-cortex"), (deep > CORTEX, "cerebral-white-matter"):
        label[where & left] = NAMES.index(f"left-{name}")
        label[where & ~left] = NAMES.index(f"right-{name}")
    label[distance(at, TENTORIUM) < 1] = 0
    for name, parts in PARTS.items():
        for part in parts:
            if name not in SIDED:
                label[distance(at, drawn(rng, part)) < 1] = NAMES.index(name)
                continue
            for side, half, word in (-1, left, "left"), (1, ~left, "right"):
                where = (distance(at, drawn(rng, part), side) < 1) & half
                label[where] = NAMES.index(f"{word}-{name}")
    return np.where(distance(at, INSIDE) < 1, label, np.uint8(0))


def phantom(split: str, number: int, *, spacing: float = 4.0, seed: int = 0) -> Volume:
    """Returns one head, a pure function of its arguments.

    Args:
      split: "train", "validation" or "test"; no two splits share a seed.
      number: Which head of the split, from 0; there is no last one.
      spacing: Edge of a voxel in mm, 2 to 4.5.
      seed: Another seed is another data set.

    Raises:
      ValueError: An unknown split, a negative number or seed, or another spacing.

    >>> phantom("test", 0).image.shape
    (48, 56, 48)
    """
    check("brain_phantom", split, number, seed, spacing, SPACINGS)
    axes = axes_of(shape_of(spacing), spacing)
    rng = np.random.default_rng((seed, SPLITS.index(split), number))
    at = random_map(rng, axes, VARIATION)
    label = paint(rng, at)
    levels = [BRIGHTNESS[name.removeprefix("left-").removeprefix("right-")] for name in NAMES]
    head = np.array(levels)[label]
    head[(distance(at, drawn(rng, FACE)) < 1) & (label == 0)] = SOFT
    for part, level in (INSIDE, BONE), (SKULL, SCALP), (SKIN, 0.0):
        head[distance(at, part) > 1] = level
    # A voxel at the border of two structures shows something of both.
    return Volume(
        scan(rng, scipy.ndimage.gaussian_filter(head, 0.5), axes),
        label,
        (spacing, spacing, spacing),
    )


def shape_of(spacing: float) -> tuple[int, int, int]:
    """Returns the voxels of a volume along x, y and z."""
    x, y, z = (round(extent / spacing) for extent in EXTENT)
    return x, y, z


def table(
    split: str,
    *,
    plane: str = "coronal",
    size: int | None = None,
    spacing: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Table:
    """Returns one split of the brain phantoms.

    Args:
      split: "train", "validation" or "test".
      plane: "coronal", "axial", "sagittal": a record a slice; "volume": a record a head.
      size: Voxels from left to right: another way to say the spacing, 192 mm / size.
      spacing: Edge of a voxel in mm, 2 to 4.5; `None` for 4.
      count: How many heads; `None` for the split's own number.
      seed: Another seed is another data set.

    Raises:
      ValueError: An argument is out of its range, or both size and spacing are given.
    """
    if size is not None and (spacing is not None or size < 1):
        raise ValueError(f"brain_phantom takes size or spacing; got {size} and {spacing}.")
    edge = EXTENT[0] / size if size else 4.0 if spacing is None else spacing
    check("brain_phantom", split, 0, seed, edge, SPACINGS)
    return generated(
        lambda number: phantom(split, number, spacing=edge, seed=seed),
        split,
        name="brain_phantom",
        subject="phantom",
        description=DESCRIPTION,
        shape=shape_of(edge),
        plane=plane,
        count=COUNTS[split] if count is None else count,
    )
