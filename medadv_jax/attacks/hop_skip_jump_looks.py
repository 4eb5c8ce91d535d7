"""The images that HopSkipJump looks at: on a way, around a point, along a direction."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfinv
from jaxtyping import Array, Float

from medadv_jax.attacks import norms
from medadv_jax.types import Image

LOWEST = np.nextafter(np.float32(-1), np.float32(0))
"""The least number of the noise, which is uniform up to 1; of -1 there is no normal variate."""
FINEST = 2.0**-22
"""Least relative threshold: finer points of a way are one and the same image in float32."""


def threshold(size: int, gamma: float, norm: Literal["l2", "linf"]) -> float:
    """Returns to what part of the way the boundary is met in an image of so many values."""
    return max(gamma / size ** (2.0 if norm == "linf" else 1.5), FINEST)


def parts(low: Any, count: int) -> Float[Array, " n"]:
    """Returns the points that part the way from `low` to 1 evenly, both ends left out."""
    return low + (1 - low) * jnp.arange(1, count + 1) / (count + 1)


def path(
    clean: Image, image: Image, parts: Float[Array, " n"], norm: Literal["l2", "linf"]
) -> Float[Array, "n *space c"]:
    """Returns the points on the way from the clean image (0) to another one (1).

    In L2 they are blends. In Linf the change is clipped to a part of its largest entry.
    """
    change = image - clean
    parts = jnp.expand_dims(parts, tuple(range(1, 1 + clean.ndim)))
    if norm == "l2":
        return clean[None] + parts * change[None]
    bounds = parts * norms.length(change, "linf")
    return clean[None] + jnp.clip(change[None], -bounds, bounds)


def probes(
    image: Image, noise: Float[Array, "n *space c"], delta: Any, norm: Literal["l2", "linf"]
) -> Float[Array, "n *space c"]:
    """Returns points around an image, at the L2 distance delta, then clipped to [0, 1].

    Args:
      image: The image.
      noise: Uniform in (-1, 1). In L2 it is made normal, so that all directions are alike.
      delta: The distance.
      norm: Of the attack.
    """
    directions = erfinv(noise) if norm == "l2" else noise
    return jax.vmap(lambda one: jnp.clip(norms.ascend(image, one, delta, "l2"), 0, 1))(directions)


def strides(
    image: Image, direction: Image, sizes: Float[Array, " n"], norm: Literal["l2", "linf"]
) -> Float[Array, "n *space c"]:
    """Returns where steps of several sizes lead, along a direction or its signs, in [0, 1]."""
    go = lambda size: jnp.clip(norms.ascend(image, direction, size, norm), 0, 1)
    return jax.vmap(go)(sizes)
