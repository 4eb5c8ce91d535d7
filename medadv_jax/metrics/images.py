"""How far a perturbed image is from its clean image: norms, PSNR and SSIM.

Every function takes one pair of images, `(h, w, c)` or `(d, h, w, c)`, float32 in [0, 1], and
returns a scalar; `jax.vmap` makes it batched.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_Image: TypeAlias = Float[Array | np.ndarray, "*space c"]
WINDOW = 11
"""Length of the window of SSIM in pixels: no image side may be shorter."""
_SIGMA = 1.5


def l0(clean: _Image, perturbed: _Image) -> Int[Array, ""]:
    r"""How many pixels differ, $|\{p : x_p \ne x'_p\}|$.

    A pixel is a position: it counts once, however many of its channels differ.

    Args:
      clean: `(*space, c)`, in [0, 1].
      perturbed: Of the same shape.

    Returns:
      An int32 scalar, at most the product of `space`.

    >>> print(l0(jnp.zeros((2, 2, 3)), jnp.zeros((2, 2, 3)).at[0, 1].set(0.5)))
    1
    """
    return jnp.sum(jnp.any(clean != perturbed, axis=-1))


def l2(clean: _Image, perturbed: _Image) -> Float[Array, ""]:
    r"""Euclidean distance over all pixels and channels, $\sqrt{\sum (x - x')^2}$.

    Its gradient at identical images is zero.

    Args:
      clean: `(*space, c)`, in [0, 1].
      perturbed: Of the same shape.

    Returns:
      A scalar in the unit of the pixels.

    >>> print(l2(jnp.zeros((2, 2, 1)), jnp.full((2, 2, 1), 0.5)))
    1.0
    """
    square = jnp.sum(jnp.square(perturbed - clean))
    # The root of a masked value: the derivative of the root at zero is infinite.
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def linf(clean: _Image, perturbed: _Image) -> Float[Array, ""]:
    r"""Largest change of any pixel in any channel, $\max |x - x'|$.

    Args:
      clean: `(*space, c)`, in [0, 1].
      perturbed: Of the same shape.

    Returns:
      A scalar in [0, 1].

    >>> print(linf(jnp.zeros((2, 2, 1)), jnp.zeros((2, 2, 1)).at[1, 1].set(0.25)))
    0.25
    """
    return jnp.max(jnp.abs(perturbed - clean))


def psnr(clean: _Image, perturbed: _Image) -> Float[Array, ""]:
    r"""Peak signal-to-noise ratio, $-10 \log_{10} \mathrm{mean}((x - x')^2)$, of pixels in [0, 1].

    Args:
      clean: `(*space, c)`, in [0, 1].
      perturbed: Of the same shape.

    Returns:
      A scalar in decibel, infinite for identical images.

    >>> print(psnr(jnp.zeros((2, 2, 1)), jnp.full((2, 2, 1), 0.1)).round(3))
    20.0
    """
    return -10 * jnp.log10(jnp.mean(jnp.square(perturbed - clean)))


def ssim(clean: _Image, perturbed: _Image) -> Float[Array, ""]:
    r"""Mean structural similarity under a Gaussian window of 11 pixels and sigma 1.5.

    The mean over channels and over all windows that lie wholly inside the image of

    $$\frac{2 \mu_x \mu_y + c_1}{\mu_x^2 + \mu_y^2 + c_1}
      \cdot \frac{2 \sigma_{xy} + c_2}{\sigma_x^2 + \sigma_y^2 + c_2},
      \qquad c_1 = 0.01^2,\ c_2 = 0.03^2.$$

    The same number as `skimage.metrics.structural_similarity(..., gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1, channel_axis=-1)`; no colour space is changed. In a
    volume the window has three axes, so its SSIM is not the mean of that of its slices. Each
    factor is computed as one minus the share that the difference d = y - x adds, for example
    $1 - \sigma_d^2 / (\sigma_x^2 + \sigma_y^2 + c_2)$: nearly equal images lose no digits, equal
    images have SSIM 1 and gradient zero.

    Args:
      clean: `(h, w, c)` or `(d, h, w, c)`, in [0, 1], every side at least 11.
      perturbed: Of the same shape.

    Returns:
      A scalar in [-1, 1], differentiable everywhere.

    Raises:
      ValueError: A side is shorter than the window.

    >>> print(f"{ssim(jnp.ones((11, 11, 1)), jnp.full((11, 11, 1), 0.5)):.3f}")
    0.800

    Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to
    structural similarity, 2004.
    """
    if min(clean.shape[:-1]) < WINDOW:
        raise ValueError(
            f"SSIM needs sides of at least {WINDOW} pixels, the length of its window; "
            f"got an image of shape {clean.shape}."
        )
    # Variances do not depend on the origin; around mid-grey they lose the fewest digits.
    x, y = clean - 0.5, perturbed - 0.5
    d = y - x
    mean_x, mean_d, square_d, squares = _smooth(jnp.stack([x, d, d * d, x * x + y * y]))
    mean_y = mean_x + mean_d
    variances = squares - mean_x**2 - mean_y**2
    luminance = 1 - mean_d**2 / ((mean_x + 0.5) ** 2 + (mean_y + 0.5) ** 2 + 0.01**2)
    contrast = 1 - (square_d - mean_d**2) / (variances + 0.03**2)
    return jnp.mean(luminance * contrast)


def _smooth(maps: Float[Array, "m *space c"]) -> Float[Array, "m *inner c"]:
    """Gaussian mean of every whole window, one axis of `space` after the other.

    A product with a banded matrix: on two CPU cores the gradient of SSIM takes a quarter to a half
    of the time that it takes with sums of shifted images.
    """
    for axis in range(1, maps.ndim - 1):
        band = _band(maps.shape[axis])
        # Full float32 also where an accelerator would round the factors of a product.
        product = jnp.tensordot(band, maps, (1, axis), precision=jax.lax.Precision.HIGHEST)
        maps = jnp.moveaxis(product, 0, axis)
    return maps


def _band(size: int) -> np.ndarray:
    """The `(size - 10, size)` matrix whose rows are the window, each one pixel further."""
    window = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / _SIGMA) ** 2)
    rows = np.arange(size - WINDOW + 1)[:, None]
    band = np.zeros((size - WINDOW + 1, size), np.float32)
    band[rows, rows + np.arange(WINDOW)] = window / window.sum()
    return band
