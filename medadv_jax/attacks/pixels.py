"""What attacks on dense outputs ask of each pixel; a class is the output of one pixel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def valid(
    label: Int[Array, "*dense"], target: Int[Array, "*dense"] | None = None
) -> Bool[Array, "*dense"]:
    """Whether a pixel counts: its label is not negative, and neither is its target.

    >>> print(valid(jnp.array([1, 0, -1]), jnp.array([0, -1, 0])))
    [ True False False]
    """
    return label >= 0 if target is None else (label >= 0) & (target >= 0)


def right(logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]) -> Bool[Array, "*dense"]:
    """Whether a pixel that counts is predicted as its label; no gradient flows through it.

    >>> print(right(jnp.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), jnp.array([1, 0, -1])))
    [ True False False]
    """
    return (jnp.argmax(jax.lax.stop_gradient(logits), axis=-1) == label) & valid(label)


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
    counts = valid(label, target)
    standing = right(logits, label) if target is None else counts & ~right(logits, target)
    return jnp.where(jnp.isfinite(logits).all(), jnp.sum(standing), jnp.sum(counts))


withstanding = jax.jit(jax.vmap(withstand))
"""`withstand` of a batch, `(b,)`."""
