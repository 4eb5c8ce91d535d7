"""FAB, the fast adaptive boundary attack: a walk along the boundary that stays near the image."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.fab_projections import to_hyperplane
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.objective import lead
from medadv_jax.attacks.rivals import likeliest_others
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, per_example, static

DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
"""The norm of a slope by which a gap is divided to give a distance."""
NEARLY = 0.9
"""Part of the way that the search goes to where a line is 0: there itself, rounding decides."""
LEAST = 1e-8
"""Least length of a way to the boundary, so that two ways of length 0 weigh alike."""


class FABState(NamedTuple):
    """The state of FAB.

    Attributes:
      image: The nearest image that fools, of those that count; before there is one, the clean one.
      current: Where the boundary is looked at next; in the final search the last that did not fool.
      nearest: The nearest image that fools, however far it is.
      distance: Of `nearest`, infinite before there is one.
      lead: How far `nearest` is beyond the boundary, in logits.
      rivals: The classes whose boundaries are looked at, -1 before the first step.
      number: How many steps were taken.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, ""]
    target: Int[Array, ""] | None
    current: Float[Array, "*space c"]
    nearest: Float[Array, "*space c"]
    distance: Float[Array, ""]
    lead: Float[Array, ""]
    rivals: Int[Array, " r"]
    number: Int[Array, ""]
    gradients: Int[Array, ""]
    forwards: Int[Array, ""]


@attack
class FAB:
    r"""Finds the nearest image that fools by steps onto the linearised boundary inside the box.

    With $\pi$ the nearest of the hyperplanes on which the linearised model, at the current image
    $x_i$, has two equal logits, and $d(x)$ the shortest way from x onto $\pi$ inside [0, 1],

    $$x_{i+1} = \mathrm{clip}_{[0,1]}\bigl((1 - \alpha)(x_i + \eta\,d(x_i)) +
      \alpha (x_0 + \eta\,d(x_0))\bigr), \qquad
      \alpha = \min\Bigl(\frac{\|d(x_i)\|}{\|d(x_i)\| + \|d(x_0)\|}, \alpha_{max}\Bigr),$$

    which draws the walk towards the clean image $x_0$. Where $x_{i+1}$ fools, it is kept if it is
    nearer than what was found before, and the walk goes on from $x_0 + \beta (x_{i+1} - x_0)$. In
    the end the found image is drawn to the boundary by `search` steps along the way to the clean
    one, each nearly to where a line through the last two margins is 0.

    A step costs one forward pass and one gradient for each boundary that is looked at: one for each
    rival of the label, or one alone with an `aim` or a target. (Steps of the search have no need of
    their gradients, but all images of a batch go through one program.)

    The authors compute the gradients of all classes, those with an `aim` by one of the difference,
    as is done here. Their code has no final search, that of the paper. With a target they count any
    wrong class; that is an `aim` here, and with a target only the target is a success, so that the
    boundary to the class that is highest at the moment is looked at. Their `eps` is the radius
    of random starts, and what is found beyond it is given up in the end, but the attack goes on
    inside it. adv-lib and torchattacks follow them; ART's AutoAttack has DeepFool in place of FAB.
    Where no boundary is seen the walk leads back towards the clean image (`flat`).

    Args:
      alpha_max: Most weight of the way from the clean image.
      eta: Factor of each step, above 1 to cross the boundary.
      beta: Where to go back to, as a part of the way to an image that fools.
      eps: Radius within which an image counts, in pixels of [0, 1]: the attack stops at the first
        and returns the clean image if there is none. None: there is no bound, the nearest counts.
      aim: A class for each example `(b,)`, to whose boundary the walk leads; see `Aimed`.
      steps: Of the walk.
      search: Steps of the final search, after the walk.
      norm: Of the distance, "l2", "linf" or "l1".
      candidates: How many classes are looked at, those with the highest logits on the clean image,
        the label among them.
      random_start: Whether to start at a random point of half the radius eps, as the authors do for
        all starts but the first.

    Source: Croce, Hein, "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", ICML 2020.
    """

    alpha_max: Scalar = 0.1
    eta: Scalar = 1.05
    beta: Scalar = 0.9
    eps: Scalar | None = None
    aim: Int[Array, " b"] | None = per_example(default=None)
    steps: int = static(default=100)
    search: int = static(default=3)
    norm: Literal["l2", "linf", "l1"] = static(default="l2")
    candidates: int = static(default=10)
    random_start: bool = static(default=False)
    minimal = True

    @property
    def size(self) -> str | None:
        """The radius where there is one; a minimal attack has no knob."""
        return None if self.eps is None else "eps"

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.choice("norm", self.norm, ("l2", "linf", "l1"))
        checks.number("alpha_max", self.alpha_max, 0, 1)
        checks.number("eta", self.eta, 1)
        checks.number("beta", self.beta, 0, 1)
        checks.count("steps", self.steps)
        checks.count("search", self.search, 0)
        checks.count("candidates", self.candidates, 2)
        if self.eps is not None:
            checks.radius("eps", self.eps, self.norm)
        elif self.random_start:
            raise ValueError("A random_start needs eps: half of it is its distance.")

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the steps of the walk and of the search."""
        return self.steps + self.search

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> FABState:
        """Returns the state before the first step; the key is for a random start."""
        checks.single_label(self, label)
        if self.aim is not None:
            checks.untargeted(self, target)
            rivals = self.aim[None]
        elif target is not None:
            rivals = target[None]
        else:
            num_classes = jax.eval_shape(predict, image).shape[-1]
            rivals = jnp.full(min(self.candidates, num_classes) - 1, -1, jnp.int32)
        start, none = image, jnp.array(0)
        if self.random_start and self.eps is not None:
            start = norms.random_at_border(key, image, self.eps / 2, self.norm)
        return FABState(
            image=image,
            done=jnp.array(False),
            flat=jnp.array(False),
            clean=image,
            label=label,
            target=target,
            current=start,
            nearest=image,
            distance=jnp.array(jnp.inf),
            lead=jnp.array(0.0),
            rivals=rivals,
            number=none,
            gradients=none,
            forwards=none,
        )

    def step(self, predict: Any, state: FABState) -> FABState:
        """Returns the state after one more step: a gradient for each rival, and a forward pass."""
        logits, pull = jax.vjp(predict, state.current)
        first = likeliest_others(logits, state.label, state.rivals.size)
        state = state._replace(rivals=jnp.where(state.rivals < 0, first, state.rivals))
        below = (
            state.label if state.target is None else likeliest_others(logits, state.target, 1)[0]
        )
        one_hot = lambda names: jax.nn.one_hot(names, logits.size, dtype=logits.dtype)
        (slopes,) = jax.vmap(pull)(one_hot(state.rivals) - one_hot(below)[None])
        slope, gap, seen = nearest_boundary(logits[state.rivals] - logits[below], slopes, self.norm)
        searching = state.number >= self.steps
        point = jnp.where(searching, secant(state, logits), self._walk(state, slope, gap))
        flat = ~seen & ~searching  # then the walk leads back to the clean image
        return self._judged(predict(point), point, state, flat)

    def _walk(self, state: FABState, slope: Image, gap: Any) -> Image:
        """Returns the next image of the walk."""
        back = jnp.vdot(slope, state.clean - state.current)
        near = to_hyperplane(state.current, slope, gap, self.norm)
        far = to_hyperplane(state.clean, slope, gap + back, self.norm)
        one, two = (jnp.maximum(norms.length(way, self.norm), LEAST) for way in (near, far))
        share = jnp.minimum(one / (one + two), self.alpha_max)
        moved = (1 - share) * (state.current + self.eta * near)
        return jnp.clip(moved + share * (state.clean + self.eta * far), 0, 1)

    def _judged(self, logits: Any, point: Image, state: FABState, flat: Any) -> FABState:
        """Returns the state after a look at the next image."""
        hit = fooled(logits, state.label, state.target)
        stuck = flat & (norms.length(point - state.current, "linf") <= norms.IDLE)
        size = norms.length(point - state.clean, self.norm)
        closer = hit & (size < state.distance)
        found = jnp.where(closer, point, state.nearest)
        distance = jnp.where(closer, size, state.distance)
        number = state.number + 1
        walking = number < self.steps
        back = jnp.where(walking, state.clean + self.beta * (point - state.clean), state.current)
        onward = jnp.where(hit, back, point)
        inside = distance < jnp.inf if self.eps is None else distance <= self.eps
        over = (number >= self.max_steps(point.shape)) | (~walking & (distance == jnp.inf))
        return state._replace(
            image=jnp.where(inside, found, state.clean),
            done=stuck | over | (inside if self.eps is not None else False),
            flat=state.flat | flat,
            current=jnp.where(number == self.steps, state.clean, onward),
            nearest=found,
            distance=distance,
            lead=jnp.where(closer, lead(logits, state.label, state.target), state.lead),
            number=number,
            gradients=state.gradients + state.rivals.size,
            forwards=state.forwards + 1,
        )


def nearest_boundary(
    gaps: Float[Array, " r"], slopes: Float[Array, "r *space c"], norm: str
) -> tuple[Image, Float[Array, ""], Bool[Array, ""]]:
    """Returns slope and gap of the nearest boundary, and whether there is one that can be seen."""
    dual = jax.vmap(lambda slope: norms.length(slope, DUAL[norm]))(slopes)
    seen = jnp.isfinite(dual) & (dual > 0) & jnp.isfinite(gaps)
    chosen = jnp.argmin(jnp.where(seen, jnp.abs(gaps) / jnp.maximum(dual, norms.TINY), jnp.inf))
    slope = jnp.where(seen[chosen], slopes[chosen], 0)
    return slope, jnp.where(seen[chosen], gaps[chosen], 0), seen[chosen]


def secant(state: FABState, logits: Float[Array, " k"]) -> Image:
    """Returns the image just before a line through the margins at two images is 0."""
    inside = jnp.minimum(lead(logits, state.label, state.target), 0)
    share = state.lead / jnp.maximum(state.lead - inside, norms.TINY)
    return state.nearest + NEARLY * share * (state.current - state.nearest)
