"""Inception V4: a branched stem and more, simpler blocks than V3."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.models.inception import (
    AuxHead,
    Conv,
    branch,
    check_images,
    check_options,
    max_pool,
)
from medadv_jax.models.layers import avg_pool

ROW, COLUMN = (1, 7), (7, 1)
HALF = functools.partial(Conv, kernel=(3, 3), strides=2, padding="VALID")


class Stem(nn.Module):
    """From the image to 384 channels on an eighth of its sides (the paper's figure 3).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the feature map."""
        conv = functools.partial(branch, width=self.width, train=train)
        x = conv(x, "conv", HALF(32), Conv(32, (3, 3), 1, "VALID"), Conv(64, (3, 3)))
        x = jnp.concatenate((max_pool(x), conv(x, "mixed_3a", HALF(96))), axis=-1)
        end = Conv(96, (3, 3), 1, "VALID")
        long = (Conv(64), Conv(64, ROW), Conv(64, COLUMN), end)
        branches = (conv(x, "mixed_4a_0", Conv(64), end), conv(x, "mixed_4a_1", *long))
        x = jnp.concatenate(branches, axis=-1)
        return jnp.concatenate((conv(x, "mixed_5a", HALF(192)), max_pool(x)), axis=-1)


class InceptionA(nn.Module):
    """Branches of one 1x1, one 3x3, two 3x3 convolutions, and pooling (the paper's figure 4).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        branches = (
            conv(x, "branch0", Conv(96)),
            conv(x, "branch1", Conv(64), Conv(96, (3, 3))),
            conv(x, "branch2", Conv(64), Conv(96, (3, 3)), Conv(96, (3, 3))),
            conv(avg_pool(x, count_padding=False), "branch3", Conv(96)),
        )
        return jnp.concatenate(branches, axis=-1)


class ReductionA(nn.Module):
    """Halves the sides of the first stage (the paper's figure 7 with k, l, m, n of table 1).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        branches = (
            conv(x, "branch0", HALF(384)),
            conv(x, "branch1", Conv(192), Conv(224, (3, 3)), HALF(256)),
            max_pool(x),
        )
        return jnp.concatenate(branches, axis=-1)


class InceptionB(nn.Module):
    """Branches of 7x7 convolutions factorised into 1x7 and 7x1 (the paper's figure 5).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        double = (Conv(192), Conv(192, COLUMN), Conv(224, ROW), Conv(224, COLUMN), Conv(256, ROW))
        branches = (
            conv(x, "branch0", Conv(384)),
            conv(x, "branch1", Conv(192), Conv(224, ROW), Conv(256, COLUMN)),
            conv(x, "branch2", *double),
            conv(avg_pool(x, count_padding=False), "branch3", Conv(128)),
        )
        return jnp.concatenate(branches, axis=-1)


class ReductionB(nn.Module):
    """Halves the sides of the second stage (the paper's figure 8).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        branches = (
            conv(x, "branch0", Conv(192), HALF(192)),
            conv(x, "branch1", Conv(256), Conv(256, ROW), Conv(320, COLUMN), HALF(320)),
            max_pool(x),
        )
        return jnp.concatenate(branches, axis=-1)


class InceptionC(nn.Module):
    """Branches that fork into 1x3 and 3x1 convolutions (the paper's figure 6).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        row, column = Conv(256, (1, 3)), Conv(256, (3, 1))
        single = conv(x, "branch1_1", Conv(384))
        double = conv(x, "branch2", Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)))
        branches = (
            conv(x, "branch0", Conv(256)),
            conv(single, "branch1_2a", row),
            conv(single, "branch1_2b", column),
            conv(double, "branch2_4a", row),
            conv(double, "branch2_4b", column),
            conv(avg_pool(x, count_padding=False), "branch3", Conv(256)),
        )
        return jnp.concatenate(branches, axis=-1)


class InceptionV4(nn.Module):
    """Inception V4 of Szegedy et al. 2016 (arXiv:1602.07261), with the layers of timm.

    Attributes:
      num_classes: Number of classes.
      width: Multiplies the channels of every layer, rounded down.
      repeats: Blocks of the three stages (A, B, C); the default is the paper's.
      aux: Whether there is an auxiliary head at the end of the second stage, as in TF-Slim.
      dropout: Share of the pooled features dropped in training; the paper keeps 0.8.
    """

    num_classes: int = 1000
    width: float = 1.0
    repeats: tuple[int, ...] = (4, 7, 3)
    aux: bool = False
    dropout: float = 0.2

    def __post_init__(self):
        """Refuses options that make no net."""
        check_options("InceptionV4", self.width, self.repeats)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], train: bool = False
    ) -> Float[Array, "b k"] | tuple[Float[Array, "b k"], Float[Array, "b k"]]:
        """Returns the logits of normalised images.

        Args:
          images: `(b, h, w, c)`, both sides at least 75.
          train: Whether to normalise by the batch, to drop features and to use the auxiliary head.

        Returns:
          `(b, num_classes)`; with `aux` in training a pair, the second by the auxiliary head.

        Raises:
          ValueError: A side is below 75.
        """
        check_images("InceptionV4", images.shape)
        x = Stem(self.width, name="stem")(images, train=train)
        for number in range(1, self.repeats[0] + 1):
            x = InceptionA(self.width, name=f"inception_a{number}")(x, train=train)
        x = ReductionA(self.width, name="reduction_a")(x, train=train)
        for number in range(1, self.repeats[1] + 1):
            x = InceptionB(self.width, name=f"inception_b{number}")(x, train=train)
        aux = None
        if self.aux and (train or self.is_initializing()):
            aux = AuxHead(self.num_classes, self.width, name="aux")(x, train=train)
        x = ReductionB(self.width, name="reduction_b")(x, train=train)
        for number in range(1, self.repeats[2] + 1):
            x = InceptionC(self.width, name=f"inception_c{number}")(x, train=train)
        x = nn.Dropout(self.dropout, deterministic=not train)(jnp.mean(x, axis=(1, 2)))
        logits = nn.Dense(self.num_classes, name="logits")(x)
        return (logits, aux) if aux is not None and train else logits
