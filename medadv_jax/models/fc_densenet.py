"""FC-DenseNet, the Tiramisu: dense blocks on the way down and up, joined by skip connections."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.models.layers import batch_norm
from medadv_jax.models.pooling import max_pool
from medadv_jax.models.segmenter_layers import (
    UpConv,
    check_images,
    check_options,
    crop_sides,
    pad_sides,
)

VARIANTS = {
    56: (12, (4, 4, 4, 4, 4, 4)),
    67: (16, (5, 5, 5, 5, 5, 5)),
    103: (16, (4, 5, 7, 10, 12, 15)),
}
"""The paper's nets by their number of layers: growth, and layers of the blocks, bottleneck last."""


class Layer(nn.Module):
    """Batch normalisation, ReLU, convolution, dropout.

    Attributes:
      features: Channels of the output.
      side: Side of the kernel.
      dropout: Share of the output dropped in training.
    """

    features: int
    side: int
    dropout: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the feature map."""
        x = nn.relu(batch_norm("bn", train)(x))
        x = nn.Conv(self.features, (self.side, self.side), name="conv")(x)
        return nn.Dropout(self.dropout, deterministic=not train)(x)


class DenseBlock(nn.Module):
    """Layers of which each sees the input and the output of all before it.

    Attributes:
      layers: Number of layers.
      growth: Channels of each layer's output.
      dropout: See `Layer`.
    """

    layers: int
    growth: int
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *, train: bool
    ) -> tuple[Float[Array, "b h w all"], Float[Array, "b h w new"]]:
        """Returns the input with the layers' outputs behind it, and the outputs alone."""
        given = x.shape[-1]
        for number in range(1, self.layers + 1):
            layer = Layer(self.growth, 3, self.dropout, name=f"layer{number}")
            x = jnp.concatenate([x, layer(x, train=train)], axis=-1)
        return x, x[..., given:]


class FCDenseNet(nn.Module):
    """FC-DenseNet of Jegou et al. 2017 (arXiv:1611.09326), for slices, as its authors' program.

    On the way up only what a block added is upsampled.
    Images are padded inside to a multiple of `2**poolings`, see `pad_sides`.

    Attributes:
      num_classes: Number of classes of a pixel, the background included.
      variant: 56, 67 or 103; sets `growth` and `layers` where these are None.
      layers: Layers of the blocks on the way down and, last, of the bottleneck; the way up mirrors
        the way down, so n numbers are n - 1 poolings.
      growth: Channels that every layer adds at width 1.
      first: Channels of the first convolution at width 1.
      width: Multiplies `growth` and `first`, rounded down, at least 1.
      dropout: Share of every layer's output dropped in training.
    """

    num_classes: int = 2
    variant: int = 103
    layers: tuple[int, ...] | None = None
    growth: int | None = None
    first: int = 48
    width: float = 1.0
    dropout: float = 0.2

    def __post_init__(self):
        """Refuses options that make no net."""
        check_options("FCDenseNet", self.width, self.dropout)
        if self.variant not in VARIANTS:
            raise ValueError(f"FCDenseNet has variants {[*VARIANTS]}, got variant={self.variant}.")
        if self.layers is not None and (len(self.layers) < 2 or min(self.layers) < 1):
            raise ValueError(
                f"FCDenseNet needs 2 or more layers, each at least 1, got layers={self.layers}."
            )
        for name, value in (("growth", self.growth), ("first", self.first)):
            if value is not None and value < 1:
                raise ValueError(f"FCDenseNet needs {name} >= 1, got {name}={value}.")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[Array, "b *space c"], train: bool = False
    ) -> Float[Array, "b *space {self.num_classes}"]:
        """Returns the logits of every pixel of normalised images.

        Args:
          images: `(b, h, w, c)`, of any size.
          train: Whether to normalise by the batch and to drop features.

        Returns:
          `(b, h, w, num_classes)`.

        Raises:
          ValueError: Images of another rank.
        """
        check_images("FCDenseNet", images.shape, 2)
        growth, layers = VARIANTS[self.variant]
        growth = max(1, int((self.growth or growth) * self.width))
        *down, bottleneck = self.layers or layers

        def block(x: Array, layers: int, name: str) -> tuple[Array, Array]:
            return DenseBlock(layers, growth, self.dropout, name=name)(x, train=train)

        x, skips = pad_sides(images, 2 ** len(down)), []
        x = nn.Conv(max(1, int(self.first * self.width)), (3, 3), name="first")(x)
        for level, n in enumerate(down, start=1):
            x, _ = block(x, n, f"down{level}")
            skips.append(x)
            x = Layer(x.shape[-1], 1, self.dropout, name=f"transition{level}")(x, train=train)
            x = max_pool(x)
        x, new = block(x, bottleneck, "bottleneck")
        for level in range(len(down), 0, -1):
            new = UpConv(new.shape[-1], taps=3, name=f"upconv{level}")(new)
            x = jnp.concatenate([new, skips[level - 1]], axis=-1)
            x, new = block(x, down[level - 1], f"up{level}")
        x = nn.Conv(self.num_classes, (1, 1), name="logits")(x)
        return crop_sides(x, images.shape[1:-1])
