"""Expectation over transformation: an attack on a model that is random."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import checks, rows
from medadv_jax.attacks.wrap import Disguise, Wrapper, run_inside
from medadv_jax.types import (
    Attack,
    CompositeAttack,
    Image,
    Label,
    PRNGKey,
    Result,
    attack,
    per_example,
    static,
)

STREAM = 0xE07
"""What the keys of the transformations are folded in with, apart from those of other attacks."""


@attack
class EOT(Wrapper):
    r"""Attacks the mean logits of randomly transformed images, drawn anew in every step.

    $$f_{EOT}(x) = \frac1S \sum_{s=1}^{S} f(T(k_s, x))$$

    The result fools a model behind a random defence T, or stays adversarial under changes of the
    scene such as noise, shifts and light. `success` is judged on `predict` itself, without the
    transformation: what of it remains under T the caller measures with T and keys of its own. With
    the identity and one sample, `EOT` is the attack.

    Every gradient counts as `samples` gradients and every forward as `samples` forwards. Where one
    draw has no gradient another may have one: a step that ends an attack as `flat` is not taken,
    and the next is tried with fresh draws, until the steps are spent. The result is `flat` if that
    ever happened.

    Here the logits are averaged; Athalye et al. average the log-probabilities, AutoAttack's "rand"
    version the gradients of the loss, which is the same where the loss is linear in the logits.

    Args:
      attack: A stepwise or a composite attack, none with a `refresh`.
      transform: From a key and one image to what the model is shown instead; jax differentiates it.
        It is structure: a new function is a new program.
      samples: Transformations in a step, all in memory at once.

    Source: Athalye, Engstrom, Ilyas, Kwok, "Synthesizing robust adversarial examples", ICML 2018.
    """

    attack: Attack
    transform: Callable[[Any, Any], Any] = static()
    samples: int = static(default=20)

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for less than one sample, or for what the attack itself refuses."""
        checks.count("samples", self.samples)
        super().check(shape, num_classes)

    def run(
        self,
        engine: Any,
        keys: Any,
        predict: Any,
        images: Any,
        labels: Any,
        targets: Any,
        mask: Any,
    ) -> Result:
        """Runs the attack through the engine, on the mean logits."""

        def disguise(part: Any, keys: Any, images: Any) -> Any:
            if isinstance(part, CompositeAttack):
                return dataclasses.replace(self, attack=part)
            draws = rows.fold_in(keys, STREAM)
            return _Expected(
                attack=part, draws=draws, transform=self.transform, samples=self.samples
            )

        return run_inside(
            self.attack, disguise, engine, keys, predict, images, labels, targets, mask=mask
        )


class ExpectedState(NamedTuple):
    """The state of an attack on mean logits.

    Attributes:
      inner: The state of the attack itself.
      number: How many times the transformations were drawn.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    inner: Any
    number: Int[Array, ""]
    gradients: Int[Array, ""]
    forwards: Int[Array, ""]


@attack
class _Expected(Disguise):
    """A stepwise attack that sees the mean of the logits of transformed images."""

    attack: Any
    draws: Any = per_example()
    transform: Callable[[Any, Any], Any] = static()
    samples: int = static()

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for an attack that meets the model in batches, where no key is."""
        if hasattr(self.attack, "refresh"):
            raise ValueError(
                f"EOT draws in every step, but {type(self.attack).__name__} looks at the model "
                "between its steps too, by `refresh`."
            )
        self.attack.check(shape, num_classes)

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> ExpectedState:
        """Returns the state before the first step."""
        inner = self.attack.init(key, self._mean(predict, 0), image, label, target)
        costs = [jnp.asarray(getattr(inner, name, 0)) for name in ("gradients", "forwards")]
        gradients, forwards = (self.samples * cost for cost in costs)
        return ExpectedState(
            inner.image, inner.done, inner.flat, inner, jnp.array(1), gradients, forwards
        )

    def step(self, predict: Any, state: ExpectedState) -> ExpectedState:
        """Returns the state after one more step, or as it was if the draw gave no direction."""
        old = state.inner._replace(flat=jnp.array(False))
        new = self.attack.step(self._mean(predict, state.number), old)
        stuck = new.done & new.flat
        spent = lambda name, usual: getattr(new, name, usual) - getattr(old, name, 0)
        gradients, forwards = self.samples * spent("gradients", 1), spent("forwards", 0)
        inner = jax.tree.map(lambda before, after: jnp.where(stuck, before, after), old, new)
        return ExpectedState(
            image=inner.image,
            done=inner.done,
            flat=state.flat | new.flat,
            inner=inner,
            number=state.number + 1,
            gradients=state.gradients + gradients,
            forwards=state.forwards + self.samples * forwards,
        )

    def _mean(self, predict: Any, number: Any) -> Callable[[Image], Any]:
        keys = jax.random.split(jax.random.fold_in(self.draws, number), self.samples)
        one = lambda key, image: predict(self.transform(key, image))
        return lambda image: jnp.mean(jax.vmap(one, in_axes=(0, None))(keys, image), axis=0)
