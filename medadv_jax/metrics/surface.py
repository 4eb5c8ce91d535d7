"""Distances between the surfaces of two masks, in the unit of the spacing."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage

_Mask: TypeAlias = Bool[np.ndarray, "*space"]


def border(mask: _Mask) -> _Mask:
    """Returns the voxels of a mask that have a direct neighbour outside it, or outside the image.

    A mask minus its erosion by one voxel (4 neighbours in two dimensions, 6 in three).

    >>> border(np.ones((3, 3), bool)).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    return mask & ~ndimage.binary_erosion(mask)


def distances(
    one: _Mask, other: _Mask, spacing: Sequence[float] | np.ndarray
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """Distances from each border voxel of one mask to the nearest border voxel of the other.

    Args:
      one: `(*space)`, not empty.
      other: Of the same shape, not empty.
      spacing: Side lengths of a voxel, one an axis.

    Returns:
      The distances from the m border voxels of `one`, and from the n of `other`, float64.

    >>> dots = np.eye(3, dtype=bool)[:2, None]
    >>> distances(dots[0], dots[1], (1.0, 2.5))
    (array([2.5]), array([2.5]))
    """
    edge, other_edge = border(one), border(other)
    to = lambda edge: np.asarray(ndimage.distance_transform_edt(~edge, sampling=spacing))
    return to(other_edge)[edge], to(edge)[other_edge]


def hausdorff95_and_average(
    prediction: Integer[np.ndarray, "*space"],
    label: Integer[np.ndarray, "*space"],
    num_classes: int,
    spacing: Sequence[float] | np.ndarray,
) -> Float[np.ndarray, "2 structures"]:
    r"""Hausdorff distance of 95 % and average symmetric surface distance of every structure.

    With d the distances from the border of one mask to the other, and d' those back:

    $$\mathrm{HD95} = \max(Q_{95}(d), Q_{95}(d')), \qquad
      \mathrm{ASD} = \frac{\sum d + \sum d'}{|d| + |d'|},$$

    with $Q_{95}$ the 95th percentile, interpolated linearly.

    Args:
      prediction: `(*space)`, classes in 0 .. k-1.
      label: Of the same shape.
      num_classes: k, the background 0 included.
      spacing: Side lengths of a voxel, one an axis.

    Returns:
      `(2, k-1)`, HD95 in the first row; NaN for a structure that is absent in both, infinite for
      one that is absent in one of them.
    """
    found = np.full((2, num_classes - 1), np.nan)
    boxes = [ndimage.find_objects(maps, num_classes - 1) for maps in (prediction, label)]
    for structure, (box, other) in enumerate(zip(*boxes, strict=True)):
        if box is None or other is None:
            if box is not other:
                found[:, structure] = np.inf
            continue
        # All that matters lies in the box around both masks; outside it neither has a voxel.
        joint = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(box, other, strict=True)
        )
        inside, true = prediction[joint] == structure + 1, label[joint] == structure + 1
        there, back = distances(inside, true, spacing)
        found[0, structure] = max(np.percentile(there, 95), np.percentile(back, 95))
        found[1, structure] = np.concatenate([there, back]).mean()
    return found
