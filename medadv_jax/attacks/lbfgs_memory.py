"""The inverse Hessian of L-BFGS: the last steps, and how much the gradient changed by each.

`optax.scale_by_lbfgs` does not fit: it keeps pairs of negative curvature too, by which its
direction may point uphill, and it compares the very gradients that it is to turn into a direction,
which in a box are those without the pixels at its walls: they come and go.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.types import Image

CURVATURE = 1e-6
"""Least cosine between a step and the change of the gradient, for the pair to be kept."""


class Memory(NamedTuple):
    """Pairs of a step and a change of the gradient, the newest last.

    Attributes:
      steps: `(m, *space, c)`.
      changes: `(m, *space, c)`.
      weights: `(m,)`, one over the inner product of a pair; 0 where there is no pair.
      scale: Without pairs, the inverse Hessian is this times the identity.
    """

    steps: Float[Array, "m *space c"]
    changes: Float[Array, "m *space c"]
    weights: Float[Array, " m"]
    scale: Float[Array, ""]


def empty(image: Image, pairs: int, scale: float) -> Memory:
    """Returns a memory with room for some pairs and none in it."""
    none = jnp.zeros((pairs, *image.shape))
    return Memory(none, none, jnp.zeros(pairs), jnp.asarray(scale, jnp.float32))


def remember(memory: Memory, step: Image, change: Image) -> Memory:
    """Returns the memory with one more pair and without the oldest, if the pair is convex."""
    inner, square = jnp.sum(step * change), jnp.sum(change**2)
    good = inner > CURVATURE * jnp.sqrt(square * jnp.sum(step**2))
    push = lambda old, new: jnp.where(good, jnp.concatenate([old[1:], new[None]]), old)
    return Memory(
        steps=push(memory.steps, step),
        changes=push(memory.changes, change),
        weights=push(memory.weights, 1 / jnp.where(good, inner, 1)),
        scale=jnp.where(good, inner / jnp.where(good, square, 1), memory.scale),
    )


def newton(memory: Memory, slope: Image) -> Image:
    """Returns the inverse Hessian times a gradient, by the two loops of Nocedal (1980).

    >>> memory = empty(jnp.zeros((1, 1, 2)), 3, 1.0)  # of x ** 2 + 4 y ** 2
    >>> for step in jnp.eye(2)[:, None, None]:
    ...     memory = remember(memory, step, step * jnp.array([[[2.0, 8.0]]]))
    >>> print(newton(memory, jnp.array([[[2.0, 8.0]]])))
    [[[1. 1.]]]
    """
    pairs = (memory.steps, memory.changes, memory.weights)

    def down(slope: Any, pair: Any) -> tuple[Any, Any]:
        step, change, weight = pair
        part = weight * jnp.sum(step * slope)
        return slope - part * change, part

    def up(slope: Any, pair: Any) -> tuple[Any, None]:
        (step, change, weight), part = pair
        return slope + step * (part - weight * jnp.sum(change * slope)), None

    slope, parts = jax.lax.scan(down, slope, pairs, reverse=True)
    return jax.lax.scan(up, memory.scale * slope, (pairs, parts))[0]
