"""What APGD does in L1: sparse steps, their own checkpoints, and the ball inside the box."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.attacks import norms
from medadv_jax.attacks.apgd_state import APGDState
from medadv_jax.types import Image, PRNGKey

FIRST_SHARE = 0.2
"""Share of the pixels that the first steps from a random start change."""
SPARSER = 1.5
"""By how much fewer pixels a step changes than differ at the best image."""
SHRINKS = 0.95
"""The best image has become sparser if fewer of the pixels differ than this share of before."""
SHORTER, SHORTEST = 1.5, 0.1
"""By what the step is divided where it has not, and its least length in units of the radius."""


def project(image: Image, clean: Image, eps: Any) -> Image:
    r"""Returns the nearest image in the L1 ball around the clean one and in [0, 1].

    Where the ball alone is projected onto and the result clipped, as by most libraries, the image
    stays inside the ball: pixels that have met the end of [0, 1] keep their part of the budget.

    Each pixel moves by $\min(\max(|d_i| - \lambda, 0), r_i)$ with the room $r_i$ up to the end of
    the box. The sum is piecewise linear in $\lambda$; its breakpoints are sorted.

    >>> clean, image = jnp.array([0.9, 0.5]), jnp.array([1.5, 0.7])
    >>> print(project(image, clean, 0.25))  # all that the first pixel can take, the rest the second
    [1.   0.65]

    Source: Croce, Hein, "Mind the box: l1-APGD for sparse adversarial attacks on image
    classifiers", ICML 2021, proposition 3.1.
    """
    change = (image - clean).ravel()
    wished = jnp.abs(change)
    room = jnp.where(change > 0, 1 - clean.ravel(), clean.ravel())
    at = jnp.concatenate([wished, wished - room])  # where a pixel starts to move, and is at its end
    rate = jnp.concatenate([jnp.ones_like(wished), -jnp.ones_like(wished)])
    order = jnp.argsort(-at)
    at, moving = at[order], jnp.cumsum(rate[order])
    # the sum at every breakpoint but the first
    after = jnp.cumsum(moving[:-1] * (at[:-1] - at[1:]))
    first = jnp.argmax(after >= eps)
    spent = jnp.where(first > 0, after[first - 1], 0)
    level = at[first] - (eps - spent) / jnp.maximum(moving[first], 1)
    level = jnp.where((after >= eps).any(), jnp.maximum(level, 0), 0)
    length = jnp.clip(wished - level, 0, room)
    return clean + (jnp.sign(change) * length).reshape(clean.shape)


def start(key: PRNGKey, clean: Image, eps: Any) -> Image:
    """Returns normal noise around the clean image, projected onto the ball and the box."""
    return project(clean + jax.random.normal(key, clean.shape), clean, eps)


def opened(state: APGDState, first: Any, fresh: bool) -> APGDState:
    """Sets what a stage begins with; `fresh` if that is a random start of no stage before it."""
    differ = differing(state.current, state.clean)
    share = FIRST_SHARE if fresh else differ / state.clean.size / SPARSER
    return state._replace(
        length=jnp.where(first, 1.0, state.length),
        share=jnp.where(first, share, state.share),
        differ=jnp.where(first, state.clean.size if fresh else differ, state.differ),
    )


def checkpoint(state: APGDState, gradient: Image, window: Any) -> tuple[APGDState, Image]:
    """Adapts the number of pixels to the best image, and the step to whether it grows sparser.

    Returns the state, and the gradient at its `current`.
    """
    due = window > 0
    differ = differing(state.best, state.clean)
    sparser = differ < SHRINKS * state.differ
    length = jnp.where(sparser, 1.0, jnp.maximum(state.length / SHORTER, SHORTEST))
    back = due & sparser
    state = state._replace(
        current=jnp.where(back, state.best, state.current),
        length=jnp.where(due, length, state.length),
        share=jnp.where(due, differ / state.clean.size / SPARSER, state.share),
        differ=jnp.where(due, differ, state.differ),
    )
    return state, jnp.where(back, state.slope, gradient)


def move(state: APGDState, gradient: Image, radius: Any) -> Image:
    """Returns the next iterate: the steepest pixels move by the same length, without momentum."""
    steep = jnp.abs(gradient)
    place = jnp.floor((1 - state.share) * steep.size).astype(jnp.int32)
    least = jnp.sort(steep.ravel())[jnp.clip(place, 0, steep.size - 1)]
    signs = jnp.where(steep >= least, jnp.sign(gradient), 0)
    step = state.length * radius * signs / jnp.maximum(jnp.sum(jnp.abs(signs)), 1)
    return project(state.current + step, state.clean, radius)


def corner(state: APGDState, radius: Any) -> Image:
    """Returns where the last step goes: the highest point for the slope at the best image."""
    return norms.ascend(state.clean, state.slope, radius, "l1")


def differing(image: Image, clean: Image) -> Float[Array, ""]:
    """Returns how many pixels, each channel for itself, differ from the clean image."""
    return jnp.sum(image != clean).astype(jnp.float32)
