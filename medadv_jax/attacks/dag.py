"""Dense Adversarial Generation (DAG): normalised steps for all pixels that keep their label."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, judge, norms
from medadv_jax.attacks.gradient import useless
from medadv_jax.attacks.pixels import at, valid
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static

BACKGROUND = 0
"""The class that is no structure."""
GAMMAS = {"linf": 0.5 / 255, "l2": 0.5}
"""The usual length of a step in each norm, in pixels of [0, 1]."""
KEPT = 0.01
"""Largest part of the attacked pixels that may keep their label where an image counts as fooled."""


class DAGState(NamedTuple):
    """The state of DAG: where it is, and what it is after."""

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    label: Int[Array, "*space"]
    target: Int[Array, "*space"] | None


@attack
class DAG:
    r"""Dense Adversarial Generation: turns every pixel of a segmentation away from its label.

    Of the attacked pixels T, those that still have their label are active, and a step raises the
    sum of their gaps between the adversarial class l' and the label l:
    $$T_m = \{n \in T : \arg\max_c f_c(x_m)_n = l_n\}, \quad
    g_m = \nabla_x \sum_{n \in T_m} (f_{l'_n} - f_{l_n})(x_m)_n, \quad
    x_{m+1} = \mathrm{clip}_{[0,1]}(x_m + \gamma\,g_m / \|g_m\|_\infty)$$
    The perturbation is the sum of the steps and has no bound but [0, 1]; the paper does not clip,
    adv-lib clips a copy while the sum grows on. It ends when no pixel is active, or when the image
    counts as fooled. A pixel that changes back becomes active again.

    Attacked are, without a target, the pixels with a structure, or all with
    `foreground_only=False`; l' is then the best class but the label at every step, as in adv-lib
    (the paper draws one wrong class for each true class). With a target l' is the target, and
    attacked are the pixels whose target is not their label. Pixels with the label -1 never count.
    Images without such pixels, and misclassified ones, stay as they are, free of cost.

    Fooled: at most 1 % of the attacked pixels keep their label; with a target 99 % of the valid
    pixels are at theirs, and so are 99 % of those that should change.

    Three lengths of a step are called "gamma = 0.5":

    | code            | norm          | its unit              | in pixels of [0, 1] | steps |
    |-----------------|---------------|-----------------------|---------------------|-------|
    | Xie et al.      | Linf          | grey levels, 0 to 255 | 0.5 / 255           | 200   |
    | Paschali et al. | L2, a batch's | pixels of [0, 1]      | 0.5                 | 20    |
    | adv-lib         | Linf          | pixels of [0, 1]      | 0.5, half the range | 200   |

    The first is the default, `DAG(step_norm="l2", steps=20)` is the second, with the norm of each
    image; there the background is left alone with targets too, so that no structure grows into it.
    The code of Xie et al. differs from their paper, which is followed here: active there are all
    pixels that are not at their target, and the logit of the current prediction is subtracted;
    `active="target"` does that, and so does adv-lib. It is the choice where targets are to be met:
    by the paper's rule a pixel that went to a third class is at rest.

    Args:
      gamma: Length of a step, in pixels of [0, 1]; None for 0.5 / 255 in Linf and 0.5 in L2.
      steps: Most steps, one gradient each.
      step_norm: In which a step has its length: "linf" (Xie et al.) or "l2" (Paschali et al.).
      foreground_only: Whether the background is left alone where no target is given.
      active: "label": pixels with their label; "target": pixels not at their target. Without a
        target these are the same.

    Source: Xie et al., "Adversarial examples for semantic segmentation and object detection", 2017;
    Paschali et al., "Generalizability vs. robustness", 2018.
    """

    gamma: Scalar | None = None
    steps: int = static(default=200)
    step_norm: Literal["linf", "l2"] = static(default="linf")
    foreground_only: bool = static(default=True)
    active: Literal["label", "target"] = static(default="label")
    minimal = True
    size = None

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.number("gamma", self.gamma, 0, above=True)
        checks.count("steps", self.steps)
        checks.choice("step_norm", self.step_norm, ("linf", "l2"))
        checks.choice("active", self.active, ("label", "target"))

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of steps."""
        return self.steps

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> DAGState:
        """Returns the state before the first step; the key is not used."""
        checks.dense_label(self, label)
        done = ~jnp.any(self._attacked(label, target))
        return DAGState(image, done, jnp.array(False), label, target)

    def step(self, predict: Any, state: DAGState) -> DAGState:
        """Returns the state after one more step."""

        def objective(image: Image) -> tuple[Any, Any]:
            logits = predict(image)
            active = self._active(logits, state.label, state.target)
            gaps = self._gaps(logits, state.label, state.target)
            return jnp.sum(jnp.where(active, gaps, 0)), (logits, active)

        slope, (logits, active) = jax.grad(objective, has_aux=True)(state.image)
        stop = self.fooled(logits, state.label, state.target) | ~active.any()
        flat = useless(slope)
        gamma = GAMMAS[self.step_norm] if self.gamma is None else self.gamma
        moved = jnp.clip(state.image + gamma * direction(slope, self.step_norm), 0, 1)
        return state._replace(
            image=jnp.where(stop | flat, state.image, moved),
            done=stop | flat,
            flat=state.flat | (flat & ~stop),
        )

    def fooled(
        self,
        logits: Float[Array, "*space k"],
        label: Int[Array, "*space"],
        target: Int[Array, "*space"] | None = None,
    ) -> Bool[Array, ""]:
        """Whether at most 1 % of the attacked pixels keep their label, or targets are met."""
        if target is not None:
            return judge.fooled(logits, label, target)
        attacked = self._attacked(label, None)
        kept = attacked & (jnp.argmax(logits, axis=-1) == label)
        few = jnp.sum(kept) <= KEPT * jnp.sum(attacked)
        return jnp.isfinite(logits).all() & attacked.any() & few

    def _attacked(self, label: Label, target: Label | None) -> Bool[Array, "*space"]:
        """Returns the pixels that are to change."""
        if target is not None:
            return valid(label, target) & (target != label)
        return label > BACKGROUND if self.foreground_only else valid(label)

    def _active(self, logits: Any, label: Any, target: Any) -> Bool[Array, "*space"]:
        """Returns the pixels that a step is for."""
        prediction = jnp.argmax(logits, axis=-1)
        if target is None or self.active == "label":
            return self._attacked(label, target) & (prediction == label)
        return valid(label, target) & (prediction != target)

    def _gaps(self, logits: Any, label: Any, target: Any) -> Float[Array, "*space"]:
        """Returns by how much the wanted class is above the class to leave, pixel by pixel."""
        if target is None:
            return losses.margins(logits, label)
        leave = label if self.active == "label" else jnp.argmax(logits, axis=-1)
        return at(logits, target) - at(logits, leave)


def direction(slope: Image, norm: str) -> Image:
    """Returns a gradient divided by its norm; zero stays zero."""
    slope = norms.rescaled(slope)
    return slope if norm == "linf" else slope / jnp.maximum(norms.length(slope, norm), norms.TINY)
