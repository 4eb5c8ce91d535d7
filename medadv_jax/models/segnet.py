"""SegNet: the convolutions of VGG16, and a decoder that unpools to where each maximum was."""

import flax.linen as nn
from jaxtyping import Array, Float

from medadv_jax.models.layers import ConvBN
from medadv_jax.models.pooling import max_pool_places, max_unpool
from medadv_jax.models.segmenter_layers import check_images, check_options, crop_sides, pad_sides

STAGES = (64, 128, 256, 512, 512)
"""Channels of each stage at width 1; after every stage the sides are halved."""


class SegNet(nn.Module):
    """SegNet of Badrinarayanan et al. 2015 (arXiv:1511.00561), for slices.

    The decoder mirrors the encoder; it gets no features from it, only the places of the maxima. The
    last convolution, of three pixels, gives the logits. Biases before a normalisation, which takes
    them away again, are left out.
    Images are padded inside to a multiple of `2**len(repeats)`, see `pad_sides`.

    Attributes:
      num_classes: Number of classes of a pixel, the background included.
      width: Multiplies the channels of every stage, rounded down.
      repeats: Convolutions of each stage, one to five stages; the default is VGG16.
      dropout: Share of the features dropped in training after the deepest three stages of the
        encoder and before those of the decoder's mirror (Bayesian SegNet, arXiv:1511.02680).
    """

    num_classes: int = 2
    width: float = 1.0
    repeats: tuple[int, ...] = (2, 2, 3, 3, 3)
    dropout: float = 0.0

    def __post_init__(self):
        """Refuses options that make no net."""
        check_options("SegNet", self.width, self.dropout)
        if not 1 <= len(self.repeats) <= len(STAGES) or min(self.repeats) < 1:
            raise ValueError(
                f"SegNet needs 1 to 5 repeats, each at least 1, got repeats={self.repeats}."
            )
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
        check_images("SegNet", images.shape, 2)
        depth = len(self.repeats)
        features = [int(n * self.width) for n in STAGES[:depth]]
        drop = nn.Dropout(self.dropout, deterministic=not train)

        def convolve(x: Array, name: str, *channels: int) -> Array:
            for number, n in enumerate(channels, start=1):
                x = ConvBN(n, (3, 3), name=f"{name}_{number}")(x, train=train)
            return x

        x, pooled = pad_sides(images, 2**depth), []
        for stage, (n, repeats) in enumerate(zip(features, self.repeats, strict=True)):
            x = convolve(x, f"down{stage + 1}", *[n] * repeats)
            space = x.shape[1:-1]
            x, places = max_pool_places(x)
            x = drop(x) if stage >= depth - 3 else x
            pooled.append((places, space))
        for stage in reversed(range(depth)):
            x = max_unpool(x, *pooled[stage])
            channels = [features[stage]] * (self.repeats[stage] - 1)
            if stage > 0:
                channels.append(features[stage - 1])
            x = convolve(x, f"up{stage + 1}", *channels)
            x = drop(x) if stage >= depth - 3 and stage > 0 else x
        x = nn.Conv(self.num_classes, (3, 3), name="logits")(x)
        return crop_sides(x, images.shape[1:-1])
