"""What HopSkipJump knows of one image from step to step."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.types import Image, Label, PRNGKey

SEEK, PROJECT, ESTIMATE, STRIDE = range(4)
"""What a step does: seek a start, go to the boundary, estimate its normal, leave it again."""


class HopSkipJumpState(NamedTuple):
    """The state of HopSkipJump.

    Attributes:
      image: The nearest image that fools, the clean one before there is one.
      distance: Of that image, infinite before there is one.
      current: The image that fools from which the walk goes on.
      low: While going to the boundary: the farthest point known not to fool on the way from the
        clean image (0) to the current one (1).
      hits: While estimating: the sum of the moves that fooled.
      misses: The sum of those that did not.
      share: How many moves fooled.
      phase: What the next step does.
      looks: Steps that were taken in this phase.
      walked: Iterations that are complete.
      number: Steps that were taken.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, ""]
    target: Int[Array, ""] | None
    key: PRNGKey
    distance: Float[Array, ""]
    current: Float[Array, "*space c"]
    low: Float[Array, ""]
    hits: Float[Array, "*space c"]
    misses: Float[Array, "*space c"]
    share: Int[Array, ""]
    phase: Int[Array, ""]
    looks: Int[Array, ""]
    walked: Int[Array, ""]
    number: Int[Array, ""]
    gradients: Int[Array, ""]
    forwards: Int[Array, ""]


def first_state(key: PRNGKey, image: Image, label: Label, target: Label | None) -> HopSkipJumpState:
    """Returns the state before the first look."""
    none, nothing = jnp.array(0), jnp.zeros_like(image)
    return HopSkipJumpState(
        image=image,
        done=jnp.array(False),
        flat=jnp.array(False),
        clean=image,
        label=label,
        target=target,
        key=key,
        distance=jnp.array(jnp.inf),
        current=image,
        low=jnp.array(0.0),
        hits=nothing,
        misses=nothing,
        share=none,
        phase=jnp.array(SEEK),
        looks=none,
        walked=none,
        number=none,
        gradients=none,
        forwards=none,
    )
