"""Inception V3: factorised convolutions in parallel branches."""

import functools
import string

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


class BlockA(nn.Module):
    """Branches of one 1x1, one 5x5, two 3x3 convolutions, and pooling (the paper's figure 5).

    Attributes:
      pool_features: Channels of the pooling branch at width 1.
      width: Multiplies all channels.
    """

    pool_features: int
    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        branches = (
            conv(x, "branch1x1", Conv(64)),
            conv(x, "branch5x5", Conv(48), Conv(64, (5, 5))),
            conv(x, "branch3x3dbl", Conv(64), Conv(96, (3, 3)), Conv(96, (3, 3))),
            conv(avg_pool(x), "branch_pool", Conv(self.pool_features)),
        )
        return jnp.concatenate(branches, axis=-1)


class BlockB(nn.Module):
    """Halves the sides of the first stage.

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        half = functools.partial(Conv, kernel=(3, 3), strides=2, padding="VALID")
        branches = (
            conv(x, "branch3x3", half(384)),
            conv(x, "branch3x3dbl", Conv(64), Conv(96, (3, 3)), half(96)),
            max_pool(x),
        )
        return jnp.concatenate(branches, axis=-1)


class BlockC(nn.Module):
    """Branches of 7x7 convolutions factorised into 1x7 and 7x1 (the paper's figure 6).

    Attributes:
      features: Channels within the branches at width 1.
      width: Multiplies all channels.
    """

    features: int
    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        n = self.features
        row, column = (1, 7), (7, 1)
        double = (Conv(n), Conv(n, column), Conv(n, row), Conv(n, column), Conv(192, row))
        branches = (
            conv(x, "branch1x1", Conv(192)),
            conv(x, "branch7x7", Conv(n), Conv(n, row), Conv(192, column)),
            conv(x, "branch7x7dbl", *double),
            conv(avg_pool(x), "branch_pool", Conv(192)),
        )
        return jnp.concatenate(branches, axis=-1)


class BlockD(nn.Module):
    """Halves the sides of the second stage.

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b i j f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        half = functools.partial(Conv, kernel=(3, 3), strides=2, padding="VALID")
        sevens = (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), half(192))
        branches = (
            conv(x, "branch3x3", Conv(192), half(320)),
            conv(x, "branch7x7x3", *sevens),
            max_pool(x),
        )
        return jnp.concatenate(branches, axis=-1)


class BlockE(nn.Module):
    """Branches that fork into 1x3 and 3x1 convolutions (the paper's figure 7).

    Attributes:
      width: Multiplies all channels.
    """

    width: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w f"]:
        """Returns the joined branches."""
        conv = functools.partial(branch, width=self.width, train=train)
        single = conv(x, "branch3x3_1", Conv(384))
        double = conv(x, "branch3x3dbl", Conv(448), Conv(384, (3, 3)))
        branches = (
            conv(x, "branch1x1", Conv(320)),
            conv(single, "branch3x3_2a", Conv(384, (1, 3))),
            conv(single, "branch3x3_2b", Conv(384, (3, 1))),
            conv(double, "branch3x3dbl_3a", Conv(384, (1, 3))),
            conv(double, "branch3x3dbl_3b", Conv(384, (3, 1))),
            conv(avg_pool(x), "branch_pool", Conv(192)),
        )
        return jnp.concatenate(branches, axis=-1)


class InceptionV3(nn.Module):
    """Inception V3 of Szegedy et al. 2015 (arXiv:1512.00567), with the layers of torchvision.

    Layers are called as in torchvision. It differs from torchvision's in that input is normalised
    outside (`models.bind`) and in the auxiliary head below 299 pixels (see `inception.AuxHead`).

    Attributes:
      num_classes: Number of classes.
      width: Multiplies the channels of every layer, rounded down.
      repeats: Blocks of the three stages (A, C, E); the default is the paper's.
      aux: Whether there is an auxiliary head at the end of the second stage.
      dropout: Share of the pooled features dropped in training.
    """

    num_classes: int = 1000
    width: float = 1.0
    repeats: tuple[int, ...] = (3, 4, 2)
    aux: bool = False
    dropout: float = 0.2

    def __post_init__(self):
        """Refuses options that make no net."""
        check_options("InceptionV3", self.width, self.repeats)
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
        check_images("InceptionV3", images.shape)
        x = self._stem(images, train)
        for name, pool_features in self._stage("Mixed_5", (32, 64, 64), self.repeats[0]):
            x = BlockA(pool_features, self.width, name=name)(x, train=train)
        x = BlockB(self.width, name="Mixed_6a")(x, train=train)
        for name, features in self._stage("Mixed_6", (128, 160, 192), self.repeats[1]):
            x = BlockC(features, self.width, name=name)(x, train=train)
        aux = None
        if self.aux and (train or self.is_initializing()):
            aux = AuxHead(self.num_classes, self.width, name="AuxLogits")(x, train=train)
        x = BlockD(self.width, name="Mixed_7a")(x, train=train)
        for name, _ in self._stage("Mixed_7", (0, 0, 0), self.repeats[2]):
            x = BlockE(self.width, name=name)(x, train=train)
        x = nn.Dropout(self.dropout, deterministic=not train)(jnp.mean(x, axis=(1, 2)))
        logits = nn.Dense(self.num_classes, name="fc")(x)
        return (logits, aux) if aux is not None and train else logits

    def _stem(self, x: Array, train: bool) -> Array:
        conv = functools.partial(branch, width=self.width, train=train)
        x = conv(x, "Conv2d_1a_3x3", Conv(32, (3, 3), 2, "VALID"))
        x = conv(x, "Conv2d_2a_3x3", Conv(32, (3, 3), 1, "VALID"))
        x = max_pool(conv(x, "Conv2d_2b_3x3", Conv(64, (3, 3))))
        x = conv(x, "Conv2d_3b_1x1", Conv(80))
        return max_pool(conv(x, "Conv2d_4a_3x3", Conv(192, (3, 3), 1, "VALID")))

    def _stage(
        self, prefix: str, features: tuple[int, int, int], repeats: int
    ) -> list[tuple[str, int]]:
        """Names the blocks of a stage, b onwards in the second and third stage as in the paper."""
        first, middle, last = features
        widths = [first, *[middle] * (repeats - 2), last][:repeats]
        letters = string.ascii_lowercase[1 : repeats + 1]
        return [(prefix + letter, n) for letter, n in zip(letters, widths, strict=True)]
