"""What attacks that minimise "size of the change + c * loss" for one c after another do alike."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import c_search, checks
from medadv_jax.attacks.c_search import Search
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.objective import lead
from medadv_jax.types import Image, Label, PRNGKey, Scalar

PROGRESS = 0.9999
"""Above this part of the value at the check before, there is no progress."""
SHORTEST = 50
"""Fewest steps between two checks: Adam and FISTA swing, a value that rises soon says little."""


class Trial(NamedTuple):
    """What one step of a minimisation has looked at, and where the next one goes on.

    Attributes:
      image: The image that was judged.
      logits: Of that image.
      size: Of its change, by which the best image is chosen.
      value: Of what is minimised, by which progress is told.
      path: What the minimiser carries to its next step.
      flat: Whether a gradient was zero or not finite, so that a step could not be taken.
      over: Whether the minimisation ends here.
    """

    image: Float[Array, "*space c"]
    logits: Float[Array, " k"]
    size: Float[Array, ""]
    value: Float[Array, ""]
    path: Any
    flat: Bool[Array, ""]
    over: Bool[Array, ""]


class MinimisedState(NamedTuple):
    """The state of an attack that minimises for one c after another.

    Attributes:
      image: The least changed image that fools, the clean one before there is one.
      best: The size of its change, infinite before there is one.
      search: The search over c.
      found: Whether the minimisation that runs has met an image that fools.
      number: Steps that it has taken.
      past: Its value at the check before.
      path: What the minimiser carries from step to step.
      forwards: Evaluations without a gradient.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, ""]
    target: Int[Array, ""] | None
    best: Float[Array, ""]
    search: Search
    found: Bool[Array, ""]
    number: Int[Array, ""]
    past: Float[Array, ""]
    path: Any
    forwards: Int[Array, ""]


class Minimised:
    """An attack that seeks the least c with which the minimum of "size + c * loss" fools.

    Each example has its own c and its own place in its own minimisation; where that ends, the
    next one begins, at the clean image. The least changed of all images that fooled is returned.

    One of them says where its minimiser starts, `start`, and what one step of it does, `advance`.
    """

    c: Scalar
    search_steps: int
    steps: int
    confidence: Scalar = 0.0
    abort_early: bool = False
    forwards = 0
    """Evaluations without a gradient in each step."""
    looks = 10
    """How often the progress of a minimisation is looked at."""
    minimal = True
    size = None

    def start(self, clean: Image) -> Any:
        """Returns the path before the first step."""
        raise TypeError(f"{type(self).__name__} does not say where it starts.")

    def advance(self, predict: Any, state: MinimisedState) -> Trial:
        """Takes one step of the minimisation for `state.search.c`."""
        raise TypeError(f"{type(self).__name__} does not say how it goes on.")

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.number("c", self.c, 0, c_search.LARGEST, above=True)
        checks.number("confidence", self.confidence, 0)
        checks.count("search_steps", self.search_steps)
        checks.count("steps", self.steps)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the steps of all minimisations together."""
        return self.search_steps * self.steps

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> MinimisedState:
        """Returns the state before the first step; the key is not used."""
        checks.single_label(self, label)
        return MinimisedState(
            image=image,
            done=jnp.array(False),
            flat=jnp.array(False),
            clean=image,
            label=label,
            target=target,
            best=jnp.array(jnp.inf),
            search=c_search.first(self.c),
            found=jnp.array(False),
            number=jnp.array(0),
            past=jnp.array(jnp.inf),
            path=self.start(image),
            forwards=jnp.array(0),
        )

    def step(self, predict: Any, state: MinimisedState) -> MinimisedState:
        """Returns the state after one more step: one gradient."""
        trial = self.advance(predict, state)
        hit = fooled(trial.logits, state.label, state.target)
        hit &= lead(trial.logits, state.label, state.target) >= self.confidence
        better = hit & (trial.size < state.best)
        found = state.found | hit
        due = state.number % max(math.ceil(self.steps / self.looks), SHORTEST) == 0
        stalled = due & ~(trial.value <= PROGRESS * state.past) & self.abort_early
        over = trial.over | stalled | (state.number + 1 == self.steps)
        search = _choose(over, c_search.following(state.search, found), state.search)
        vain = trial.flat & (state.number == 0)  # where every minimisation begins
        return state._replace(
            image=jnp.where(better, trial.image, state.image),
            done=(search.number == self.search_steps) | vain,
            flat=state.flat | trial.flat,
            best=jnp.where(better, trial.size, state.best),
            search=search,
            found=found & ~over,
            number=jnp.where(over, 0, state.number + 1),
            past=jnp.where(over, jnp.inf, jnp.where(due, trial.value, state.past)),
            path=_choose(over, self.start(state.clean), trial.path),
            forwards=state.forwards + self.forwards,
        )


def _choose(condition: Any, one: Any, other: Any) -> Any:
    """Chooses between two trees of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
