"""MobileNet v1: depthwise separable convolutions with a width multiplier."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.models.layers import ConvBN, DepthwiseConvBN

STAGES = (64, 128, 256, 512, 1024)
"""Channels of each stage at width 1; every stage but the first halves the sides."""


class SeparableBlock(nn.Module):
    """A 3x3 depthwise and a 1x1 pointwise convolution, each normalised, with ReLU6.

    Attributes:
      features: Channels of the output.
      strides: 1 or 2.
    """

    features: int
    strides: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the feature map."""
        # Keras pads a strided depthwise convolution below and to the right only.
        padding = "SAME" if self.strides == 1 else ((0, 1), (0, 1))
        x = DepthwiseConvBN(self.strides, padding, nn.relu6, name="depthwise")(x, train=train)
        return ConvBN(self.features, activation=nn.relu6, name="pointwise")(x, train=train)


class MobileNet(nn.Module):
    """MobileNet v1 of Howard et al. 2017 (arXiv:1704.04861), with the padding of Keras.

    Attributes:
      num_classes: Number of classes.
      width: Multiplies the channels of every layer (the paper's alpha), rounded down.
      repeats: Blocks of each of the five stages; the default is the paper's.
      dropout: Share of the pooled features dropped in training.
    """

    num_classes: int = 1000
    width: float = 1.0
    repeats: tuple[int, ...] = (1, 2, 2, 6, 2)
    dropout: float = 1e-3

    def __post_init__(self):
        """Refuses options that make no net."""
        if len(self.repeats) != len(STAGES) or min(self.repeats) < 1:
            raise ValueError(
                f"MobileNet needs 5 repeats, each at least 1, got repeats={self.repeats}."
            )
        if not self.width >= 1 / 32:
            raise ValueError(f"MobileNet needs width >= 1/32, got width={self.width}.")
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], train: bool = False
    ) -> Float[Array, "b {self.num_classes}"]:
        """Returns the logits of normalised images.

        Args:
          images: `(b, h, w, c)`, both sides at least 32.
          train: Whether to normalise by the batch and to drop features.

        Returns:
          `(b, num_classes)`.

        Raises:
          ValueError: A side is below 32.
        """
        if min(images.shape[1:3]) < 32:
            raise ValueError(
                f"MobileNet needs images of at least 32x32 pixels, got shape {images.shape}."
            )
        x = ConvBN(int(32 * self.width), (3, 3), strides=2, activation=nn.relu6, name="conv1")(
            images, train=train
        )
        number = 0
        for stage, (features, repeats) in enumerate(zip(STAGES, self.repeats, strict=True)):
            for repeat in range(repeats):
                number += 1
                strides = 2 if stage > 0 and repeat == 0 else 1
                x = SeparableBlock(int(features * self.width), strides, name=f"block{number}")(
                    x, train=train
                )
        x = jnp.mean(x, axis=(1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, name="logits")(x)
