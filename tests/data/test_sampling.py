import numpy as np
import pytest
import scipy.ndimage

from medadv_jax.data import sampling
from medadv_jax.data.slices import Volume


@pytest.fixture
def volume():
    rng = np.random.default_rng(0)
    image = scipy.ndimage.gaussian_filter(rng.random((9, 8, 7)), 2).astype(np.float32)
    return Volume(image, rng.choice(np.array([0, 3, 27], np.uint8), image.shape), (1.0, 1.5, 2.0))


@pytest.mark.parametrize("spacing", [0.7, 1.0, 2.3, 40.0])
def test_labels_stay_labels_and_the_volume_its_extent(volume, spacing):
    new = sampling.resampled(volume, spacing)
    assert new.spacing == (spacing,) * 3
    assert (
        new.image.shape
        == new.label.shape
        == sampling.sampled_shape((9, 8, 7), volume.spacing, spacing)
    )
    assert set(np.unique(new.label)) <= {0, 3, 27} and new.label.dtype == np.uint8
    assert volume.image.min() <= new.image.min() and new.image.max() <= volume.image.max()
    for length, n, mm in zip(new.label.shape, (9, 8, 7), volume.spacing, strict=True):
        assert length == 1 or abs(length * spacing - n * mm) <= spacing / 2 + 1e-9


def test_a_ramp_stays_a_ramp_about_its_centre(volume):
    x = np.arange(9, dtype=np.float32) / 8
    ramp = volume._replace(image=np.broadcast_to(x[:, None, None], (9, 8, 7)))
    new = sampling.resampled(ramp, 0.9)  # 10 voxels over 9 mm
    inner = (np.arange(10) - 4.5) * 0.9 / 8 + 0.5
    np.testing.assert_allclose(new.image[:, 3, 3], np.clip(inner, 0, 1), atol=1e-6)


def test_equals_scipy(volume):
    new = sampling.resampled(volume, 1.2)
    grids = [
        np.clip((np.arange(m) - (m - 1) / 2) * 1.2 / mm + (n - 1) / 2, 0, n - 1)
        for m, n, mm in zip(new.label.shape, (9, 8, 7), volume.spacing, strict=True)
    ]
    places = np.meshgrid(*grids, indexing="ij")
    expected = scipy.ndimage.map_coordinates(volume.image, places, order=1)
    np.testing.assert_allclose(new.image, expected, atol=1e-5)
    nearest = scipy.ndimage.map_coordinates(volume.label, places, order=0)
    np.testing.assert_array_equal(new.label, nearest)


def test_its_own_spacing_changes_nothing(volume):
    own = volume._replace(spacing=(1.5, 1.5, 1.5))
    new = sampling.resampled(own, 1.5)
    np.testing.assert_array_equal(new.image, own.image)
    np.testing.assert_array_equal(new.label, own.label)


def test_percentiles_are_of_what_is_not_zero():
    image = np.zeros(1000, np.float32)
    image[:201] = np.arange(200, 401)
    scaled = sampling.scaled(image, "f")
    np.testing.assert_allclose(scaled[:201], np.clip((np.arange(201) - 1) / 198, 0, 1), atol=1e-6)
    assert not scaled[201:].any()


@pytest.mark.parametrize("spacing", [0, -1.0, np.nan, np.inf])
def test_bad_spacing(volume, spacing):
    with pytest.raises(ValueError, match="spacing is above 0 mm"):
        sampling.resampled(volume, spacing)
