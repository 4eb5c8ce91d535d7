"""Square, a black-box attack: random squares, kept where they raise the loss."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks
from medadv_jax.attacks.gradient import Loss
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.objective import objective
from medadv_jax.attacks.square_moves import move, start
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static

HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The squares after which the share of the pixels that a square covers is halved."""
RESCALED = 10_000
"""Number of squares for which the schedule was made."""


class SquareState(NamedTuple):
    """The state of Square.

    Attributes:
      image: The best image so far.
      value: Its loss, minus infinity before the first look.
      number: How many images were looked at.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, "*dense"]
    target: Int[Array, "*dense"] | None
    key: PRNGKey
    value: Float[Array, ""]
    number: Int[Array, ""]
    gradients: Int[Array, ""]
    forwards: Int[Array, ""]


@attack
class Square:
    r"""Random search over squares: it asks for the logits of images and for no gradient.

    It starts at stripes of $\pm\epsilon$ (Linf) or a grid of tiles (L2). A step changes the image
    in one random square and keeps the change if it raises the loss: in Linf every channel of the
    square goes to $\pm\epsilon$ as one, in L2 the square gets the perturbation of a second square
    besides its own, in the shape of two pyramids of opposite sign. A square covers the share p of
    the pixels, p_init at first, halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000
    squares. It stops at the first image that fools.

    N steps are N squares and N + 1 forward passes: the first looks at the start. Every image has
    squares of its own; volumes have cubes. Where a square is larger than the shortest side it is
    one pixel less than that, 1 at the least, so that it can move.

    In the authors' code all images of a batch share the place of the square, and no square ever
    reaches the last row and column, because the end of a random range is not a part of it: ART and
    torchattacks have taken that over, ART failed on 4 x 4 images besides. The L2 start needs images
    of 5 pixels there, and of some sizes, 14 x 14 for one, it fails. The schedule is that of
    AutoAttack; the attack by itself, for the authors and in torchattacks, has it `rescaled`.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      p_init: Share of the pixels that the first squares cover.
      steps: Number of squares.
      norm: Of the ball, "linf" or "l2".
      loss: Maps the logits and the label of one example to a scalar. With a target its negative
        counts, of the target.
      rescaled: Whether the schedule, made for 10,000 squares, is shrunk to the number of steps.

    Source: Andriushchenko, Croce, Flammarion, Hein, "Square attack: a query-efficient black-box
    adversarial attack via random search", ECCV 2020.
    """

    eps: Scalar
    p_init: Scalar = 0.8
    steps: int = static(default=5000)
    norm: Literal["linf", "l2"] = static(default="linf")
    loss: Loss = static(default=losses.margin)
    rescaled: bool = static(default=False)
    size = "eps"
    until_fooled = True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.choice("norm", self.norm, ("linf", "l2"))
        checks.radius("eps", self.eps, self.norm)
        checks.number("p_init", self.p_init, 0, 1, above=True)
        checks.count("steps", self.steps)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of looks: one more than squares."""
        return self.steps + 1

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> SquareState:
        """Returns the state before the first look, which is at the start."""
        no, none = jnp.array(False), jnp.array(0)
        key, own = jax.random.split(key)
        return SquareState(
            image=start(own, image, self.eps, self.norm),
            done=no,
            flat=no,
            clean=image,
            label=label,
            target=target,
            key=key,
            value=jnp.array(-jnp.inf),
            number=none,
            gradients=none,
            forwards=none,
        )

    def step(self, predict: Any, state: SquareState) -> SquareState:
        """Returns the state after a look at one more image: one forward pass."""
        key = jax.random.fold_in(state.key, state.number)
        first = state.number == 0
        moved = move(key, state.image, state.clean, self.eps, self._share(state), self.norm)
        image = jnp.where(first, state.image, moved)
        logits = predict(image)
        hit = fooled(logits, state.label, state.target)
        value = objective(self.loss, logits, state.label, state.target)
        better = hit | first | (value > state.value)
        value = jnp.where(jnp.isnan(value), -jnp.inf, value)
        return state._replace(
            image=jnp.where(better, image, state.image),
            done=hit,
            value=jnp.where(better, value, state.value),
            number=state.number + 1,
            forwards=state.forwards + 1,
        )

    def _share(self, state: SquareState) -> Float[Array, ""]:
        """Returns the share of the pixels that the next square covers."""
        square = state.number - 1  # number 0 was the start
        if self.rescaled:
            square = square * RESCALED // self.steps
        return jnp.asarray(self.p_init) / 2.0 ** jnp.sum(square > jnp.array(HALVED_AFTER))
