"""What attacks on dense outputs ask of each pixel; a class is the output of one pixel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def right(logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]) -> Bool[Array, "*dense"]:
    """Whether a pixel that counts is predicted as its label; no gradient flows through it.

    >>> print(right(jnp.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), jnp.array([1, 0, -1])))
    [ True False False]
    """
    return (jnp.argmax(jax.lax.stop_gradient(logits), axis=-1) == label) & (label >= 0)


def at(logits: Float[Array, "*dense k"], classes: Int[Array, "*dense"]) -> Float[Array, "*dense"]:
    """Returns the logit of one class a pixel; where that is -1, some logit."""
    chosen = jnp.maximum(classes, 0)[..., None]
    return jnp.take_along_axis(logits, chosen, axis=-1)[..., 0]


def withstand(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    target: Int[Array, "*dense"] | None = None,
) -> Int[Array, ""]:
    """Returns how many pixels are not yet what an attack wants, all if logits are not finite.

    Args:
      logits: `(*dense, k)` of one image.
      label: The true classes; -1 marks a pixel that does not count.
      target: The wished-for classes, None if any wrong class will do.

    Returns:
      An integer: the valid pixels that keep their label, or that are not at their target.

    >>> print(withstand(jnp.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), jnp.array([1, 0, -1])))
    1
    """
    valid = label >= 0
    if target is None:
        standing = right(logits, label)
    else:
        valid = valid & (target >= 0)
        standing = valid & ~right(logits, target)
    return jnp.where(jnp.isfinite(logits).all(), jnp.sum(standing), jnp.sum(valid))
