import numpy as np
import pytest

from medadv_jax.data.brain_deform import axes_of
from medadv_jax.data.brain_scan import FLUID, GREY, WHITE, contrast, rician, scan


def test_contrast_is_increasing_and_keeps_the_tissues_apart():
    for seed in range(20):
        curve = contrast(np.random.default_rng(seed), np.linspace(0, 1, 201).reshape(-1, 1, 1))
        assert curve[0] == 0 and np.all(np.diff(curve[:, 0, 0]) > 0)
        tissues = np.array([FLUID, GREY, WHITE]).reshape(-1, 1, 1)
        fluid, grey, white = contrast(np.random.default_rng(seed), tissues).ravel()
        assert 0.14 <= fluid <= 0.30 and 0.46 <= grey <= 0.64 and 0.78 <= white <= 0.92


def test_noise_has_the_moments_of_the_rician_distribution():
    for signal in (0.0, 0.1, 1.0):
        noisy = rician(np.random.default_rng(0), np.full((60, 60, 60), signal), 0.1)
        assert np.mean(noisy**2) == pytest.approx(signal**2 + 2 * 0.1**2, rel=0.01)
        assert noisy.min() >= 0
    # Without a signal it is Rayleigh's, whose mean is σ √(π/2); a Gaussian's magnitude is lower.
    air = rician(np.random.default_rng(1), np.zeros((60, 60, 60)), 0.1)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.01)


def test_a_scan_is_seeded_in_range_and_uneven():
    axes = axes_of((40, 40, 40), 4.0)
    head = np.full((40, 40, 40), GREY)
    image = scan(np.random.default_rng(0), head, axes)
    assert image.dtype == np.float32 and image.min() >= 0 and image.max() == 1
    assert np.mean(image == 1) < 0.002
    np.testing.assert_array_equal(image, scan(np.random.default_rng(0), head, axes))
    blocks = image.reshape(4, 10, 4, 10, 4, 10).mean((1, 3, 5))
    # The means of a thousand voxels: noise alone would make a deviation of about 0.1 %.
    assert 0.02 < blocks.std() / blocks.mean() < 0.2
