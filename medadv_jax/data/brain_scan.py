"""What a scanner makes of a head: contrast, coil sensitivity, blur and Rician noise, all seeded."""

import numpy as np
import scipy.ndimage
from jaxtyping import Float, Float32

from medadv_jax.data.brain_deform import Axes, coarse, random_field, refine

FLUID, GREY, WHITE = 0.33, 0.67, 0.86
"""Brightness of the tissues in a head before it is scanned; air is 0, the brightest point 1."""
TEXTURE = (2.5, 0.02)
"""Smoothness in mm and standard deviation of the tissue's own unevenness."""
BIAS = (45.0, 0.08)
"""Smoothness in mm and standard deviation of the logarithm of the coil's sensitivity."""
BRIGHTEST = 99.9
"""Percentile that becomes 1."""


def contrast(
    rng: np.random.Generator, head: Float[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """Maps brightness by a random increasing curve that leaves air at 0.

    Fluid, grey and white matter keep their order and come to 0.14-0.30, 0.46-0.64 and 0.78-0.92.

    Args:
      rng: Source of the curve.
      head: Brightness in [0, 1].
    """
    low, high = (0.0, 0.14, 0.46, 0.78, 0.95), (0.0, 0.30, 0.64, 0.92, 1.05)
    return np.interp(head, (0.0, FLUID, GREY, WHITE, 1.0), rng.uniform(low, high))


def rician(
    rng: np.random.Generator, image: Float[np.ndarray, "x y z"], sigma: float
) -> Float[np.ndarray, "x y z"]:
    """Returns the magnitude of a complex signal under Gaussian noise: √((x + n₁)² + n₂²).

    Args:
      rng: Source of the noise.
      image: The signal x.
      sigma: Standard deviation of n₁ and of n₂.
    """
    real, imaginary = sigma * rng.standard_normal((2, *image.shape), np.float32)
    return np.hypot(image + real, imaginary)


def scan(
    rng: np.random.Generator, head: Float[np.ndarray, "x y z"], axes: Axes
) -> Float32[np.ndarray, "x y z"]:
    """Returns a head as one seeded scan shows it.

    In this order: a contrast of its own (`contrast`), texture, a smooth sensitivity of the coil, a
    blur of up to 0.6 voxels, Rician noise of 1 to 3.5 % and a scale whose 99.9th percentile is 1.

    Args:
      rng: Source of all that is random.
      head: Brightness in [0, 1] with the tissues at FLUID, GREY and WHITE.
      axes: Grid of the volume in mm.

    Returns:
      The image in [0, 1].
    """
    image = contrast(rng, head)
    image = image * (1 + TEXTURE[1] * random_field(rng, axes, TEXTURE[0]))
    grid = coarse(axes)
    image = image * np.exp(refine(BIAS[1] * random_field(rng, grid, BIAS[0]), grid, axes))
    image = scipy.ndimage.gaussian_filter(image, rng.uniform(0.0, 0.6))
    image = rician(rng, image, rng.uniform(0.01, 0.035))
    return np.clip(image / np.percentile(image, BRIGHTEST), 0, 1).astype(np.float32)
