"""The classes that an image is most likely taken for next."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def likeliest_others(
    logits: Float[Array, "*b k"], labels: Int[Array, "*b"], count: int
) -> Int[Array, "*b r"]:
    """Returns the classes with the highest logits, the label left out: at most k - 1 of them.

    >>> print(likeliest_others(jnp.array([3.0, 1.0, 2.0]), jnp.array(0), 9))
    [2 1]
    """
    classes = logits.shape[-1]
    own = labels[..., None] == jnp.arange(classes).reshape((1,) * labels.ndim + (-1,))
    return jax.lax.top_k(jnp.where(own, -jnp.inf, logits), min(count, classes - 1))[1]
