"""DeepFool: the nearest class boundary, found by linearising the model again and again."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import checks
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.rivals import likeliest_others
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static

FLOOR = 1e-8
"""Floor of the norm of a gradient that is divided by."""
STABILISERS = {"l2": 1e-4, "linf": 1e-6}
"""What is added to the length of every step; both change a pixel by about 1e-6."""


class DeepFoolState(NamedTuple):
    """The state of DeepFool.

    Attributes:
      total: Sum of the steps so far, before the overshoot.
      rivals: The classes whose boundaries are looked at, -1 before the first step.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, ""]
    total: Float[Array, "*space c"]
    rivals: Int[Array, " r"]
    gradients: Int[Array, ""]


@attack
class DeepFool:
    r"""Finds a small perturbation that crosses the nearest boundary between classes.

    With $v_j = f_j - f_y$ and $w_j = \nabla v_j$ at the current image, the boundary to class j is
    at the distance $d_j = |v_j| / \|w_j\|_q$ if the model were linear (q = 2 for L2, 1 for Linf).
    A step goes to the nearest: $r_i = d\,w / \|w\|_2$, or $r_i = d\,\mathrm{sign}\,w$ in Linf, and
    the image becomes $\mathrm{clip}_{[0,1]}(x + (1 + \mathrm{overshoot}) \sum_i r_i)$, until the
    prediction is no longer the label. Misclassified images stay as they are, free of cost.

    A step costs one gradient for each class but the label among the `candidates`. Here is how it
    differs from others: the overshoot multiplies the sum of the steps, as in the authors' code
    (torchattacks and adv-lib multiply every step, ART the final perturbation once); the image is
    clipped, as in Foolbox (the authors do not clip). Where pixels are clipped, a step covers only
    a part of the distance, and without the `stabiliser`, which is added to every d, the image would
    approach the boundary for ever. The authors' later code and Foolbox add 1e-4 in both norms. In
    Linf that moves every pixel, and is as large as some of the distances to be measured: 1e-6 does.

    Args:
      overshoot: Part of the way that is gone beyond the boundary.
      stabiliser: Added to the length of every step, in pixels; None for 1e-4 in L2 and 1e-6 in
        Linf. Foolbox has 1e-4 in both.
      steps: Most steps.
      norm: Of the distance, "l2" or "linf".
      candidates: How many of the classes are looked at, those with the highest logits on the clean
        image, the label among them.

    Source: Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool: a simple and accurate method to fool deep
    neural networks", 2016.
    """

    overshoot: Scalar = 0.02
    stabiliser: Scalar | None = None
    steps: int = static(default=50)
    norm: Literal["l2", "linf"] = static(default="l2")
    candidates: int = static(default=10)
    minimal = True
    size = None

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.number("overshoot", self.overshoot, 0)
        checks.number("stabiliser", self.stabiliser, 0)
        checks.count("steps", self.steps)
        checks.count("candidates", self.candidates, 2)
        checks.choice("norm", self.norm, ("l2", "linf"))

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of steps."""
        return self.steps

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> DeepFoolState:
        """Returns the state before the first step; the key is not used."""
        checks.untargeted(self, target)
        checks.single_label(self, label)
        num_classes = jax.eval_shape(predict, image).shape[-1]
        return DeepFoolState(
            image=image,
            done=jnp.array(False),
            flat=jnp.array(False),
            clean=image,
            label=label,
            total=jnp.zeros_like(image),
            rivals=jnp.full(min(self.candidates, num_classes) - 1, -1, jnp.int32),
            gradients=jnp.array(0),
        )

    def step(self, predict: Any, state: DeepFoolState) -> DeepFoolState:
        """Returns the state after one more step: one gradient for each rival class."""
        logits, pull = jax.vjp(predict, state.image)
        hit = fooled(logits, state.label)
        first = likeliest_others(logits, state.label, state.rivals.size)
        rivals = jnp.where(state.rivals < 0, first, state.rivals)
        one_hot = lambda names: jax.nn.one_hot(names, logits.size, dtype=logits.dtype)
        (slopes,) = jax.vmap(pull)(one_hot(rivals) - one_hot(state.label)[None])
        distance, move = self._nearest(logits[rivals] - logits[state.label], slopes)
        flat = ~jnp.isfinite(distance) & ~hit
        total = state.total + jnp.where(flat, 0, move)
        image = jnp.clip(state.clean + (1 + self.overshoot) * total, 0, 1)
        return state._replace(
            image=jnp.where(hit | flat, state.image, image),
            done=hit | flat,
            flat=state.flat | flat,
            total=total,
            rivals=rivals,
            gradients=state.gradients + rivals.size,
        )

    def _nearest(
        self, gaps: Float[Array, " r"], slopes: Float[Array, "r *space c"]
    ) -> tuple[Float[Array, ""], Float[Array, "*space c"]]:
        """Returns the distance of the nearest boundary, infinite if none is seen, and the step."""
        flat = slopes.reshape(len(slopes), -1)
        dual = jnp.abs(flat).sum(1) if self.norm == "linf" else jnp.sqrt((flat**2).sum(1))
        seen = jnp.isfinite(dual) & (dual > 0) & jnp.isfinite(gaps)
        distances = jnp.where(seen, jnp.abs(gaps) / jnp.maximum(dual, FLOOR), jnp.inf)
        nearest = jnp.argmin(distances)
        slope = slopes[nearest]
        if self.norm == "l2":
            direction = slope / jnp.maximum(dual[nearest], FLOOR)
        else:
            direction = jnp.sign(slope)
        extra = STABILISERS[self.norm] if self.stabiliser is None else self.stabiliser
        return distances[nearest], (distances[nearest] + extra) * direction
