"""What Inception V3 and V4 share: branches, the auxiliary head, the rules for sizes and options."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.models.layers import ConvBN

SMALLEST = 75
"""Side of the smallest image that still leaves one pixel of the last feature map."""


class Conv(NamedTuple):
    """One convolution of a branch; `features` is its channels at width 1."""

    features: int
    kernel: tuple[int, int] = (1, 1)
    strides: int = 1
    padding: str = "SAME"


def branch(
    x: Float[Array, "b h w c"], name: str, *convs: Conv, width: float, train: bool
) -> Float[Array, "b i j f"]:
    """Applies convolutions one after the other, inside a compact module.

    Args:
      x: `(b, h, w, c)`.
      name: Name of a single convolution; several are called `name_1`, `name_2` and so on.
      *convs: The convolutions.
      width: Multiplies their channels.
      train: See `layers.ConvBN`.

    Returns:
      `(b, i, j, f)`, the feature map.
    """
    for number, conv in enumerate(convs, 1):
        x = ConvBN(
            scaled(conv.features, width),
            conv.kernel,
            conv.strides,
            conv.padding,
            name=name if len(convs) == 1 else f"{name}_{number}",
        )(x, train=train)
    return x


def scaled(features: int, width: float) -> int:
    """Returns the number of channels at a width, rounded down.

    >>> scaled(96, 0.25)
    24
    """
    return int(features * width)


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Takes the maximum of every second 3x3 window."""
    return nn.max_pool(x, (3, 3), strides=(2, 2))


class AuxHead(nn.Module):
    """The auxiliary classifier, which pulls at the middle of the net in training.

    Below 299 pixels the feature map is too small for its pooling and its 5x5 convolution; then the
    window shrinks to the map and the convolution pads with zeros, so that the weights are the same.

    Attributes:
      num_classes: Number of classes.
      width: Multiplies the channels of its convolutions.
    """

    num_classes: int
    width: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b k"]:
        """Returns the logits `(b, num_classes)` of a feature map."""
        window = (min(5, x.shape[1]), min(5, x.shape[2]))
        x = nn.avg_pool(x, window, strides=(3, 3))
        padding = "VALID" if min(x.shape[1:3]) >= 5 else "SAME"
        x = branch(x, "conv0", Conv(128), width=self.width, train=train)
        x = branch(x, "conv1", Conv(768, (5, 5), 1, padding), width=self.width, train=train)
        return nn.Dense(self.num_classes, name="fc")(jnp.mean(x, axis=(1, 2)))


def check_options(net: str, width: float, repeats: tuple[int, ...]) -> None:
    """Raises ValueError for options that make no net."""
    if len(repeats) != 3 or min(repeats) < 1:
        raise ValueError(f"{net} needs 3 repeats, each at least 1, got repeats={repeats}.")
    if not width >= 1 / 32:
        raise ValueError(f"{net} needs width >= 1/32, got width={width}.")


def check_images(net: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError for images that are too small."""
    if min(shape[1:3]) < SMALLEST:
        raise ValueError(
            f"{net} needs images of at least {SMALLEST}x{SMALLEST} pixels, got shape {shape}."
        )
