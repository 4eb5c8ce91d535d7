"""The shortest way from a point of the box [0, 1] to a hyperplane, without leaving the box."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.types import Image

TINY = jnp.finfo(jnp.float32).tiny
"""Floor of what is divided by."""


def to_hyperplane(point: Image, slope: Image, gap: Float[Array, ""], norm: str) -> Image:
    r"""Returns the shortest change that brings a point onto a hyperplane inside the box.

    $$\arg\min_d \|d\|_p \quad\text{with}\quad \langle w, t + d \rangle = b,\; t + d \in [0, 1]^n.$$

    Where the hyperplane misses the box, the change goes to the corner of the box that is nearest to
    it. All coordinates move against the sign of $\langle w, t \rangle - b$ until they meet the end
    of the box: in Linf all at the same speed, in L2 with the speed $|w_i|$, in L1 one after
    another, the steepest first. In Linf and L2 the time is found by Newton steps on a piecewise
    linear, concave function, of which a few lead to the exact root; in L1 the slopes are sorted.

    Args:
      point: t, `(*space, c)` in [0, 1].
      slope: w, of the same shape; its scale does not matter if that of `gap` is the same.
      gap: $\langle w, t \rangle - b$.
      norm: "linf", "l2" or "l1".

    Returns:
      d, of the shape of the point; 0 where the slope is 0.

    >>> step = to_hyperplane(jnp.array([0.5, 0.1]), jnp.ones(2), jnp.array(0.4), "l2")
    >>> print(*(f"{change:.2f}" for change in step))
    -0.30 -0.10

    Source: Croce, Hein, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", ICML 2020, section 3.2. The authors' code, and with it torchattacks, takes b and forms
    the gap of two large sums; it divides by w before it looks whether w is 0.
    """
    t, w = point.ravel(), slope.ravel()
    scale = jnp.maximum(jnp.max(jnp.abs(w)), TINY)
    gain, due = jnp.abs(w / scale), jnp.abs(gap / scale)
    down = jnp.sign(w) * jnp.where(gap < 0, -1, 1)  # the direction in which the gap shrinks
    room = jnp.where(down > 0, t, 1 - t)
    room = jnp.where(gain > 0, jnp.maximum(room, 0), 0)
    if norm == "l1":
        length = _one_by_one(gain, room, due)
    else:
        length = _together(gain, gain if norm == "l2" else jnp.ones_like(gain), room, due)
    return (-down * length).reshape(point.shape)


def _together(gain: Any, speed: Any, room: Any, due: Any) -> Any:
    """Returns min(time * speed, room), at the time when the sum of gain * length is what is due."""

    def later(value: tuple[Any, Any]) -> tuple[Any, Any]:
        # as if those that have met their end by now were the only ones to do so
        time = value[1]
        ended = time * speed >= room
        given = jnp.sum(jnp.where(ended, gain * room, 0))
        rate = jnp.sum(jnp.where(ended, 0, gain * speed))
        return time, jnp.clip((due - given) / jnp.maximum(rate, TINY), time, 1 / TINY)

    begin = (jnp.array(-1.0), jnp.array(0.0))
    time = jax.lax.while_loop(lambda value: value[1] > value[0], later, begin)[1]
    return jnp.minimum(time * speed, room)


def _one_by_one(gain: Any, room: Any, due: Any) -> Any:
    """Fills the rooms by falling gain until the sum of gain * length is what is due."""
    order = jnp.argsort(-gain)
    sorted_gain, sorted_room = gain[order], room[order]
    whole = sorted_gain * sorted_room
    left = due - (jnp.cumsum(whole) - whole)
    part = jnp.clip(left / jnp.maximum(sorted_gain, TINY), 0, sorted_room)
    return jnp.zeros_like(room).at[order].set(part)
