"""The distributions of the noise, and that random attacks draw anew for every key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import toy

from medadv_jax import attacks

SHAPE = (40, 40, 3)


def changes(attack, key, pixel=0.5):
    """The changes of two equal images whose pixels are all the same."""
    images = jnp.full((2, *SHAPE), pixel)
    model = toy.linear(0, SHAPE, 2, scale=0.1)
    result = attacks.run(attack, key, model, images, toy.predictions(model, images))
    return np.asarray(result.images - images)


def test_gaussian_noise_is_normal_with_its_sigma(key):
    change = changes(attacks.GaussianNoise(sigma=0.05), key) / 0.05
    assert abs(change.mean()) < 0.04 and abs(change.std() - 1) < 0.03
    for quantile, part in ((-1, 0.1587), (0, 0.5), (1, 0.8413), (2, 0.9772)):
        assert abs((change < quantile).mean() - part) < 0.02


def test_uniform_noise_is_uniform_between_minus_and_plus_eps(key):
    change = changes(attacks.UniformNoise(eps=0.2), key) / 0.2
    assert np.abs(change).max() <= 1 + 1e-6
    for quantile in (-0.9, -0.5, 0, 0.5, 0.9):
        assert abs((change < quantile).mean() - (quantile + 1) / 2) < 0.02


def test_sign_noise_moves_every_pixel_by_eps_up_or_down(key):
    change = changes(attacks.SignNoise(eps=0.1), key)
    np.testing.assert_allclose(np.abs(change), 0.1, atol=1e-6)
    assert abs((change > 0).mean() - 0.5) < 0.02


def test_what_leaves_the_range_is_clipped(key):
    change = changes(attacks.SignNoise(eps=0.1), key, pixel=0.95)
    np.testing.assert_allclose(np.unique(change.round(4)), [-0.1, 0.05], atol=1e-6)


RANDOM = [
    attacks.GaussianNoise(sigma=0.1),
    attacks.RicianNoise(sigma=0.1),
    attacks.UniformNoise(eps=0.1),
    attacks.SignNoise(eps=0.1),
    attacks.PGD(eps=0.1, steps=1, step_size=1e-6),
    attacks.PGD(eps=0.1, steps=1, step_size=1e-6, norm="l2"),
    attacks.PGD(eps=0.1, steps=1, step_size=1e-6, norm="l1"),
]


@pytest.mark.parametrize("kind", RANDOM)
def test_every_example_and_every_key_has_its_own_draw(kind, key):
    one, two = changes(kind, key)
    other = changes(kind, jax.random.key(1))[0]
    for a, b in ((one, two), (one, other)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixel", [0.0, 0.1, 0.5])
def test_rician_noise_is_a_rice_variable(pixel, channels, key):
    image = jnp.full((2, 60, 60, channels), pixel)
    model = toy.linear(0, image.shape[1:], 2, scale=0.1)
    noise = attacks.RicianNoise(sigma=0.05)
    noisy = attacks.run(noise, key, model, image, toy.predictions(model, image)).images
    values = np.asarray(noisy, np.float64)
    rice = scipy.stats.rice(pixel / 0.05, scale=0.05)
    mean, variance, kurtosis = rice.stats(moments="mvk")
    error = np.sqrt(variance / values.size)
    assert abs(values.mean() - mean) < 4 * error
    assert abs(values.var() / variance - 1) < 4 * np.sqrt((kurtosis + 2) / values.size)
    for quantile in (0.05, 0.3, 0.7, 0.95):
        below = (values < rice.ppf(quantile)).mean()
        assert abs(below - quantile) < 4 * np.sqrt(quantile * (1 - quantile) / values.size)
    one, two = values[0].ravel(), values[1].ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06
    if channels > 1:  # each channel has its own noise
        assert abs(np.corrcoef(values[..., 0].ravel(), values[..., 1].ravel())[0, 1]) < 0.06
