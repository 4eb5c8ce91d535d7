"""Black-box attacks: images made on a surrogate and judged on the model that is attacked."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float

from medadv_jax.attacks import judge
from medadv_jax.attacks.wrap import Wrapper
from medadv_jax.types import Attack, Result, attack


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Ensemble:
    """A Predict whose logits are the mean of those of several.

    Attributes:
      models: Predicts of the same classes.
    """

    models: Any

    def __call__(self, images: Float[Array, "b *space c"], /) -> Float[Array, "b *dense k"]:
        """Returns the mean logits of a batch of images."""
        return jnp.mean(jnp.stack([model(images) for model in self.models]), axis=0)


@attack
class Transfer(Wrapper):
    r"""Runs an attack on a surrogate model; whether it fools is judged on the attacked model.

    The attack never meets the attacked model. All it looks at is the surrogate: where it stops, and
    which examples it takes for misclassified and leaves alone. `success` and `misclassified` of the
    Result are those of the attacked model. Of several surrogates the logits are averaged,
    $\frac1m \sum_j f_j(x)$, and every gradient counts as m. `Transfer(attack=a, surrogate=predict)`
    on `predict` itself is `a`.

    Dong et al. compare means of logits, probabilities and losses, and find logits the strongest;
    Liu et al. have means of probabilities.

    Args:
      attack: A stepwise or a composite attack.
      surrogate: A Predict, or a tuple of them; their weights are leaves. Of a function,
        `jax.tree_util.Partial(function)` is one.

    Source: Papernot et al., "Transferability in machine learning", 2016; ensembles: Liu et al.,
    ICLR 2017, and Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018.
    """

    attack: Attack
    surrogate: Any

    @property
    def judged(self) -> bool:
        """False: the engine judges the images on the attacked model."""
        return False

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a surrogate of another kind, or what the attack itself refuses."""
        self.refuse_own_targets()
        if not self._models():
            raise ValueError("Transfer needs at least one surrogate, got none.")
        if any(jax.tree.structure(model) == jax.tree.structure(0) for model in self._models()):
            raise ValueError(
                "A surrogate is a Predict, a pytree of its weights: of a function, "
                "jax.tree_util.Partial(function) is one."
            )
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
        """Runs the attack through the engine, on the surrogate."""
        models = self._models()
        shape = jax.eval_shape(judge.evaluate, predict, images).shape
        for model in models:
            own = jax.eval_shape(judge.evaluate, model, images).shape
            if own != shape:
                raise ValueError(f"A surrogate has logits as the model has, {shape}: got {own}.")
        surrogate = models[0] if len(models) == 1 else Ensemble(models)
        result = engine(self.attack, keys, surrogate, images, labels, targets, mask=mask)
        return result._replace(
            gradients=len(models) * result.gradients, forwards=len(models) * result.forwards
        )

    def _models(self) -> tuple[Any, ...]:
        return (self.surrogate,) if callable(self.surrogate) else tuple(self.surrogate)
