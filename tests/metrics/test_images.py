import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medadv_jax import metrics


def pair(shape, noise, seed=0):
    rng = np.random.default_rng(seed)
    smooth = rng.random(shape).cumsum(axis=0).cumsum(axis=1)
    clean = np.float32(smooth / smooth.max())
    return clean, np.float32(np.clip(clean + rng.normal(0, noise, shape), 0, 1))


def reference(clean, perturbed):
    return structural_similarity(
        clean.astype(np.float64),
        perturbed.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )


def test_norms_in_closed_form():
    clean = jnp.full((4, 5, 3), 0.5)
    perturbed = clean.at[0, 0].set(0.75).at[2, 3, 1].set(0.25)
    assert metrics.l0(clean, perturbed) == 2
    np.testing.assert_allclose(metrics.l2(clean, perturbed), 0.5, rtol=1e-6)
    assert metrics.linf(clean, perturbed) == 0.25


@pytest.mark.parametrize("name", ["l0", "l2", "linf"])
def test_norms_of_identical_images(name):
    image = jnp.full((3, 3, 1), 0.3)
    assert getattr(metrics, name)(image, image) == 0


def test_l2_has_gradient_zero_at_identical_images():
    image = jnp.full((3, 3, 1), 0.3)
    assert not jax.grad(metrics.l2, 1)(image, image).any()


def test_psnr_equals_scikit_image():
    clean, perturbed = pair((12, 13, 3), 0.1)
    expected = peak_signal_noise_ratio(clean, perturbed, data_range=1)
    np.testing.assert_allclose(metrics.psnr(clean, perturbed), expected, rtol=1e-5)
    assert metrics.psnr(clean, clean) == np.inf


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.01, 0.3])
@pytest.mark.parametrize("shape", [(11, 11, 1), (16, 23, 3), (37, 53, 1), (12, 13, 11, 1)])
def test_ssim_equals_scikit_image(shape, noise):
    clean, perturbed = pair(shape, noise)
    np.testing.assert_allclose(
        metrics.ssim(clean, perturbed), reference(clean, perturbed), rtol=0, atol=1e-5
    )


def test_ssim_of_a_volume_is_not_the_mean_of_its_slices():
    clean, perturbed = pair((11, 17, 13, 1), 0.1)
    slices = np.mean([reference(*images) for images in zip(clean, perturbed, strict=True)])
    whole = metrics.ssim(clean, perturbed)
    np.testing.assert_allclose(whole, reference(clean, perturbed), rtol=0, atol=1e-5)
    assert abs(whole - slices) > 0.01


def test_ssim_border_is_left_out_as_in_scikit_image():
    clean, _ = pair((20, 20, 1), 0)
    perturbed = clean.copy()
    perturbed[0, 0] = 1 - perturbed[0, 0]
    expected = reference(clean, perturbed)
    np.testing.assert_allclose(metrics.ssim(clean, perturbed), expected, rtol=0, atol=1e-6)
    assert expected < 1


@pytest.mark.parametrize("level", [0.0, 0.9, 1.0])
def test_ssim_keeps_digits_where_an_image_is_bright_and_flat(level):
    clean = np.full((16, 16, 3), level, np.float32)
    perturbed = np.clip(clean + pair(clean.shape, 0.005)[1] * 0.004 - 0.002, 0, 1)
    np.testing.assert_allclose(
        metrics.ssim(clean, perturbed), reference(clean, perturbed), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_ssim_gradient_is_finite_on_constant_and_identical_images(level):
    image = jnp.full((12, 12, 1), level)
    for other in (image, jnp.full((12, 12, 1), 0.25)):
        value, gradient = jax.value_and_grad(metrics.ssim, 1)(image, other)
        chex.assert_tree_all_finite((value, gradient))
    assert metrics.ssim(image, image) == 1


def test_ssim_gradient_equals_finite_differences(key):
    clean, perturbed = pair((13, 12, 2), 0.1)
    direction = jax.random.normal(key, clean.shape)
    slope = jnp.vdot(jax.grad(metrics.ssim, 1)(clean, perturbed), direction)
    step = 1e-3
    ahead, behind = (reference(clean, perturbed + s * np.asarray(direction)) for s in (step, -step))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=2e-3)


def test_ssim_of_a_batch_is_that_of_its_images():
    pairs = [pair((12, 12, 1), 0.1, seed) for seed in range(3)]
    clean, perturbed = (np.stack([images[i] for images in pairs]) for i in range(2))
    together = jax.jit(jax.vmap(metrics.ssim))(clean, perturbed)
    chex.assert_shape(together, (3,))
    np.testing.assert_allclose(together, [metrics.ssim(*images) for images in pairs], rtol=1e-6)


def test_ssim_refuses_an_image_smaller_than_its_window():
    image = jnp.zeros((10, 40, 3))
    with pytest.raises(ValueError, match=r"at least 11 pixels.*\(10, 40, 3\)"):
        metrics.ssim(image, image)
