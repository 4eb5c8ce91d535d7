"""Intensities of a volume in [0, 1], and its sampling at another spacing."""

import math
from typing import Any

import numpy as np

from medadv_jax.data.slices import Volume

PERCENTILES = (0.5, 99.5)
"""Of the voxels of one image that are not zero: they become 0 and 1, what is beyond is clipped."""


def scaled(image: np.ndarray, origin: Any) -> np.ndarray:
    r"""Scales intensities to [0, 1]: $\min(\max((x - l) / (u - l), 0), 1)$.

    $l$ and $u$ are the PERCENTILES of the voxels of this image that are not zero, which leaves out
    the air of a masked or skull-stripped volume.

    Raises:
      ValueError: $l = u$: the image is constant but for a few voxels.
    """
    inside = image[image != 0]
    low, high = np.percentile(inside, PERCENTILES) if inside.size else (0.0, 0.0)
    if not low < high:
        raise ValueError(
            f"{origin} is constant: percentiles {PERCENTILES} of its voxels other than zero are "
            f"both {low:g}."
        )
    return np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)


def sampled_shape(
    shape: tuple[int, ...], spacing: tuple[float, ...], wanted: float | int | None
) -> tuple[int, ...]:
    """Returns the shape that `resampled` makes; `None` leaves it.

    >>> sampled_shape((182, 218, 182), (1.0, 1.0, 1.0), 2.0)
    (91, 109, 91)
    """
    if wanted is None:
        return shape
    if not 0 < wanted < math.inf:
        raise ValueError(f"spacing is above 0 mm, got {wanted}.")
    return tuple(max(1, round(n * mm / wanted)) for n, mm in zip(shape, spacing, strict=True))


def resampled(volume: Volume, spacing: float | int) -> Volume:
    """Samples a volume anew at an isotropic spacing, about the same centre.

    The image is interpolated linearly, without a filter before it, and beyond the outermost voxels
    it is as they are; a label is that of the nearest voxel, so no label arises that was not there.

    Args:
      volume: Its image is of floats.
      spacing: Distance of voxels in mm.

    Raises:
      ValueError: `spacing` is not above 0.
    """
    shape = sampled_shape(volume.label.shape, volume.spacing, spacing)
    image, label = volume.image, volume.label
    for axis, (new, mm) in enumerate(zip(shape, volume.spacing, strict=True)):
        old = label.shape[axis]
        places = (np.arange(new) - (new - 1) / 2) * (spacing / mm) + (old - 1) / 2
        places = np.clip(places, 0, old - 1)
        low = np.minimum(places.astype(int), max(old - 2, 0))
        weight = (places - low).astype(np.float32)
        weight = weight.reshape([-1 if i == axis else 1 for i in range(3)])
        near, far = image.take(low, axis), image.take(np.minimum(low + 1, old - 1), axis)
        image = near + weight * (far - near)
        label = label.take(np.floor(places + 0.5).astype(int), axis)
    return Volume(np.clip(image, 0, 1), label, (float(spacing), float(spacing), float(spacing)))
