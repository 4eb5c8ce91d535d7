"""Seeded anatomical variation: a smooth diffeomorphism after an affine map, in millimetres.

A place of the new volume at p (mm from the volume's centre) shows what stands in the old one at
q = A φ(p), φ = exp(v) for a smooth random velocity v that does not change in time (Arsigny et al.
2006, "A log-Euclidean framework for statistics on diffeomorphisms"). det ∂q/∂p is positive
everywhere: nothing folds, so each structure keeps its neighbours.
"""

from collections.abc import Sequence

import numpy as np
import scipy.interpolate
import scipy.ndimage
from jaxtyping import Float

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Places of the voxels along each axis in mm, evenly spaced, 0 in the middle."""

COARSE = 6.0
"""Fields are drawn and integrated on a grid of about this many mm, then interpolated."""
SQUARINGS = 6
"""exp(v) is v / 2^6, composed with itself six times."""
LAYERS = ((30.0, 3.0), (12.0, 1.2))
"""Smoothness (standard deviation of the kernel) and typical size in mm of the velocity's parts."""


def axes_of(shape: Sequence[int], spacing: float) -> Axes:
    """Returns the places of the voxels of a volume along its axes.

    Args:
      shape: Voxels along x, y, z.
      spacing: Edge of a voxel in mm.

    >>> axes_of((3, 2, 1), 2.0)[0].tolist()
    [-2.0, 0.0, 2.0]
    """
    x, y, z = ((np.arange(n) - (n - 1) / 2) * spacing for n in shape)
    return x, y, z


def coarse(axes: Axes) -> Axes:
    """Returns a grid over the same box with about COARSE mm between its points, at least four."""
    counts = [max(4, round(np.ptp(axis) / COARSE) + 1) for axis in axes]
    x, y, z = (np.linspace(axis[0], axis[-1], n) for axis, n in zip(axes, counts, strict=True))
    return x, y, z


def random_field(
    rng: np.random.Generator, axes: Axes, smoothness: float
) -> Float[np.ndarray, "x y z"]:
    """Draws a smooth field: white noise through a Gaussian kernel, scaled to variance one.

    Args:
      rng: Source of the noise.
      axes: Grid of the field.
      smoothness: Standard deviation of the kernel in mm.
    """
    noise = rng.standard_normal([len(axis) for axis in axes])
    sigma = [smoothness / (axis[1] - axis[0]) for axis in axes]
    smooth = scipy.ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return smooth / np.sqrt(np.mean(smooth**2))


def exponential(velocity: Float[np.ndarray, "3 x y z"], axes: Axes) -> Float[np.ndarray, "3 x y z"]:
    """Returns the displacement u = exp(v) - id after unit time, by scaling and squaring.

        u ← v / 2^n;  n times:  u(p) ← u(p) + u(p + u(p))

    Args:
      velocity: In mm, on the grid; outside it the value at the border holds.
      axes: The grid.

    >>> x = axes_of((5, 5, 5), 6.0)
    >>> exponential(np.full((3, 5, 5, 5), 2.0), x)[0, 2, 2, 2].item()
    2.0
    """
    steps = np.reshape([axis[1] - axis[0] for axis in axes], (3, 1, 1, 1))
    places = np.indices(velocity.shape[1:], float)
    moved = velocity / 2**SQUARINGS
    for _ in range(SQUARINGS):
        at = places + moved / steps
        further = [scipy.ndimage.map_coordinates(u, at, order=1, mode="nearest") for u in moved]
        moved = moved + np.stack(further)
    return moved


def refine(
    field: Float[np.ndarray, "*c x y z"], grid: Axes, axes: Axes
) -> Float[np.ndarray, "*c i j k"]:
    """Returns a field on a finer grid over the same box, by cubic splines.

    Args:
      field: Values on the coarse grid.
      grid: The coarse grid, at least four points along each axis.
      axes: The fine grid.
    """
    for axis, (old, new) in enumerate(zip(grid, axes, strict=True), start=field.ndim - 3):
        # The spline is linear in its values: one matrix along each axis.
        weights = scipy.interpolate.make_interp_spline(old, np.eye(len(old)))(new)
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    return field


def random_affine(
    rng: np.random.Generator, size: float = 1.0
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Draws a matrix of positive determinant and a shift in mm.

    At size 1 the angles have a standard deviation of 4°, the logarithms of the three scales one of
    0.05, the shears one of 0.03, the shift one of 2 mm; all are cut at two standard deviations.

    Args:
      rng: Source of the numbers.
      size: Factor of all standard deviations.
    """
    draws = np.clip(rng.standard_normal((4, 3)), -2, 2) * size
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(4) * draws[0]):
        one, two = [i for i in range(3) if i != axis]
        c, s = np.cos(angle), np.sin(angle)
        plane = np.eye(3)
        plane[[one, one, two, two], [one, two, one, two]] = c, -s, s, c
        turn = turn @ plane
    shear = np.eye(3)
    shear[[0, 0, 1], [1, 2, 2]] = 0.03 * draws[2]
    return turn @ np.diag(np.exp(0.05 * draws[1])) @ shear, 2 * draws[3]


def random_map(
    rng: np.random.Generator, axes: Axes, size: float = 1.0
) -> Float[np.ndarray, "3 x y z"]:
    """Draws where each voxel of a new volume reads the old one, in mm from its centre.

    Args:
      rng: Source of the numbers.
      axes: Grid of the new volume.
      size: Factor of the variation; 1 is that of the brain data sets.
    """
    grid = coarse(axes)
    velocity = np.zeros((3, *map(len, grid)))
    for smoothness, mm in LAYERS:
        for component in velocity:
            component += size * mm * random_field(rng, grid, smoothness)
    places = np.stack(np.meshgrid(*axes, indexing="ij")) + refine(
        exponential(velocity, grid), grid, axes
    )
    matrix, shift = random_affine(rng, size)
    return np.tensordot(matrix, places, 1) + shift.reshape(3, 1, 1, 1)
