import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax.models import segmenter_layers


@pytest.mark.parametrize("shape", [(2, 5, 8, 3), (1, 1, 1, 1), (1, 3, 4, 6, 2)])
@pytest.mark.parametrize("multiple", [1, 2, 4, 8])
def test_sides_are_padded_with_the_edge_and_cropped(shape, multiple):
    x = jnp.arange(1.0, np.prod(shape) + 1).reshape(shape)
    padded = segmenter_layers.pad_sides(x, multiple)
    chex.assert_shape(
        padded, (shape[0], *(-(-side // multiple) * multiple for side in shape[1:-1]), shape[-1])
    )
    before = [(large - small) // 2 for large, small in zip(padded.shape, shape, strict=True)]
    place = np.ix_(
        *(
            np.clip(np.arange(large) - first, 0, small - 1)
            for large, small, first in zip(padded.shape, shape, before, strict=True)
        )
    )
    np.testing.assert_array_equal(padded, np.asarray(x)[place])
    np.testing.assert_array_equal(segmenter_layers.crop_sides(padded, shape[1:-1]), x)


@pytest.mark.parametrize("taps", [2, 3])
@pytest.mark.parametrize("space", [(3, 4), (1, 2), (2, 3, 2)])
def test_upconv_is_the_transposed_convolution(key, taps, space):
    dims = len(space)
    x = jax.random.normal(key, (2, *space, 5))
    up = segmenter_layers.UpConv(4, taps)
    kernel = jax.random.normal(jax.random.key(1), ((*(taps,) * dims, 5, 4)))
    params = {"kernel": kernel, "bias": jnp.arange(4.0)}

    def theirs(params, x):
        # Flax turns the kernel by half a turn; "SAME" drops the last pixel where there are 3 taps.
        turned = params["kernel"][(slice(None, None, -1),) * dims]
        conv = nn.ConvTranspose(4, (taps,) * dims, (2,) * dims, padding="SAME")
        return conv.apply({"params": {"kernel": turned, "bias": params["bias"]}}, x)

    def ours(params, x):
        return up.apply({"params": params}, x)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_pullback(form, params, x):
        y, pull = jax.vjp(form, params, x)
        return y, pull(jax.random.normal(jax.random.key(2), y.shape))

    values, pulled = value_and_pullback(ours, params, x)
    chex.assert_shape(values, (2, *(2 * side for side in space), 4))
    chex.assert_trees_all_close((values, pulled), value_and_pullback(theirs, params, x), atol=1e-4)


@pytest.mark.parametrize("taps, expected", [(2, [1, 2, 0, 0, 10, 20]), (3, [1, 2, 4, 0, 10, 20])])
def test_every_pixel_is_spread_by_the_kernel(taps, expected):
    x = jnp.array([1.0, 0.0, 10.0]).reshape(1, 1, 3, 1)
    kernel = jnp.zeros((taps, taps, 1, 1)).at[0].set(2.0 ** jnp.arange(taps).reshape(-1, 1, 1))
    variables = {"params": {"kernel": kernel, "bias": jnp.zeros(1)}}
    y = segmenter_layers.UpConv(1, taps).apply(variables, x)
    np.testing.assert_array_equal(y[0, :, :, 0], [expected, [0] * 6])
