"""What an attack wants more of: a loss of the label or, with a target, minus that of the target."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, Int

from medadv_jax import losses


def objective(
    loss: Callable[[Any, Any], Any],
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    target: Int[Array, "*dense"] | None,
) -> Float[Array, ""]:
    """Returns the loss of the label, or minus the loss of the target.

    Args:
      loss: Maps the logits and the label of one example to a scalar.
      logits: `(*dense, k)` of one example.
      label: The true classes.
      target: The wished-for classes, None if any wrong class will do.
    """
    return loss(logits, label) if target is None else -loss(logits, target)


def lead(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    target: Int[Array, "*dense"] | None,
) -> Float[Array, ""]:
    """Returns by how much what is wished for leads; positive exactly where a class is fooled.

    With a target that is the target before the best other class, else the best other class before
    the label.

    >>> import jax.numpy as jnp
    >>> print(lead(jnp.array([-3.0, -1.0, -9.0]), jnp.array(1), None))
    -2.0
    """
    return objective(losses.margin, logits, label, target)
