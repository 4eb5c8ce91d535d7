"""The Jacobian-based saliency map attack (JSMA): few pixels, each changed a lot."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import checks
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.pairs import best_pairs
from medadv_jax.attacks.rivals import likeliest_others
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static


class SaliencyState(NamedTuple):
    """The state of the saliency map attack.

    Attributes:
      target: The target, None where any wrong class will do.
      aim: The class that is made more likely, -1 before it is chosen.
      used: Features changed so far, counted each time.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    label: Int[Array, ""]
    target: Int[Array, ""] | None
    aim: Int[Array, ""]
    used: Int[Array, ""]
    gradients: Int[Array, ""]


@attack
class SaliencyMap:
    r"""Changes the features that most raise one class and lower all others together.

    A feature is one channel of one pixel. With the logits z, the aim t, $\alpha_i = \partial z_t /
    \partial x_i$ and $\beta_i = \sum_{j \ne t} \partial z_j / \partial x_i$, a step takes the pair
    that maximises $-(\alpha_p + \alpha_q)(\beta_p + \beta_q)$ among those with $\alpha_p + \alpha_q
    > 0 > \beta_p + \beta_q$ and adds theta to both; for a negative theta both signs turn round.
    Without `pairs` it takes one feature by the same rule. A feature that has met the end of [0, 1]
    leaves the search. The attack ends when the model is fooled, when no feature qualifies, or when
    gamma of the features are used up. Misclassified images stay as they are, free of cost.

    The Jacobian costs two gradients a step, of $z_t$ and of the sum of the others, for any number
    of classes. JSMA is targeted. Without a target the aim is the class with the second highest
    logit on the clean image, kept to the end: the class that the model itself finds next likely,
    and a fixed one, since pixels changed for one aim are lost for another. Any wrong class is a
    success then.

    The paper looks at all pairs, which for 299 x 299 x 3 features would take 72 billion numbers.
    Here all pairs are looked at up to `candidates` features; above that, all pairs of the features
    that `pairs.best_pairs` selects, which nearly always contain the best one. Full-size images need
    thousands of steps (13,410 for 299 x 299 x 3 and gamma 0.1): `per_step` changes several pairs,
    or features, by one Jacobian, the best first and none twice.

    Args:
      theta: Change of a feature, in pixels of [0, 1], from -1 to 1 but not 0.
      gamma: Most features changed, as a part of all; a pair counts twice.
      pairs: Whether to look for pairs, as the paper does, or for single features.
      per_step: Pairs, or features, changed by one step; 1 is the paper's.
      candidates: Features of which all pairs are looked at, at least twice `per_step`.

    Source: Papernot et al., "The limitations of deep learning in adversarial settings", 2016. The
    derivatives are of the logits, as in CleverHans; torchattacks and ART use other rules.
    """

    theta: Scalar = 1.0
    gamma: Scalar = 0.1
    pairs: bool = static(default=True)
    per_step: int = static(default=1)
    candidates: int = static(default=512)
    minimal = True
    size = "gamma"

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.number("theta", self.theta, -1, 1)
        checks.number("the absolute value of theta", abs(self.theta), 0, 1, above=True)
        checks.number("gamma", self.gamma, 0, 1)
        checks.count("per_step", self.per_step)
        checks.count("candidates", self.candidates, 2 * self.per_step if self.pairs else 1)
        if self._width() * self.per_step > math.prod(shape):
            raise ValueError(f"per_step {self.per_step} asks for more features than {shape} has.")

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the steps that would change all features; the budget ends it earlier."""
        return -(-math.prod(shape) // (self._width() * self.per_step))

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> SaliencyState:
        """Returns the state before the first step; the key is not used."""
        checks.single_label(self, label)
        return SaliencyState(
            image=image,
            done=self._budget(image) < self._width(),
            flat=jnp.array(False),
            label=label,
            target=target,
            aim=jnp.array(-1) if target is None else target,
            used=jnp.array(0),
            gradients=jnp.array(0),
        )

    def step(self, predict: Any, state: SaliencyState) -> SaliencyState:
        """Returns the state after one more step: two gradients."""
        logits, pull = jax.vjp(predict, state.image)
        hit = fooled(logits, state.label, state.target)
        aim = jnp.where(state.aim < 0, likeliest_others(logits, state.label, 1)[0], state.aim)
        wanted = jax.nn.one_hot(aim, logits.size, dtype=logits.dtype)
        (slopes,) = jax.vmap(pull)(jnp.stack([wanted, 1 - wanted]))
        flat = (~jnp.isfinite(slopes).all() | (slopes == 0).all()) & ~hit
        features, good = self._choose(state.image, slopes)
        room = (self._budget(state.image) - state.used) // self._width()
        good = good & (jnp.arange(self.per_step) < room) & ~hit & ~flat
        change = jnp.where(good, self.theta, 0)[:, None] * jnp.ones(self._width())[None]
        image = state.image.ravel().at[features.ravel()].add(change.ravel())
        used = state.used + self._width() * good.sum()
        return state._replace(
            image=jnp.clip(image, 0, 1).reshape(state.image.shape),
            done=~good.any() | (self._budget(state.image) - used < self._width()),
            flat=state.flat | flat,
            aim=aim,
            used=used,
            gradients=state.gradients + 2,
        )

    def _choose(
        self, image: Image, slopes: Float[Array, "2 *space c"]
    ) -> tuple[Int[Array, "{self.per_step} w"], Bool[Array, "{self.per_step}"]]:
        """Returns the features to change, best first, and which of them qualify."""
        rise = (slopes[0] * jnp.sign(self.theta)).ravel()
        fall = (-slopes[1] * jnp.sign(self.theta)).ravel()
        free = jnp.where(self.theta > 0, image < 1, image > 0).ravel()
        if self.pairs:
            return best_pairs(rise, fall, free, self.per_step, self.candidates)
        score = jnp.where(free & (rise > 0) & (fall > 0), rise * fall, -jnp.inf)
        best, features = jax.lax.top_k(score, self.per_step)
        return features[:, None], best > -jnp.inf

    def _width(self) -> int:
        """Returns how many features are changed together."""
        return 2 if self.pairs else 1

    def _budget(self, image: Image) -> Int[Array, ""]:
        """Returns how many features may be changed, with a margin for gamma's rounding."""
        return jnp.floor(self.gamma * image.size * (1 + 1e-6)).astype(jnp.int32)
