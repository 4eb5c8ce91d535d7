import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage

from medadv_jax.data.brain_deform import (
    axes_of,
    coarse,
    exponential,
    random_affine,
    random_field,
    random_map,
    refine,
)

AXES = axes_of((61, 73, 61), 3.0)


def places(axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def jacobian(at, axes):
    """The determinant of the derivative of a map, by central differences."""
    one, two, three = (np.stack(np.gradient(component, *axes)) for component in at)
    return np.sum(one * np.cross(two, three, axis=0), axis=0)


def read(field, at, axes):
    """Values of a field on a grid at places in mm."""
    index = [(p - axis[0]) / (axis[1] - axis[0]) for p, axis in zip(at, axes, strict=True)]
    return np.stack([scipy.ndimage.map_coordinates(u, index, order=1) for u in field])


def test_the_exponential_of_a_linear_velocity_is_that_of_its_matrix():
    axes = axes_of((17, 17, 17), 6.0)
    matrix = np.random.default_rng(0).normal(0, 0.1, (3, 3))
    at = places(axes)
    moved = at + exponential(np.tensordot(matrix, at, 1), axes)
    expected = np.tensordot(scipy.linalg.expm(matrix), at, 1)
    inner = (slice(None), *[slice(4, -4)] * 3)  # a path from here stays on the grid
    # Sixty-four Euler steps: the error is of the order |M|² / 128.
    np.testing.assert_allclose(moved[inner], expected[inner], atol=0.02)
    assert np.abs(expected - at)[inner].max() > 4


def test_the_exponential_of_the_opposite_velocity_goes_back():
    grid = coarse(AXES)
    rng = np.random.default_rng(1)
    velocity = 4 * np.stack([random_field(rng, grid, 20.0) for _ in range(3)])
    there, back = exponential(velocity, grid), exponential(-velocity, grid)
    at = places(grid)
    left = there + read(back, at + there, grid)
    inner = (slice(None), *[slice(4, -4)] * 3)
    assert np.abs(there[inner]).max() > 6
    assert np.sqrt(np.mean(left[inner] ** 2)) < 0.15


def test_splines_reproduce_cubics():
    grid = coarse(AXES)
    x, y, z = places(grid)
    fx, fy, fz = places(AXES)
    cubic = lambda a, b, c: (a / 50) ** 3 - (b / 50) ** 2 * (c / 50) + a * b * c / 1e5
    np.testing.assert_allclose(refine(cubic(x, y, z), grid, AXES), cubic(fx, fy, fz), atol=1e-9)
    assert refine(np.stack([x, y]), grid, AXES).shape == (2, 61, 73, 61)


def test_a_field_has_variance_one_and_the_smoothness_asked_for():
    axes = axes_of((40, 40, 40), 2.0)
    for smoothness in (4.0, 8.0):
        field = random_field(np.random.default_rng(2), axes, smoothness)
        assert np.mean(field**2) == pytest.approx(1)
        # White noise through a Gaussian kernel: its neighbours at distance d correlate by
        # exp(-d² / 4s²).
        lag = np.mean(field[:-4] * field[4:])
        assert lag == pytest.approx(np.exp(-(8.0**2) / (4 * smoothness**2)), abs=0.12)


def test_no_affine_map_mirrors():
    for seed in range(50):
        matrix, shift = random_affine(np.random.default_rng(seed))
        assert 0.7 < np.linalg.det(matrix) < 1.4 and np.abs(shift).max() <= 4
        assert np.all(np.diag(matrix) > 0.8)
    matrix, shift = random_affine(np.random.default_rng(0), size=0.0)
    np.testing.assert_array_equal(matrix, np.eye(3))
    np.testing.assert_array_equal(shift, 0)


def test_the_jacobian_of_a_fold_is_negative():
    axes = axes_of((9, 9, 9), 1.0)
    at = places(axes)
    np.testing.assert_allclose(jacobian(at * np.reshape((1, 2, 0.5), (3, 1, 1, 1)), axes), 1)
    at[0] = np.sin(at[0])
    assert jacobian(at, axes).min() < 0 < jacobian(at, axes).max()


def test_nothing_folds_and_much_moves():
    for seed in range(4):
        at = random_map(np.random.default_rng(seed), AXES)
        determinant = jacobian(at, AXES)
        assert 0.2 < determinant.min() < 0.9 and 1.1 < determinant.max() < 5
        some = (slice(None), *[slice(None, None, 4)] * 3)
        old, new = places(AXES)[some].reshape(3, -1).T, at[some].reshape(3, -1).T
        squares = np.linalg.lstsq(np.column_stack([old, np.ones(len(old))]), new)[1]
        # What no affine map explains, in mm.
        assert 1 < np.sqrt(squares.sum() / new.size) < 5


def test_a_map_depends_on_its_seed_and_hardly_on_the_grid():
    fine, rough = axes_of((91, 109, 91), 2.0), axes_of((61, 73, 61), 3.0)
    one = random_map(np.random.default_rng(3), rough)
    np.testing.assert_array_equal(one, random_map(np.random.default_rng(3), rough))
    assert np.abs(one - random_map(np.random.default_rng(4), rough)).max() > 3
    # Voxel (15 + 2i) of the rough grid stands where voxel (23 + 3i) of the fine one does.
    other = random_map(np.random.default_rng(3), fine)
    assert np.abs(one[:, 30, 36, 30] - other[:, 45, 54, 45]).max() < 0.2
