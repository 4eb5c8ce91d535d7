"""The difference of logits ratio: neither shift nor scale of the logits can saturate it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks.objective import lead
from medadv_jax.attacks.pixels import at, valid

FLOOR = 1e-12
"""Added to the spread of the logits that is divided by."""


def classes_needed(targeted: bool) -> int:
    """Returns how many classes the ratio needs; with fewer `dlr` is a margin."""
    return 4 if targeted else 3


def dlr(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    target: Int[Array, "*dense"] | None = None,
) -> Float[Array, ""]:
    r"""Difference of logits ratio; larger is better for an attack, untargeted or targeted.

    With $\pi$ the classes in the order of falling logits,

    $$-\frac{z_y - \max_{i \ne y} z_i}{z_{\pi_1} - z_{\pi_3}} \qquad\text{and}\qquad
      -\frac{z_y - z_t}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2}.$$

    The first needs 3 classes, the second 4. With fewer there is no scale to divide by, and the loss
    is a plain margin: $\max_{i \ne y} z_i - z_y$ for 2 classes, $z_t - \max_{i \ne t} z_i$ for 2
    or 3 with a target. (Other libraries fail there, or divide by zero.)

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, the true classes; -1 marks a pixel that does not count.
      target: `(*dense,)`, the wished-for classes, or None.

    Returns:
      A scalar, the mean over the pixels that count, 0 if none does.

    >>> print(dlr(jnp.array([4.0, 3.0, 0.0]), jnp.array(0)))  # -(4 - 3) / (4 - 0)
    -0.25
    >>> print(dlr(jnp.array([4.0, 3.0]), jnp.array(0)))
    -1.0

    Source: Croce, Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML 2020, equations 6 and 7.
    """
    if logits.shape[-1] < classes_needed(target is not None):
        return lead(logits, label, target)
    if target is None:
        top = jax.lax.top_k(logits, 3)[0]
        first, second, third = top[..., 0], top[..., 1], top[..., 2]
        own = at(logits, label)
        rival = jnp.where(jnp.argmax(logits, axis=-1) == label, second, first)
        ratio = (rival - own) / (first - third + FLOOR)
    else:
        top = jax.lax.top_k(logits, 4)[0]
        spread = top[..., 0] - (top[..., 2] + top[..., 3]) / 2
        ratio = (at(logits, target) - at(logits, label)) / (spread + FLOOR)
    return losses.mean(ratio, valid(label, target))
