"""Distances between the surfaces of predicted and true structures, in the unit of the spacing.

Nearest border voxels are found in a tree of points. A distance transform gives the same numbers,
but on the box around a structure, and a perturbed prediction has voxels of every structure
anywhere: the box is then the whole volume, 27 times.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Integer, Real
from scipy.spatial import KDTree

_Map: TypeAlias = Integer[np.ndarray, "*space"]


def border(labels: _Map) -> Bool[np.ndarray, "*space"]:
    """Whether a voxel has a direct neighbour of another class, or lies at the end of the image.

    For each structure that is its mask minus the erosion of its mask by one voxel (4 neighbours in
    two dimensions, 6 in three; all is background beyond the image).

    >>> border(np.array([[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 1, 1],
           [1, 1, 1, 1]])
    """
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        along, edge = np.moveaxis(labels, axis, 0), np.moveaxis(found, axis, 0)
        differ = along[1:] != along[:-1]
        edge[1:] |= differ
        edge[:-1] |= differ
        edge[0] = edge[-1] = True
    return found


def surfaces(
    labels: _Map, num_classes: int, spacing: Sequence[float] | Real[np.ndarray, " axes"]
) -> list[Float[np.ndarray, "points axes"]]:
    """Returns the places of the border voxels of the structures 1 .. k-1, one array a structure."""
    edge = border(labels)
    classes, places = labels[edge], np.argwhere(edge) * np.asarray(spacing, np.float64)
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(1, num_classes + 1))
    return [places[order[start:end]] for start, end in zip(starts, starts[1:], strict=False)]


def hausdorff95_and_average(
    prediction: _Map,
    label: _Map,
    num_classes: int,
    spacing: Sequence[float] | Real[np.ndarray, " axes"],
) -> Float[np.ndarray, "2 structures"]:
    r"""Hausdorff distance of 95 % and average symmetric surface distance of every structure.

    With d the distances from each border voxel of one mask to the nearest one of the other, and d'
    those back:

    $$\mathrm{HD95} = \max(Q_{95}(d), Q_{95}(d')), \qquad
      \mathrm{ASD} = \frac{\sum d + \sum d'}{|d| + |d'|},$$

    with $Q_{95}$ the 95th percentile, interpolated linearly.

    Args:
      prediction: `(*space)`, classes in 0 .. k-1.
      label: Of the same shape.
      num_classes: k, the background 0 included.
      spacing: Side lengths of a voxel, one an axis.

    Returns:
      `(2, k-1)`, HD95 in the first row; NaN for a structure that the label does not have, infinite
      for one that only the label has.
    """
    found = np.full((2, num_classes - 1), np.nan)
    both = zip(*(surfaces(maps, num_classes, spacing) for maps in (prediction, label)), strict=True)
    for structure, (inside, true) in enumerate(both):
        if len(inside) and len(true):
            there, back = KDTree(true).query(inside)[0], KDTree(inside).query(true)[0]
            found[0, structure] = max(np.percentile(there, 95), np.percentile(back, 95))
            found[1, structure] = np.concatenate([there, back]).mean()
        elif len(true):
            found[:, structure] = np.inf
    return found
