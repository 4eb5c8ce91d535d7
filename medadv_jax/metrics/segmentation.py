"""Scores of one predicted label map, structure by structure; NumPy arrays of two or three axes.

Every function returns one value for each of the structures 1 .. k-1; class 0 is the background and
no structure. `np.nanmean` of it is the mean over structures. A pixel whose label is -1 has no part.

`metrics.dice(num_classes)` and the like are the same scores as a `Metric`, for `evaluate`.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int, Integer, Real

from medadv_jax.metrics import surface
from medadv_jax.metrics.metric import ratio

_Map: TypeAlias = Integer[np.ndarray, "..."]
_Values: TypeAlias = Float[np.ndarray, "*s structures"]
Spacing: TypeAlias = Sequence[float] | Real[np.ndarray, "..."]
"""Side lengths of a voxel, one an axis of the label map, in mm."""


def dice(prediction: _Map, label: _Map, num_classes: int) -> _Values:
    r"""Dice overlap of every structure, $2 |P \cap T| / (|P| + |T|)$.

    Args:
      prediction: Classes in 0 .. k-1.
      label: Of the same shape, classes in 0 .. k-1; -1 marks a pixel that does not count.
      num_classes: k, the background included.

    Returns:
      `(k-1,)` in [0, 1]; NaN where the label has no such structure, whether it is predicted or not:
      else one stray pixel would turn it into 0, and a clean and a perturbed prediction would be
      scored over different structures.

    Raises:
      ValueError: The shapes differ, or a class is out of range.

    >>> dice(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 4).round(3)
    array([0.667, 0.667,   nan])
    """
    return dice_of(overlaps(prediction, label, num_classes))


def iou(prediction: _Map, label: _Map, num_classes: int) -> _Values:
    r"""Intersection over union of every structure, $|P \cap T| / |P \cup T|$.

    Arguments, undefined values and errors are those of `dice`.

    >>> iou(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 4)
    array([0.5, 0.5, nan])
    """
    return iou_of(overlaps(prediction, label, num_classes))


def volume_error(prediction: _Map, label: _Map, num_classes: int) -> _Values:
    r"""Relative error of the volume of every structure, $(|P| - |T|) / |T|$.

    Positive where too much is predicted. Arguments, undefined values and errors are those of
    `dice`.

    >>> volume_error(np.array([0, 1, 1, 2]), np.array([1, 1, 1, 1]), 3).round(3)
    array([-0.5,  nan])
    """
    return volume_error_of(overlaps(prediction, label, num_classes))


def absolute_volume_error(prediction: _Map, label: _Map, num_classes: int) -> _Values:
    r"""Relative error of the volume without its sign, $| |P| - |T| | / |T|$; see `volume_error`."""
    return np.abs(volume_error(prediction, label, num_classes))


def hd95(prediction: _Map, label: _Map, num_classes: int, spacing: Spacing) -> _Values:
    """Hausdorff distance of 95 % of every structure: the larger of the two directed percentiles.

    Equal to MONAI's `compute_hausdorff_distance(percentile=95, directed=False)` where the label has
    the structure; the definition is that of `surface.hausdorff95_and_average`.

    Args:
      prediction: Classes in 0 .. k-1.
      label: Of the same shape; a pixel of label -1 is background in both.
      num_classes: k, the background included.
      spacing: Side lengths of a voxel, one an axis, in mm.

    Returns:
      `(k-1,)` in mm: infinite where a structure of the label is not predicted, NaN where the label
      has no such structure.

    Raises:
      ValueError: The shapes differ, a class is out of range, or a spacing is not positive.

    >>> hd95(np.array([0, 1, 0, 0]), np.array([0, 0, 0, 1]), 3, [1.5])
    array([ 3., nan])
    """
    return surface_distances(prediction, label, num_classes, spacing)[0]


def average_surface_distance(
    prediction: _Map, label: _Map, num_classes: int, spacing: Spacing
) -> _Values:
    """Average distance between the surfaces of every structure, over the voxels of both surfaces.

    Equal to MONAI's `compute_average_surface_distance(symmetric=True)`. Arguments, undefined values
    and errors are those of `hd95`.

    >>> average_surface_distance(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0]), 2, [1.5]).round(3)
    array([0.5])
    """
    return surface_distances(prediction, label, num_classes, spacing)[1]


def surface_distances(
    prediction: _Map, label: _Map, num_classes: int, spacing: Spacing
) -> Float[np.ndarray, "2 structures"]:
    """Both `hd95` and `average_surface_distance`, for the time of one."""
    _check(prediction, label, num_classes)
    sides = np.asarray(spacing, np.float64)
    if sides.shape != (label.ndim,) or not (np.isfinite(sides) & (sides > 0)).all():
        raise ValueError(
            f"spacing has one positive length for each of the {label.ndim} axes, got {spacing}."
        )
    counts = label >= 0
    inside, true = np.where(counts, prediction, 0), np.where(counts, label, 0)
    return surface.hausdorff95_and_average(inside, true, num_classes, sides)


def overlaps(prediction: _Map, label: _Map, num_classes: int) -> Int[np.ndarray, "3 structures"]:
    """Pixels of every structure: shared, predicted, and true; of slices they add up.

    Arguments and errors are those of `dice`.
    """
    _check(prediction, label, num_classes)
    counts = label >= 0
    found, true = prediction[counts], label[counts]
    pixels = lambda classes: np.bincount(classes, minlength=num_classes)[1:]
    return np.stack([pixels(true[found == true]), pixels(found), pixels(true)])


def dice_of(overlaps: np.ndarray) -> _Values:
    """Dice overlap from pixels `(*s, 3, k-1)`, as `overlaps` counts them."""
    shared, predicted, true = np.moveaxis(np.asarray(overlaps), -2, 0)
    return np.where(true > 0, ratio(2.0 * shared, predicted + true), np.nan)


def iou_of(overlaps: np.ndarray) -> _Values:
    """Intersection over union from pixels `(*s, 3, k-1)`."""
    shared, predicted, true = np.moveaxis(np.asarray(overlaps), -2, 0)
    return np.where(true > 0, ratio(1.0 * shared, predicted + true - shared), np.nan)


def volume_error_of(overlaps: np.ndarray) -> _Values:
    """Relative error of the volume from pixels `(*s, 3, k-1)`."""
    _, predicted, true = np.moveaxis(np.asarray(overlaps), -2, 0)
    return ratio(1.0 * (predicted - true), true)


def _check(prediction: np.ndarray, label: np.ndarray, num_classes: int) -> None:
    if prediction.shape != label.shape:
        raise ValueError(
            f"Prediction and label have one shape, got {prediction.shape} and {label.shape}."
        )
    for name, maps, least in (("prediction", prediction, 0), ("label", label, -1)):
        low, high = (maps.min(), maps.max()) if maps.size else (0, 0)
        if not least <= low <= high < num_classes:
            raise ValueError(
                f"The {name}'s classes lie in {least} .. {num_classes - 1}, got {low} .. {high}."
            )
