"""What the segmentation nets share: padding to a multiple, and convolution that doubles sides."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def pad_sides(images: Float[Array, "b *space c"], multiple: int) -> Float[Array, "b *padded c"]:
    """Grows every side to the next multiple by repeating the pixels at the edge.

    Half of the new pixels lie before, half after (the odd one after). Unlike zeros, repeated pixels
    look like the image whatever its normalisation is. The nets pad their images by it, and crop
    their logits by `crop_sides`.

    Args:
      images: `(b, *space, c)`.
      multiple: What the sides shall be divisible by.

    Returns:
      `(b, *padded, c)`.

    >>> pad_sides(jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1), 8)[0, 0, :, 0]
    Array([1., 1., 2., 3., 4., 5., 5., 5.], dtype=float32)
    """
    missing = [-side % multiple for side in images.shape[1:-1]]
    if not any(missing):
        return images
    return jnp.pad(images, [(0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)], mode="edge")


def crop_sides(
    x: Float[Array, "b *padded c"], space: tuple[int, ...]
) -> Float[Array, "b *space c"]:
    """Takes the pixels that `pad_sides` added away.

    Args:
      x: `(b, *padded, c)`.
      space: The sides before the padding.

    Returns:
      `(b, *space, c)`.
    """
    before = [(large - small) // 2 for large, small in zip(x.shape[1:-1], space, strict=True)]
    places = (slice(first, first + side) for first, side in zip(before, space, strict=True))
    return x[:, *places]


class UpConv(nn.Module):
    r"""Transposed convolution by steps of two: every side doubles.

    $y[2i + t] = \sum x[i]\,k[t]$ along every side, for taps $t$ of 0, 1 (and 2; what this puts
    beyond the last pixel is dropped). It is computed as one convolution for all $2^d$ pixels of a
    window, whose channels are then dealt out: the same numbers as `nn.ConvTranspose`, whose weight
    gradient takes 13 to 30 times as long on CPU.

    Attributes:
      features: Channels of the output.
      taps: Sides of the kernel, 2 or 3.
    """

    features: int
    taps: int = 2

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"]) -> Float[Array, "b *double f"]:
        """Returns the feature map of doubled sides."""
        b, *space, c = x.shape
        dims = len(space)
        shape = (*(self.taps,) * dims, c, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if self.taps == 2:
            x = x @ jnp.moveaxis(kernel, -2, 0).reshape(c, -1)
        else:
            x = _convolve(x, _phases(kernel))
        x = x.reshape(b, *space, *(2,) * dims, self.features)
        order = itertools.chain.from_iterable((1 + i, 1 + dims + i) for i in range(dims))
        x = x.transpose(0, *order, 1 + 2 * dims).reshape(
            b, *(2 * side for side in space), self.features
        )
        return x + bias.reshape((1,) * (dims + 1) + (-1,))


def _phases(kernel: Array) -> Array:
    """Rearranges a kernel of three taps into one of two for each pixel of a window of two a side.

    The even pixel sees the previous pixel through tap 2 and its own through tap 0, the odd one its
    own through tap 1: per side, the taps [2, none] before and [0, 1] here.
    """
    dims = kernel.ndim - 2
    none = 3  # a tap of zeros
    kernel = jnp.pad(kernel, [*((0, 1),) * dims, (0, 0), (0, 0)])
    for axis in range(0, 2 * dims, 2):
        taps = jnp.array([[2, none], [0, 1]])  # (previous or own pixel, even or odd)
        kernel = jnp.take(kernel, taps, axis=axis)
    c, f = kernel.shape[-2:]
    pixels, phases = range(0, 2 * dims, 2), range(1, 2 * dims, 2)
    kernel = kernel.transpose(*pixels, 2 * dims, *phases, 2 * dims + 1)
    return kernel.reshape(*(2,) * dims, c, 2**dims * f)


def _convolve(x: Array, kernel: Array) -> Array:
    """Convolves every pixel together with the one before it."""
    dims = x.ndim - 2
    letters = "DHW"[-dims:]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return jax.lax.conv_general_dilated(
        x, kernel, (1,) * dims, [(1, 0)] * dims, dimension_numbers=layout
    )


def check_options(net: str, width: float, dropout: float) -> None:
    """Refuses widths and shares that make no net."""
    if not width >= 1 / 32:
        raise ValueError(f"{net} needs width >= 1/32, got width={width}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"{net} needs 0 <= dropout < 1, got dropout={dropout}.")


def check_images(net: str, shape: tuple[int, ...], dims: int) -> None:
    """Refuses images of another rank, and empty ones."""
    if len(shape) != dims + 2 or 0 in shape[1:]:
        space = "(b, h, w, c)" if dims == 2 else "(b, d, h, w, c)"
        raise ValueError(f"{net} of {dims} dimensions needs images {space}, got shape {shape}.")
