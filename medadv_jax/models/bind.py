"""From a Flax module and its variables to a `Predict`; the one place of input normalisation."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import flax.linen as nn
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from medadv_jax.types import PRNGKey, Variables

Statistic: TypeAlias = ArrayLike | Sequence[float | int]
"""A mean or a standard deviation of pixels: one number, or one number a channel."""


def normalise(
    images: Float[Array, "b *space c"], mean: Statistic = 0.5, std: Statistic = 0.5
) -> Float[Array, "b *space c"]:
    r"""Shifts and scales pixels, $(x - \mathrm{mean}) / \mathrm{std}$.

    Args:
      images: `(b, *space, c)`, pixels in [0, 1].
      mean: One number, or `(c,)`.
      std: One number, or `(c,)`.

    Returns:
      An array like `images`.

    >>> print(normalise(jnp.array([[0.0, 1.0]]), mean=(0.5, 0.0), std=0.5))
    [[-1.  2.]]
    """
    return (images - _spread(mean, images)) / _spread(std, images)


def apply(
    model: nn.Module,
    variables: Variables,
    images: Float[Array, "b *space c"],
    *,
    mean: Statistic = 0.5,
    std: Statistic = 0.5,
    train: bool = False,
    key: PRNGKey | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Normalises images and runs a model: training and `Predict` share this function.

    Args:
      model: A Linen module, called as `model.apply(variables, images, train=...)`.
      variables: Its `params` and `batch_stats`.
      images: `(b, *space, c)`, pixels in [0, 1].
      mean: Mean of the pixels, one number or `(c,)`.
      std: Standard deviation of the pixels, one number or `(c,)`.
      train: Whether BatchNorm uses (and learns) the statistics of the batch and dropout is on.
      key: Random key of dropout; needed only in training.

    Returns:
      The model's output (logits, or `(logits, aux)` of a net with its auxiliary head in training),
      and the new `batch_stats`.
    """
    images = normalise(images, mean, std)
    if not train:
        return model.apply(variables, images, train=False), variables.get("batch_stats", {})
    rngs = None if key is None else {"dropout": key}
    output, updated = model.apply(variables, images, train=True, rngs=rngs, mutable=["batch_stats"])
    return output, dict(updated).get("batch_stats", {})


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Bound:
    """A model in evaluation mode with its weights; `bind` makes it.

    A pytree: the module is structure, all arrays are leaves. So two bindings of one architecture
    share one compiled program, and weights enter it as arguments.

    Attributes:
      model: The Linen module, unbound.
      variables: Its `params` and `batch_stats`.
      mean: Mean of the pixels, `()` or `(c,)`.
      std: Standard deviation of the pixels, `()` or `(c,)`.
    """

    model: nn.Module = dataclasses.field(metadata=dict(static=True))
    variables: Any  # Any, since jax rebuilds pytrees with placeholders for the leaves
    mean: Any
    std: Any

    def __call__(self, images: Float[Array, "b *space c"], /) -> Float[Array, "b *dense k"]:
        """Returns the logits of a batch of images with pixels in [0, 1]."""
        logits, _ = apply(self.model, self.variables, images, mean=self.mean, std=self.std)
        return logits


def bind(
    model: nn.Module, variables: Variables, *, mean: Statistic = 0.5, std: Statistic = 0.5
) -> Bound:
    """Makes a `Predict` of a model and its weights.

    Args:
      model: A Linen module, called as `model.apply(variables, images, train=False)`.
      variables: Its `params` and `batch_stats`.
      mean: Mean of the pixels in [0, 1], one number or one a channel.
      std: Standard deviation of the pixels, likewise.

    Returns:
      A callable pytree from images in [0, 1] to logits.

    Raises:
      ValueError: A standard deviation is not positive, or a statistic has the wrong rank.
    """
    center, scale = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)
    for name, value in (("mean", center), ("std", scale)):
        if value.ndim > 1:
            raise ValueError(
                f"bind: {name} is one number or one a channel, got shape {value.shape}."
            )
    if not isinstance(scale, jax.core.Tracer) and not np.all(np.asarray(scale) > 0):
        raise ValueError(f"bind: std must be positive, got {std}.")
    return Bound(model, variables, center, scale)


def _spread(statistic: Statistic, images: Array) -> Array:
    """Gives a statistic the rank of the images, so that it broadcasts along the channels."""
    values = jnp.asarray(statistic, images.dtype)
    return values.reshape((1,) * (images.ndim - 1) + (-1,))
