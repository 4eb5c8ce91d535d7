"""What the convolution nets share: convolution with normalisation, and depthwise convolution.

Layers whose XLA kernel is slow on CPU take another form there, with the same numbers.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Padding: TypeAlias = str | tuple[tuple[int, int], ...]
"""'SAME', 'VALID', or the zeros before and after each side: ((top, bottom), (left, right))."""


class ConvBN(nn.Module):
    """Convolution without bias, batch normalisation, activation.

    Attributes:
      features: Channels of the output.
      kernel: Sides of the kernel, as many as the image has.
      strides: Step of the kernel, the same along all sides.
      padding: See `Padding`.
      activation: Applied last.
      normalise: False leaves the normalisation out and gives the convolution a bias.
    """

    features: int
    kernel: tuple[int, ...] = (1, 1)
    strides: int = 1
    padding: Padding = "SAME"
    activation: Callable[[Array], Array] = nn.relu
    normalise: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"], *, train: bool) -> Float[Array, "b *grid f"]:
        """Returns the feature map."""
        # Normalisation forgives first weights that are too small; without it depth does not.
        draw = nn.initializers.lecun_normal() if self.normalise else nn.initializers.he_normal()
        x = nn.Conv(
            self.features,
            self.kernel,
            (self.strides,) * len(self.kernel),
            self.padding,
            use_bias=not self.normalise,
            kernel_init=draw,
            name="conv",
        )(x)
        return self.activation(batch_norm("bn", train)(x) if self.normalise else x)


class DepthwiseConvBN(nn.Module):
    """3x3 depthwise convolution without bias, batch normalisation, activation.

    Attributes:
      strides: Step of the kernel, the same along both sides.
      padding: See `Padding`.
      activation: Applied last.
    """

    strides: int = 1
    padding: Padding = "SAME"
    activation: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j c"]:
        """Returns the feature map, with the channels of the input."""
        kernel = self.param("kernel", nn.initializers.he_uniform(), (3, 3, 1, x.shape[-1]))
        x = depthwise_conv(x, kernel, self.strides, self.padding)
        return self.activation(batch_norm("bn", train)(x))


def batch_norm(name: str, train: bool) -> nn.BatchNorm:
    """Returns the batch normalisation of every net; epsilon as in torchvision, timm and Keras."""
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-3, name=name)


def depthwise_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "m n 1 c"],
    strides: int = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j c"]:
    """Convolves every channel with its own kernel.

    On CPU it is a sum of shifted products: XLA's grouped convolution takes about ten times as long.

    Args:
      x: `(b, h, w, c)`.
      kernel: `(m, n, 1, c)`.
      strides: Step of the kernel, the same along both sides.
      padding: See `Padding`.

    Returns:
      `(b, i, j, c)`.

    >>> depthwise_conv(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2)))[0, :, :, 0]
    Array([[4., 6., 6., 4.],
           [6., 9., 9., 6.],
           [6., 9., 9., 6.],
           [4., 6., 6., 4.]], dtype=float32)
    """
    form = _depthwise_shifted if on_cpu() else _depthwise_grouped
    return form(x, kernel, strides, padding)


def avg_pool(x: Float[Array, "b h w c"], *, count_padding: bool = True) -> Float[Array, "b h w c"]:
    """Averages every 3x3 window; the sides stay.

    Args:
      x: `(b, h, w, c)`.
      count_padding: Whether the zeros beyond the edge count as pixels.

    Returns:
      `(b, h, w, c)`.
    """
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=count_padding)


def on_cpu() -> bool:
    """Returns whether programs run on CPU unless told otherwise."""
    return jax.default_backend() == "cpu"


def _depthwise_grouped(x: Array, kernel: Array, strides: int, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise_shifted(x: Array, kernel: Array, strides: int, padding: Padding) -> Array:
    """The sum of shifted products, with a gradient of its own.

    The gradient that jax derives keeps nine copies of the input and adds nine padded arrays, and
    is two to four times slower. Its price: on CPU there is no forward-mode differentiation
    (`jax.jvp`) of the value; that of the gradient, a Hessian-vector product, there is.
    """
    return _depthwise_plain(x, kernel, strides, padding)


def _depthwise_plain(x: Array, kernel: Array, strides: int, padding: Padding) -> Array:
    before, after = _pads(x.shape, kernel.shape, strides, padding)
    x = _pad(x, before, after)
    rows, columns = (
        (side - taps) // strides + 1
        for side, taps in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    return _shifted_sum(x, kernel, rows, columns, strides)


def _depthwise_forward(x: Array, kernel: Array, strides: int, padding: Padding) -> Any:
    # Not the function with a gradient of its own, which would refuse to be pushed forward.
    return _depthwise_plain(x, kernel, strides, padding), (x, kernel)


def _depthwise_backward(strides: int, padding: Padding, saved: Any, slope: Array) -> Any:
    x, kernel = saved
    before, after = _pads(x.shape, kernel.shape, strides, padding)
    reach = [(side - 1) * strides + 1 for side in slope.shape[1:3]]
    padded = _pad(x, before, after)

    def tap(place: Array) -> Array:
        corner = (0, place[0], place[1], 0)
        seen = jax.lax.dynamic_slice(padded, corner, (x.shape[0], *reach, x.shape[3]))
        return jnp.sum(seen[:, ::strides, ::strides] * slope, axis=(0, 1, 2))

    # One tap after the other: nine at once need nine copies of the input.
    places = jnp.indices(kernel.shape[:2]).reshape(2, -1).T
    kernel_slope = jax.lax.map(tap, places).reshape(kernel.shape)

    # The input's gradient is such a sum too: over the slope, spread out, with the kernel turned.
    sides = zip(x.shape[1:3], kernel.shape[:2], before, reach, strict=True)
    low, high = zip(
        *((taps - 1 - first, side + first - far) for side, taps, first, far in sides), strict=True
    )
    spread = _pad(slope, low, high, between=strides - 1)
    rows, columns = x.shape[1:3]
    return _shifted_sum(spread, kernel[::-1, ::-1], rows, columns, 1), kernel_slope


_depthwise_shifted.defvjp(_depthwise_forward, _depthwise_backward)


def _shifted_sum(x: Array, kernel: Array, rows: int, columns: int, strides: int) -> Array:
    b, _, _, c = x.shape
    high, wide = (rows - 1) * strides + 1, (columns - 1) * strides + 1
    products = [
        jax.lax.slice(x, (0, i, j, 0), (b, i + high, j + wide, c), (1, strides, strides, 1))
        * kernel[i, j].reshape(1, 1, 1, c)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return functools.reduce(jnp.add, products)


def _pads(
    shape: tuple[int, ...], kernel: tuple[int, ...], strides: int, padding: Padding
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the zeros before both sides and those after them."""
    if isinstance(padding, str):
        pairs = jax.lax.padtype_to_pads(shape[1:3], kernel[:2], (strides, strides), padding)
    else:
        pairs = padding
    before, after = zip(*pairs, strict=True)
    return before, after


def _pad(x: Array, before: tuple[int, ...], after: tuple[int, ...], between: int = 0) -> Array:
    """Adds zeros around both sides (takes pixels away where negative) and between pixels."""
    sides = [(first, last, between) for first, last in zip(before, after, strict=True)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *sides, (0, 0, 0)])
