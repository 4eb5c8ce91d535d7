"""Random views of a brain image and its labels for training, on the host."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.ndimage

DenseAugment = Callable[
    [np.random.Generator, np.ndarray, np.ndarray, tuple[float, ...]], tuple[np.ndarray, np.ndarray]
]
"""From a random generator, a float32 image `(h, w, c)` in [0, 1], a label `(h, w)` and the sides of
a pixel in mm, one an axis, to another image and label."""


def mri(strength: float = 1.0) -> DenseAugment:
    r"""Makes the augmentation that a brain in a scanner allows; it is never mirrored.

    A rotation by up to 10 degrees (in 3-D about each axis), a zoom of 0.9 to 1.11 and a shift by up
    to 5 % of each side are one warp, linear for the image and of the nearest pixel for the label;
    outside is black background. It is rigid but for the zoom in mm, whatever the sides of a pixel.
    Then $x \mapsto \mathrm{clip}(x^\gamma + b x (1-x) + \sigma n)$
    with $\gamma$ from 0.8 to 1.25, brightness $|b| \le 0.2$, which leaves black and white, and
    noise $\sigma \le 0.03$, $n$ normal. Each range is uniform, of zoom and $\gamma$ in the
    logarithm. Left and right are structures of their own: mirroring would swap their labels.

    Args:
      strength: Scales every range; 0 changes nothing.

    Returns:
      `augment(rng, image, label, spacing=None)`, from a float32 image `(h, w, 1)` in [0, 1] and an
      integer label `(h, w)`, or `(d, h, w, 1)` and `(d, h, w)`, to ones of the same shapes and
      types. `spacing` are the sides of a pixel in mm, one an axis; `None` if they are equal.

    Raises:
      ValueError: `strength` is not in [0, 2].

    >>> augment = mri()
    >>> image, label = np.ones((6, 5, 1), np.float32), np.ones((6, 5), np.uint8)
    >>> [array.shape for array in augment(np.random.default_rng(0), image, label)]
    [(6, 5, 1), (6, 5)]
    """
    if not 0 <= strength <= 2:
        raise ValueError(f"strength is in [0, 2], got {strength}.")

    def augment(
        rng: np.random.Generator,
        image: np.ndarray,
        label: np.ndarray,
        spacing: tuple[float, ...] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        if strength == 0:
            return image, label
        matrix = _warp(rng, label.shape, strength, spacing or (1.0,) * label.ndim)
        moved = np.stack(
            [
                scipy.ndimage.affine_transform(image[..., channel], matrix, order=1)
                for channel in range(image.shape[-1])
            ],
            axis=-1,
        )
        return _toned(rng, moved, strength), scipy.ndimage.affine_transform(label, matrix, order=0)

    return augment


def _warp(
    rng: np.random.Generator, shape: Sequence[int], strength: float, spacing: Sequence[float]
) -> np.ndarray:
    """Returns the affine map from a pixel of the result to the place that it shows, `(n, n+1)`."""
    space = len(shape)
    zoom = 0.9 ** (strength * rng.uniform(-1, 1))
    matrix = np.eye(space) / zoom
    for first in range(space):
        for second in range(first + 1, space):
            angle = math.radians(10) * strength * rng.uniform(-1, 1)
            turn = np.eye(space)
            turn[first, first] = turn[second, second] = math.cos(angle)
            turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
            matrix = matrix @ turn
    sides = np.array(spacing)
    matrix = matrix * (sides / sides[:, None])  # from mm to pixels
    centre = (np.array(shape) - 1) / 2
    shift = 0.05 * strength * np.array(shape) * rng.uniform(-1, 1, space)
    return np.column_stack([matrix, centre + shift - matrix @ centre])


def _toned(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Returns an image of another gamma and brightness, with noise."""
    gamma = 0.8 ** (strength * rng.uniform(-1, 1))
    brightness = 0.2 * strength * rng.uniform(-1, 1)
    deviation = 0.03 * strength * rng.uniform()
    toned = np.power(image, np.float32(gamma))
    toned += np.float32(brightness) * image * (1 - image)
    toned += np.float32(deviation) * rng.standard_normal(image.shape, np.float32)
    return np.clip(toned, 0, 1, out=toned)
