"""The search over c of attacks that minimise "size of the change + c * loss", for one example."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

GROWTH = 10.0
"""Factor of c while no c was large enough."""
LARGEST = 1e10
"""Where c stops to grow."""


class Search(NamedTuple):
    """The interval in which the least c that fools is sought.

    Attributes:
      c: The weight of the loss in the minimisation that runs.
      low: The largest c that did not fool, 0 before there is one.
      high: The smallest c that fooled, infinite before there is one.
      number: How many minimisations have ended.
    """

    c: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    number: Int[Array, ""]


def first(c: Any) -> Search:
    """Returns the search before the first minimisation."""
    c = jnp.asarray(c, jnp.float32)
    return Search(c, jnp.zeros_like(c), jnp.full_like(c, jnp.inf), jnp.array(0))


def following(search: Search, success: Bool[Array, ""]) -> Search:
    """Returns the search after a minimisation: c grows until one has fooled, then it is bisected.

    Carlini's code, and Foolbox's, try the upper end once more in the last of ten or more searches.
    That would repeat a minimisation whose result is known, and is left out.

    >>> print(*following(first(1.0), jnp.array(False)))
    10.0 1.0 inf 1
    >>> print(*following(following(first(1.0), jnp.array(False)), jnp.array(True)))
    5.5 1.0 10.0 2
    """
    low = jnp.where(success, search.low, jnp.maximum(search.low, search.c))
    high = jnp.where(success, jnp.minimum(search.high, search.c), search.high)
    grown = jnp.minimum(GROWTH * search.c, LARGEST)
    c = jnp.where(jnp.isinf(high), grown, (low + high) / 2)
    return Search(c, low, high, search.number + 1)
