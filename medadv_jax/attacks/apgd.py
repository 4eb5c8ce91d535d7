"""APGD: projected gradient descent with momentum that chooses its step size by its progress."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import apgd_l1, checks, norms
from medadv_jax.attacks.apgd_plan import Plan, Stages, plan
from medadv_jax.attacks.apgd_state import APGDState, Look, checkpoint, move, record
from medadv_jax.attacks.dlr import classes_needed, dlr
from medadv_jax.attacks.gradient import useless
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.objective import objective
from medadv_jax.attacks.pixels import withstand
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, per_example, static

Gain = Literal["ce", "dlr"] | Callable[[Any, Any], Any]
"""A loss by its name, or a function of the logits and the label of one example."""


@attack
class APGD:
    r"""Auto-PGD: steepest ascent with momentum, whose step is halved where it stops to pay.

    $$z = \Pi(x_i + \eta\,\mathrm{sign}\,\nabla J(x_i)), \qquad
      x_{i+1} = \Pi(x_i + .75\,(z - x_i) + .25\,(x_i - x_{i-1}))$$

    and its form in L2 (the normalised gradient), from a random point at the border of the ball and
    with $\eta = 2 \epsilon$. At checkpoints, of which the first comes after 22 % of the steps and
    the distances shrink by 3 % to 6 %, the step is halved and the attack goes back to the best
    point if at most 75 % of the steps since the last one have raised the loss, or if neither the
    step nor the highest loss has changed since. N steps need N + 1 gradients: the last look only
    judges.

    In L1 there is no momentum and $\eta = \epsilon$. A step moves the steepest pixels by the same
    length, at first a fifth of all; from checkpoints after every 4 % of the steps on, two thirds of
    as many as differ at the best image. Where that has become sparser by 5 %, the attack goes back
    to it with a long step, else the step is divided by 1.5. The projection is onto the ball and
    [0, 1] together. The last step is not theirs: it spends all of eps on the pixels that are
    steepest at the best image, which is exact where the model is linear. (Theirs spreads over more
    pixels than the few that are best there, and needs up to 1.5 of the exact distance.)

    It returns the best image that it has seen: the one with the fewest pixels that withstand (a
    class is one pixel), of several the one with the highest loss.

    The authors' code is followed, where the paper has "fewer than" 75 % and rounds checkpoints up.
    Two things differ: their code compares the loss after the very first step with 0 instead of the
    loss at the start; and where several images fool it returns the last of them.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      rho: The share of steps that has to raise the loss, else the step is halved; not in L1.
      steps: Number of steps.
      norm: Of the ball, "linf", "l2" or "l1".
      loss: "ce", "dlr", or a function of the logits and the label; with a target its negative
        counts, for "dlr" the targeted form. With too few classes "dlr" is a margin, see `dlr`,
        and `Result.notes` says so.
      track: The loss by which progress is measured, if it is not the loss that is climbed: one that
        leaves out what has fallen shrinks just where the attack succeeds.
      random_start: Whether to start at a random point of the border instead of the clean image.
      until_fooled: Stop at the first image that fools; the rest of the budget is not spent.
      keep: "fooled" as above, or "loss": the image with the highest loss, fooling or not, as
        adversarial training wants it.
      aim: A class for each example `(b,)`, to which the loss leads as if it were a target, but any
        wrong class is a success; see `Aimed`.
      stages: For each part of the attack its share of the steps and the factor of its radius, the
        last of which is 1. Each starts at the best image of the one before, projected onto its
        ball, with a long step; it ends early where an image fools. A stage needs one more gradient.

    Source: Croce, Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML 2020; stages: Croce, Singh, Hein, ECCV 2024, arXiv 2306.12941; L1:
    Croce, Hein, "Mind the box: l1-APGD for sparse adversarial attacks", ICML 2021.
    """

    eps: Scalar
    rho: Scalar = 0.75
    aim: Int[Array, " b"] | None = per_example(default=None)
    steps: int = static(default=100)
    norm: Literal["linf", "l2", "l1"] = static(default="linf")
    loss: Gain = static(default="ce")
    track: Gain | None = static(default=None)
    random_start: bool = static(default=True)
    until_fooled: bool = static(default=False)
    keep: Literal["fooled", "loss"] = static(default="fooled")
    stages: Stages = static(default=((1.0, 1.0),))
    size = "eps"

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.radius("eps", self.eps, self.norm)
        checks.number("rho", self.rho, 0, 1)
        checks.count("steps", self.steps)
        checks.choice("keep", self.keep, ("fooled", "loss"))
        for name in ("loss", "track"):
            if not callable(getattr(self, name)):
                options = ("ce", "dlr") if name == "loss" else ("ce", "dlr", None)
                checks.choice(name, getattr(self, name), options)
        shares, factors = zip(*self.stages, strict=True)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or min(factors) < 1 or factors[-1] != 1:
            raise ValueError(
                "stages are (share of the steps, factor of the radius); the shares add up to 1, "
                f"factors are at least 1 and the last is 1, got {self.stages}."
            )

    def note(self, num_classes: int, targeted: bool) -> str:
        """Returns that the margin stands in for the DLR loss, where there are too few classes."""
        needed = classes_needed(targeted or self.aim is not None)
        if "dlr" not in (self.loss, self.track) or num_classes >= needed:
            return ""
        form = "targeted DLR loss" if needed == classes_needed(True) else "DLR loss"
        return (
            f"APGD: the {form} needs {needed} classes, with {num_classes} the margin stands in "
            "for it."
        )

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of looks: one more than steps, for each stage."""
        return self.steps + len(self.stages)

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> APGDState:
        """Returns the state before the first look."""
        if self.aim is not None:
            checks.single_label(self, label)
            checks.untargeted(self, target)
        start, no, zero, none = image, jnp.array(False), jnp.array(0.0), jnp.array(0)
        if self.random_start:
            radius = self.eps * plan(self.steps, self.stages).factor[0]
            if self.norm == "l1":
                start = apgd_l1.start(key, image, radius)
            else:
                start = norms.random_at_border(key, image, radius, self.norm)
        return APGDState(
            image=start,
            done=no,
            flat=no,
            clean=image,
            label=label,
            target=target,
            current=start,
            previous=start,
            best=start,
            slope=jnp.zeros_like(image),
            top=zero,
            value=zero,
            kept=zero,
            standing=none,
            length=zero,
            rises=none,
            past=zero,
            halved=no,
            number=none,
            share=zero,
            differ=zero,
        )

    def step(self, predict: Any, state: APGDState) -> APGDState:
        """Returns the state after one more look at the model and the step that follows from it."""
        whole = plan(self.steps, self.stages, self.norm)
        now = Plan(*(jnp.asarray(column)[state.number] for column in whole))
        look = self._look(predict, state)
        still = useless(look.gradient)
        look = look._replace(gradient=jnp.where(still, 0, look.gradient))
        state = record(state, look, now.first, self.keep == "loss")
        radius, next_radius = self.eps * now.factor, self.eps * now.next_factor
        # the best image opens the next stage; of the last stage nothing more is asked
        if self.norm == "l1":
            fresh = self.random_start and len(self.stages) == 1
            state = apgd_l1.opened(state, now.first, fresh)
            state, gradient = apgd_l1.checkpoint(state, look.gradient, now.window)
            moved = apgd_l1.move(state, gradient, radius)
            moved = jnp.where(now.next_last, apgd_l1.corner(state, radius), moved)
            best = apgd_l1.project(state.image, state.clean, next_radius)
        else:
            state, gradient = checkpoint(state, look.gradient, now.window, self.rho)
            moved = move(state, gradient, radius, now.first, self.norm)
            best = norms.project(state.image, state.clean, next_radius, self.norm)
        # from a plateau the next checkpoint leads back to the best image, unless that lies on it
        idle = norms.length(moved - state.current, "linf") <= norms.IDLE
        stuck = still & useless(state.slope) & idle
        more = now.after < whole.first.size
        ended = now.last | stuck | (look.hit & (more | self.until_fooled))
        return state._replace(
            done=ended & ~more,
            flat=state.flat | (still & ~look.hit),
            current=jnp.where(ended, best, moved),
            previous=state.current,
            number=jnp.where(ended, now.after, state.number + 1),
        )

    def _look(self, predict: Any, state: APGDState) -> Look:
        """Looks at the model at the iterate: one gradient."""
        label, target = state.label, state.target
        goal = target if self.aim is None else self.aim

        def climbed(image: Image) -> tuple[Any, Any]:
            logits = predict(image)
            return gain(self.loss, logits, label, goal), logits

        (value, logits), gradient = jax.value_and_grad(climbed, has_aux=True)(state.current)
        if self.track is not None:
            value = gain(self.track, logits, label, goal)
        standing = withstand(logits, label, target)
        return Look(value, gradient, standing, fooled(logits, label, target))


def gain(loss: Gain, logits: Any, label: Any, target: Any) -> Float[Array, ""]:
    """Returns what an attack wants more of: a loss of the label, or minus that of the target."""
    if loss == "dlr":
        return dlr(logits, label, target)
    function = losses.cross_entropy if isinstance(loss, str) else loss
    return objective(function, logits, label, target)
