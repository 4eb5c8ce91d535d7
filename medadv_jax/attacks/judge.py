"""What counts as fooled: one rule for each kind of output, shared by attacks and engine."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import rows
from medadv_jax.attacks.pixels import valid

MET = 0.99
"""Least part of the pixels that are at their target where an image counts as fooled."""


def fooled(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    target: Int[Array, "*dense"] | None = None,
) -> Bool[Array, ""]:
    """Whether the output for one image is what an attack wants.

    Classes: the prediction is not the label, or is the target. Dense: no valid pixel keeps its
    label, or 99 % of the valid pixels are at their target, and so are 99 % of those whose target is
    not their label (else a target that changes less than 1 % of the image would be met by the clean
    one). Valid is where neither label nor target is negative; an image without valid pixels, or
    whose target is its label, is never fooled.
    Logits that are not finite fool nobody: no prediction can be read from them.

    Args:
      logits: `(*dense, k)` of one image.
      label: The true class of each pixel, or of the image.
      target: The wished-for class, None if any wrong class will do.

    Returns:
      A boolean scalar.

    >>> print(fooled(jnp.array([1.0, 2.0]), jnp.array(0)))
    True
    """
    prediction = jnp.argmax(logits, axis=-1)
    readable = jnp.isfinite(logits).all() & valid(label).any()
    if target is None:
        return readable & ~jnp.any((prediction == label) & valid(label))
    if label.ndim == 0:
        return readable & (prediction == target)
    counts = valid(label, target)
    due = counts & (target != label)
    met = lambda pixels: jnp.sum((prediction == target) & pixels) >= MET * jnp.sum(pixels)
    return readable & due.any() & met(counts) & met(due)


@jax.jit
def evaluate(predict: Any, images: Any) -> Any:
    """Returns the logits of a batch: one program for a model, whatever attacks it."""
    return predict(images)


def verdict(attack: Any, logits: Any, labels: Any, targets: Any) -> Any:
    """Returns which examples of a batch are fooled.

    Args:
      attack: A strong attack with a `fooled(logits, label, target)` of its own; None for `fooled`.
      logits: `(b, *dense, k)`.
      labels: `(b, *dense)`.
      targets: `(b, *dense)` or None.

    Returns:
      A boolean array `(b,)`.
    """
    if attack is None:
        return jax.vmap(fooled)(logits, labels, targets)
    one = lambda attack, *rest: attack.fooled(*rest)
    axes = (rows.axes(attack), 0, 0, 0)
    return jax.vmap(one, in_axes=axes)(attack, logits, labels, targets)


compiled_verdict = jax.jit(verdict)
