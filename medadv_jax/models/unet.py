"""UNet: encoder and decoder joined by skip connections, for slices and for volumes."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.models.layers import ConvBN
from medadv_jax.models.pooling import max_pool
from medadv_jax.models.segmenter_layers import (
    UpConv,
    check_images,
    check_options,
    crop_sides,
    pad_sides,
)


class DoubleConv(nn.Module):
    """Two convolutions of three pixels a side, each normalised, with ReLU.

    Attributes:
      features: Channels of the output.
      dims: 2 or 3.
      normalise: See `ConvBN`.
    """

    features: int
    dims: int
    normalise: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b *space c"], *, train: bool) -> Float[Array, "b *space f"]:
        """Returns the feature map."""
        for name in ("conv1", "conv2"):
            conv = ConvBN(self.features, (3,) * self.dims, normalise=self.normalise, name=name)
            x = conv(x, train=train)
        return x


class UNet(nn.Module):
    """UNet of Ronneberger et al. 2015 (arXiv:1505.04597), in 2-D and 3-D.

    As the field uses it, it differs from the paper: convolutions keep the sides, so that a mask is
    as large as its image; batch normalisation (`batch_norm=False`: none, and biases, as there).
    Images are padded inside to a multiple of `2**depth`, see `pad_sides`.

    Attributes:
      num_classes: Number of classes of a pixel, the background included.
      width: Multiplies the channels of every level (64, 128, ... at width 1), rounded down.
      depth: How often the sides are halved; the channels double each time.
      dims: 2 for images `(b, h, w, c)`, 3 for volumes `(b, d, h, w, c)`.
      batch_norm: Whether every convolution of three pixels is normalised.
      dropout: Share of the features dropped in training at the end of the way down (the paper's 0.5
        stands in its program; here none unless asked for).
    """

    num_classes: int = 2
    width: float = 1.0
    depth: int = 4
    dims: int = 2
    batch_norm: bool = True
    dropout: float = 0.0

    def __post_init__(self):
        """Refuses options that make no net."""
        check_options("UNet", self.width, self.dropout)
        if self.dims not in (2, 3):
            raise ValueError(f"UNet has 2 or 3 dimensions, got dims={self.dims}.")
        if self.depth < 1:
            raise ValueError(f"UNet needs depth >= 1, got depth={self.depth}.")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[Array, "b *space c"], train: bool = False
    ) -> Float[Array, "b *space {self.num_classes}"]:
        """Returns the logits of every pixel of normalised images.

        Args:
          images: `(b, h, w, c)`, or `(b, d, h, w, c)` with `dims=3`; of any size.
          train: Whether to normalise by the batch and to drop features.

        Returns:
          `(b, *space, num_classes)`.

        Raises:
          ValueError: Images of another rank.
        """
        check_images("UNet", images.shape, self.dims)
        features = [int(64 * 2**level * self.width) for level in range(self.depth + 1)]
        drop = nn.Dropout(self.dropout, deterministic=not train)

        def convolve(x: Array, level: int, name: str) -> Array:
            return DoubleConv(features[level], self.dims, self.batch_norm, name=name)(
                x, train=train
            )

        x, skips = pad_sides(images, 2**self.depth), []
        for level in range(self.depth):
            x = convolve(x, level, f"down{level + 1}")
            x = drop(x) if level == self.depth - 1 else x
            skips.append(x)
            x = max_pool(x)
        x = drop(convolve(x, self.depth, "bottom"))
        for level in reversed(range(self.depth)):
            x = UpConv(features[level], name=f"upconv{level + 1}")(x)
            x = convolve(jnp.concatenate([skips[level], x], axis=-1), level, f"up{level + 1}")
        x = nn.Conv(self.num_classes, (1,) * self.dims, name="logits")(x)
        return crop_sides(x, images.shape[1:-1])
