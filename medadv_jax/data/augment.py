"""Random views of an image for training, on the host and in uint8."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import PIL.Image

from medadv_jax.data.augment_mri import mri as mri

Augment = Callable[[np.random.Generator, np.ndarray], np.ndarray]
"""From a random generator and a uint8 image `(h, w, 3)` to a uint8 image."""

_GREY = np.array([[0.299, 0.587, 0.114]] * 3)


def dermoscopy(size: int, strength: float = 1.0) -> Augment:
    """Makes the augmentation that dermoscopy allows: a lesion has no upright and no fixed scale.

    Flips, a rotation by any angle, a zoom of 0.8 to 1.25, a change of aspect by up to 10 % and a
    shift by up to 8 % are one bilinear warp; what lies outside the image is its mirror image.
    Brightness and contrast (15 %), saturation (20 %) and the balance of the channels (5 %) are one
    affine map of the colours.

    Args:
      size: Side of the result in pixels.
      strength: Scales every range but the rotation and the flips; 0 leaves these two.

    Returns:
      `augment(rng, image)`, from a uint8 image `(h, w, 3)` to one `(size, size, 3)`. At zoom 1 the
      shorter side of the image fills the result.

    Raises:
      ValueError: `size` is below one or `strength` is not in [0, 2].

    >>> augment = dermoscopy(80)
    >>> augment(np.random.default_rng(0), np.zeros((90, 120, 3), np.uint8)).shape
    (80, 80, 3)
    """
    if size < 1:
        raise ValueError(f"size is a number of pixels, at least 1, got {size}.")
    if not 0 <= strength <= 2:
        raise ValueError(f"strength is in [0, 2], got {strength}.")

    def augment(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        draws = rng.uniform(-1, 1, 12)
        canvas, matrix = _warp(draws[:6], image, size, strength)
        view = PIL.Image.fromarray(canvas).transform(
            (size, size), PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR
        )
        return np.asarray(view.convert("RGB", _colour(draws[6:], strength)))

    return augment


def _warp(
    draws: np.ndarray, image: np.ndarray, size: int, strength: float
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Returns the part of the image that is seen, and the six numbers that map output to it."""
    height, width = image.shape[:2]
    side = min(height, width)
    zoom = 1.25 ** (strength * draws[0])
    aspect = 1.1 ** (strength * draws[1] / 2)
    angle = math.pi * draws[2]
    flip = 1 if draws[5] < 0 else -1  # the angle is free: one mirror axis reaches every other
    centre_x = width / 2 + 0.08 * strength * side * draws[3]
    centre_y = height / 2 + 0.08 * strength * side * draws[4]

    step = side / size / zoom
    a, b = step * aspect * flip * math.cos(angle), -step / aspect * math.sin(angle)
    c, d = step * aspect * flip * math.sin(angle), step / aspect * math.cos(angle)
    columns = _mirrored(centre_x, (abs(a) + abs(b)) * size / 2, width)
    rows = _mirrored(centre_y, (abs(c) + abs(d)) * size / 2, height)
    matrix = (
        *(a, b, centre_x - columns.start - (a + b) * size / 2),
        *(c, d, centre_y - rows.start - (c + d) * size / 2),
    )
    return image.take(rows.numbers, axis=0).take(columns.numbers, axis=1), matrix


class _Mirrored(NamedTuple):
    """A range of pixels along an axis, and where the image, mirrored at its ends, has each."""

    start: int
    numbers: np.ndarray


def _mirrored(centre: float, reach: float, length: int) -> _Mirrored:
    """Returns the pixels within reach of a centre, with one more for the interpolation."""
    start = math.floor(centre - reach) - 1
    numbers = np.arange(start, math.ceil(centre + reach) + 1) % (2 * length)
    return _Mirrored(start, np.where(numbers < length, numbers, 2 * length - 1 - numbers))


def _colour(draws: np.ndarray, strength: float) -> tuple[float, ...]:
    """Returns the twelve numbers of an affine map of the colours, row by row."""
    brightness, contrast, saturation = 1 + np.array([0.15, 0.15, 0.2]) * strength * draws[:3]
    balance = 1 + 0.05 * strength * draws[3:]
    rows = np.empty((3, 4))
    rows[:, :3] = saturation * np.eye(3) + (1 - saturation) * _GREY
    rows[:, :3] *= contrast * brightness * balance[:, None]
    rows[:, 3] = 127.5 * (1 - contrast)
    return tuple(rows.ravel().tolist())
