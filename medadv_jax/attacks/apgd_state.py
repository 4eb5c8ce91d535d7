"""How APGD keeps track of its progress: the state, and what a look at the model changes in it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import norms
from medadv_jax.types import Image

MOMENTUM = 0.75
"""Share of the new direction in a step; the rest goes on along the step before."""
LONG = 2.0
"""Length of the first steps in units of the radius."""


class APGDState(NamedTuple):
    """The state of APGD.

    Attributes:
      image: The best image for the attacker so far, in the stage that runs.
      current: The iterate, at which the next step looks.
      previous: The iterate before, for the momentum.
      best: The iterate with the highest loss, where a shorter step starts anew.
      slope: The gradient at `best`.
      top: The loss at `best`.
      value: The loss at `previous`.
      kept: The loss at `image`.
      standing: How many pixels still withstand at `image`.
      length: Length of a step in units of the radius.
      rises: How many steps since the checkpoint before have raised the loss.
      past: The highest loss at the checkpoint before.
      halved: Whether the step was halved at the checkpoint before, or there was none.
      number: The look of the plan that comes next.
      share: In L1, of the pixels that a step changes.
      differ: In L1, how many pixels of `best` differed at the checkpoint before.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, "*dense"]
    target: Int[Array, "*dense"] | None
    current: Float[Array, "*space c"]
    previous: Float[Array, "*space c"]
    best: Float[Array, "*space c"]
    slope: Float[Array, "*space c"]
    top: Float[Array, ""]
    value: Float[Array, ""]
    kept: Float[Array, ""]
    standing: Int[Array, ""]
    length: Float[Array, ""]
    rises: Int[Array, ""]
    past: Float[Array, ""]
    halved: Bool[Array, ""]
    number: Int[Array, ""]
    share: Float[Array, ""]
    differ: Float[Array, ""]


class Look(NamedTuple):
    """What a look at the model at the iterate has shown."""

    value: Float[Array, ""]
    gradient: Float[Array, "*space c"]
    standing: Int[Array, ""]
    hit: Bool[Array, ""]


def record(state: APGDState, look: Look, first: Any, by_loss: bool) -> APGDState:
    """Keeps what was seen: the best image of both kinds, and whether the loss has risen.

    Args:
      state: The state before the look at `current`.
      look: What was seen there.
      first: Whether a stage starts here, so that nothing of before counts.
      by_loss: Whether the image to return is the one with the highest loss.
    """
    better = first | (look.value > state.top)
    fewer = look.standing < state.standing
    tied = (look.standing == state.standing) & (look.value > state.kept)
    wins = better if by_loss else first | fewer | tied
    return state._replace(
        image=jnp.where(wins, state.current, state.image),
        kept=jnp.where(wins, look.value, state.kept),
        standing=jnp.where(wins, look.standing, state.standing),
        best=jnp.where(better, state.current, state.best),
        slope=jnp.where(better, look.gradient, state.slope),
        top=jnp.where(better, look.value, state.top),
        value=look.value,
        rises=jnp.where(first, 0, state.rises + (look.value > state.value)),
        length=jnp.where(first, LONG, state.length),
        past=jnp.where(first, look.value, state.past),
        halved=state.halved | first,
    )


def checkpoint(state: APGDState, gradient: Image, window: Any, rho: Any) -> tuple[APGDState, Image]:
    """Halves the step and goes back to the best iterate where it is time and progress is poor.

    Args:
      state: The state after `record`.
      gradient: At `current`.
      window: Steps since the checkpoint before, 0 if this is none.
      rho: The share of them that has to raise the loss.

    Returns:
      The state, and the gradient at its `current`.
    """
    due = window > 0
    few = state.rises <= rho * window
    idle = ~state.halved & (state.top <= state.past)
    halve = due & (few | idle)
    state = state._replace(
        current=jnp.where(halve, state.best, state.current),
        length=jnp.where(halve, state.length / 2, state.length),
        halved=jnp.where(due, halve, state.halved),
        past=jnp.where(due, state.top, state.past),
        rises=jnp.where(due, 0, state.rises),
    )
    return state, jnp.where(halve, state.slope, gradient)


def move(state: APGDState, gradient: Image, radius: Any, first: Any, norm: str) -> Image:
    """Returns the next iterate; the first step of a stage has no momentum."""
    ahead = norms.ascend(state.current, gradient, state.length * radius, norm)
    ahead = norms.project(ahead, state.clean, radius, norm) - state.current
    share = jnp.where(first, 1.0, MOMENTUM)
    moved = state.current + share * ahead + (1 - share) * (state.current - state.previous)
    return norms.project(moved, state.clean, radius, norm)
