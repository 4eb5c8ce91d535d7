"""Attacks that climb the loss inside a ball: FGSM, and PGD with and without a random start.

They work for every task whose loss maps the logits and the label of one example to a scalar.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.objective import objective
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static

Norm = Literal["linf", "l2", "l1"]
Loss = Callable[[Any, Any], Any]


class BallState(NamedTuple):
    """The state of an attack inside a ball: where it is, where it started and what it is after.

    Attributes:
      number: How many steps were taken.
      momentum: What an attack remembers of the gradients so far, None if it does not.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, "*dense"]
    target: Int[Array, "*dense"] | None
    number: Int[Array, ""]
    momentum: Any = None


def begin(image: Image, clean: Image, label: Label, target: Label | None) -> BallState:
    """Returns the state before the first step."""
    no = jnp.array(False)
    return BallState(image, no, no, clean, label, target, jnp.array(0))


def uphill(predict: Any, state: BallState, loss: Loss) -> tuple[Image, Bool[Array, ""]]:
    """Returns the gradient of what the attack wants more of, and whether the image fools already.

    Untargeted that is the loss of the label, targeted it is the negative loss of the target.
    """

    def climbed(image: Image) -> tuple[Any, Any]:
        logits = predict(image)
        return objective(loss, logits, state.label, state.target), logits

    gradient, logits = jax.grad(climbed, has_aux=True)(state.image)
    return gradient, fooled(logits, state.label, state.target)


def climb(
    predict: Any,
    state: BallState,
    *,
    eps: Scalar,
    step_size: Scalar,
    norm: Norm,
    loss: Loss,
    until_fooled: bool,
) -> BallState:
    """Takes one step of steepest ascent and projects it onto the ball and onto [0, 1].

    A step by a gradient that is zero or not finite is not taken; since the next gradient would be
    the same, the attack is done and flat.
    """
    gradient, hit = uphill(predict, state, loss)
    moved = norms.ascend(state.image, gradient, step_size, norm)
    moved = norms.project(moved, state.clean, eps, norm)
    return advance(state, moved, stop=hit & until_fooled, flat=useless(gradient))


def advance(
    state: BallState, moved: Image, *, stop: Bool[Array, ""], flat: Bool[Array, ""]
) -> BallState:
    """Returns the state at the image that a step leads to, or where it is if it stops there."""
    return state._replace(
        image=jnp.where(stop | flat, state.image, moved),
        done=stop | flat,
        flat=state.flat | (flat & ~stop),
        number=state.number + 1,
    )


def useless(gradient: Image) -> Bool[Array, ""]:
    """Whether a gradient gives no direction: it is zero, or not finite."""
    return ~jnp.isfinite(gradient).all() | (gradient == 0).all()


class SingleStep:
    """What attacks that take one step inside a ball do alike."""

    eps: Scalar
    norm: Norm
    loss: Loss

    def length(self) -> Any:
        """Returns the length of the step."""
        return self.eps

    def objective(self) -> Loss:
        """Returns the loss that the step climbs."""
        return self.loss

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a norm that is not known or a radius that does not fit it."""
        checks.radius("eps", self.eps, self.norm)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns 1."""
        return 1

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> BallState:
        """Returns the state before the step; the key is not used."""
        return begin(image, image, label, target)

    def step(self, predict: Any, state: BallState) -> BallState:
        """Returns the state after the step."""
        return climb(
            predict,
            state,
            eps=self.eps,
            step_size=self.length(),
            norm=self.norm,
            loss=self.objective(),
            until_fooled=False,
        )


@attack
class FGSM(SingleStep):
    r"""Fast gradient (sign) method: one step of steepest ascent to the edge of the ball.

    $$x' = \mathrm{clip}_{[0,1]}(x + \epsilon\,\mathrm{sign}\,\nabla_x J(f(x), y))$$ and its forms
    in L2 and L1. With a target t the step goes down $J(f(x), t)$.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      norm: Of the ball. In L1 the step fills the pixels with the steepest slopes.
      loss: Maps the logits and the label of one example to a scalar.

    Source: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", 2015.
    """

    eps: Scalar
    norm: Norm = static(default="linf")
    loss: Loss = static(default=losses.cross_entropy)
    size = "eps"


class Ascent:
    """What every attack that climbs step by step inside a ball does alike.

    One of them says what it climbs, and by what `eps` is divided where no `step_size` is given.
    """

    eps: Scalar
    step_size: Scalar | None
    steps: int
    norm: Norm
    random_start: bool
    until_fooled: bool
    divisor: int

    def objective(self, state: BallState) -> Loss:
        """Returns the loss that the next step climbs."""
        raise TypeError(f"{type(self).__name__} does not say what it climbs.")

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.radius("eps", self.eps, self.norm)
        checks.number("step_size", self.step_size, 0, above=True)
        checks.count("steps", self.steps)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of steps."""
        return self.steps

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> BallState:
        """Returns the state before the first step."""
        start = image
        if self.random_start:
            start = norms.random_in_ball(key, image, self.eps, self.norm)
        return begin(start, image, label, target)

    def step(self, predict: Any, state: BallState) -> BallState:
        """Returns the state after one more step."""
        return climb(
            predict,
            state,
            eps=self.eps,
            step_size=self.eps / self.divisor if self.step_size is None else self.step_size,
            norm=self.norm,
            loss=self.objective(state),
            until_fooled=self.until_fooled,
        )


@attack
class PGD(Ascent):
    r"""Projected gradient descent: steps of steepest ascent, each projected back onto the ball.

    $$x_{i+1} = \Pi_{\epsilon}(x_i + \alpha\,\mathrm{sign}\,\nabla_x J(f(x_i), y))$$ from a point
    drawn uniformly from the ball, and its forms in L2 (the normalised gradient) and L1 (the
    steepest pixels, Euclidean projection). With a target t the steps go down $J(f(x), t)$.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      step_size: Length of a step in the same norm; None for eps / 4.
      steps: Number of steps, one gradient each.
      norm: Of the ball.
      random_start: Whether to start at a random point of the ball instead of the clean image.
      until_fooled: Stop at the first image that fools; the rest of the budget is not spent.
      loss: Maps the logits and the label of one example to a scalar.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", 2018.
    """

    eps: Scalar
    step_size: Scalar | None = None
    steps: int = static(default=10)
    norm: Norm = static(default="linf")
    random_start: bool = static(default=True)
    until_fooled: bool = static(default=False)
    loss: Loss = static(default=losses.cross_entropy)
    size = "eps"
    divisor = 4

    def objective(self, state: BallState) -> Loss:
        """Returns the loss."""
        return self.loss


@attack
class BIM(PGD):
    """Basic iterative method: PGD that starts at the clean image.

    Args:
      random_start: As all else, see `PGD`.

    Source: Kurakin, Goodfellow, Bengio, "Adversarial examples in the physical world", 2017.
    """

    random_start: bool = static(default=False)
