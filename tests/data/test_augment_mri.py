import numpy as np
import pytest

from medadv_jax.data import augment
from medadv_jax.data.augment_mri import _warp


@pytest.fixture
def pair():
    """Two blobs of labels 5 (left) and 20 (right); the image is bright where they are."""
    label = np.zeros((40, 32), np.uint8)
    label[10:30, 4:14] = 5
    label[14:26, 18:28] = 20
    image = np.float32([0, 0.4, 0.8])[label // 5 - label // 20 * 2]
    return image[..., None], label


def test_shapes_types_range_and_labels(pair):
    view = augment.mri(2.0)
    for seed in range(20):
        image, label = view(np.random.default_rng(seed), *pair)
        assert (image.shape, image.dtype) == ((40, 32, 1), np.float32)
        assert (label.shape, label.dtype) == ((40, 32), np.uint8)
        assert 0 <= image.min() and image.max() <= 1
        assert set(np.unique(label)) <= {0, 5, 20}


def test_image_and_label_move_together_and_are_never_mirrored(pair):
    view = augment.mri()
    for seed in range(20):
        image, label = view(np.random.default_rng(seed), *pair)
        inside = [image[..., 0][label == number] for number in (0, 5, 20)]
        assert inside[0].mean() < 0.1 < 0.25 < inside[1].mean() < inside[2].mean()
        left, right = (np.argwhere(label == number).mean(0)[1] for number in (5, 20))
        assert left < right - 8


def test_it_is_a_function_of_the_generator(pair):
    view = augment.mri()
    first, again, other = (view(np.random.default_rng(seed), *pair)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_no_strength_changes_nothing(pair):
    image, label = augment.mri(0.0)(np.random.default_rng(0), *pair)
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(label, pair[1])
    tiny = augment.mri(1e-6)(np.random.default_rng(0), *pair)
    np.testing.assert_allclose(tiny[0], pair[0], atol=1e-4)
    np.testing.assert_array_equal(tiny[1], pair[1])


def test_the_warp_stays_in_its_ranges():
    turns, zooms, shifts = [], [], []
    rng = np.random.default_rng(0)
    for _ in range(300):
        matrix = _warp(rng, (81, 61), 1.0, (1.0, 1.0))
        zooms.append(np.sqrt(np.linalg.det(matrix[:, :2])))
        turns.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        shifts.append((matrix[:, :2] @ [40, 30] + matrix[:, 2] - [40, 30]) / [81, 61])
    assert 9 < np.abs(turns).max() <= 10 and 0.049 < np.abs(shifts).max() <= 0.05
    assert 0.9 <= min(zooms) < 0.91 and 1.1 < max(zooms) <= 1 / 0.9
    # Three standard errors.
    assert abs(np.mean(turns)) < 1 and abs(np.mean(np.log(zooms))) < 0.0106


@pytest.mark.parametrize("spacing", [(5.0, 1.0), (5.0, 1.0, 0.7), (0.5, 2.0, 1.0)])
def test_the_warp_is_rigid_but_for_its_zoom_in_mm(spacing):
    shape = (20, 200, 100)[: len(spacing)]
    middle = (np.array(shape) - 1) / 2
    sides = np.diag(spacing)
    for seed in range(20):
        matrix, cube = (
            _warp(np.random.default_rng(seed), shape, 1.0, one)
            for one in (spacing, (1.0,) * len(spacing))
        )
        in_mm = sides @ matrix[:, :-1] @ np.linalg.inv(sides)
        stretch = np.linalg.svd(in_mm)[1]
        np.testing.assert_allclose(stretch, stretch[0], rtol=1e-9)
        np.testing.assert_allclose(in_mm, cube[:, :-1], atol=1e-12)
        # The shift is a share of each side, in pixels as in mm.
        shifts = [one[:, :-1] @ middle + one[:, -1] for one in (matrix, cube)]
        np.testing.assert_allclose(*shifts, atol=1e-9)


@pytest.mark.parametrize("side", [1.0, 0.3, 1 / 3])
def test_pixels_of_equal_sides_need_no_spacing(pair, side):
    for seed in range(5):
        plain = augment.mri()(np.random.default_rng(seed), *pair)
        told = augment.mri()(np.random.default_rng(seed), *pair, (side, side))
        for one, other in zip(plain, told, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_stored_view(pair):
    image, label = augment.mri()(np.random.default_rng(0), *pair)
    assert [(label == number).sum() for number in (5, 20)] == [189, 115]
    np.testing.assert_allclose(image.sum(dtype=np.float64), 198.96471, rtol=1e-6)


def test_volumes(pair):
    image, label = (np.stack([part] * 12) for part in pair)
    moved = augment.mri()(np.random.default_rng(0), image, label)
    assert [part.shape for part in moved] == [(12, 40, 32, 1), (12, 40, 32)]
    assert moved[0][..., 0][moved[1] == 5].mean() > 0.25


@pytest.mark.parametrize("strength", [-0.1, 2.1, np.nan])
def test_bad_strength(strength):
    with pytest.raises(ValueError, match="strength is in .0, 2."):
        augment.mri(strength)
