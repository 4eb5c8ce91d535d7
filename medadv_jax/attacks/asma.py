"""The adaptive segmentation mask attack (ASMA): steps that grow as the target is met."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import checks
from medadv_jax.attacks.judge import fooled
from medadv_jax.attacks.pixels import at, valid
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static


class ASMAState(NamedTuple):
    """The state of ASMA.

    Attributes:
      image: The success that is nearest to the clean image; `point` as long as there is none.
      point: Where the attack is.
      least: Squared L2 distance of that success, infinite as long as there is none.
      first: Whether no step has been taken.
    """

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]
    clean: Float[Array, "*space c"]
    label: Int[Array, "*space"]
    target: Int[Array, "*space"]
    point: Float[Array, "*space c"]
    least: Float[Array, ""]
    first: Bool[Array, ""]


@attack
class ASMA:
    r"""Adaptive segmentation mask attack: raises the target's logits where it is not yet predicted.

    With the target map t and the valid pixels n that are not at their target, a step is
    $$x_{m+1} = \mathrm{clip}_{[0,1]}(x_m + \mu_m \nabla_x L(x_m)), \quad
    L(x) = \sum_{n:\,\arg\max_c f_c(x)_n \ne t_n} f_{t_n}(x)_n - \|x - x_0\|_2^2, \quad
    \mu_m = \beta\,\mathrm{IoU}(\arg\max_c f_c(x_m), t) + \tau$$
    with $\mu_0 = \tau$. The gradient is taken as it is, so that the steps are as long as the model
    is steep, and the distance is a sum, so that it weighs more in a larger image. The perturbation
    has no bound. It is targeted: it needs targets.

    The IoU is that of each image, the mean over the classes that occur in its target or in its
    prediction, at valid pixels. The authors' code multiplies the two masks, which is right for
    masks of 0 and 1 only; adv-lib takes one IoU over the whole batch, so that a result depends on
    batch mates, and counts a class that does not occur as 0.

    Fooled: 99 % of the valid pixels are at their target, and so are 99 % of those that should
    change. Of all images that fool, the nearest to the clean one in L2 is returned (as in adv-lib);
    if none does, the last one. All steps are taken, with `until_fooled` only those up to the
    first success: by the usual beta, and the distance's pull of 2 beta of itself a step, a thousand
    steps more bring the image nearer by 0.2 % at most. What is misclassified, or whose target is
    its label, stays as it is, free of cost.

    Args:
      tau: Step length as long as nothing is at its target.
      beta: By how much it grows with the IoU.
      steps: Most steps, one gradient each; the authors take 2501.
      until_fooled: Whether to stop at the first success.

    Source: Ozbulak, Van Messem, De Neve, "Impact of adversarial examples on deep learning models
    for biomedical image segmentation", 2019.
    """

    tau: Scalar = 1e-7
    beta: Scalar = 1e-6
    steps: int = static(default=1000)
    until_fooled: bool = static(default=False)
    minimal = True
    size = None

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.number("tau", self.tau, 0, above=True)
        checks.number("beta", self.beta, 0)
        checks.count("steps", self.steps)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the number of steps."""
        return self.steps

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> ASMAState:
        """Returns the state before the first step; the key is not used."""
        checks.dense_label(self, label)
        wanted = checks.targeted(self, target)
        return ASMAState(
            image=image,
            done=~jnp.any(valid(label, wanted) & (wanted != label)),
            flat=jnp.array(False),
            clean=image,
            label=label,
            target=wanted,
            point=image,
            least=jnp.array(jnp.inf),
            first=jnp.array(True),
        )

    def step(self, predict: Any, state: ASMAState) -> ASMAState:
        """Returns the state after one more step."""
        counts = valid(state.label, state.target)

        def objective(point: Image) -> tuple[Any, Any]:
            logits = predict(point)
            wanted = at(logits, state.target)
            missed = counts & (jnp.argmax(logits, axis=-1) != state.target)
            distance = jnp.sum((point - state.clean) ** 2)
            return jnp.sum(jnp.where(missed, wanted, 0)) - distance, (logits, distance)

        slope, (logits, distance) = jax.grad(objective, has_aux=True)(state.point)
        hit = fooled(logits, state.label, state.target)
        better = hit & (distance < state.least)
        found = hit | jnp.isfinite(state.least)
        overlap = mean_iou(jnp.argmax(logits, axis=-1), state.target, counts, logits.shape[-1])
        length = jnp.where(state.first, 0, self.beta * overlap) + self.tau
        flat = ~jnp.isfinite(slope).all() | ((slope == 0).all() & ~hit)
        stop = flat | (hit & self.until_fooled)
        point = jnp.clip(state.point + length * slope, 0, 1)
        point = jnp.where(stop, state.point, point)
        kept = jnp.where(better, state.point, state.image)
        return state._replace(
            image=jnp.where(found, kept, point),
            done=stop,
            flat=state.flat | flat,
            point=point,
            least=jnp.where(better, distance, state.least),
            first=jnp.array(False),
        )


def mean_iou(
    prediction: Int[Array, "*space"],
    target: Int[Array, "*space"],
    counts: Bool[Array, "*space"],
    num_classes: int,
) -> Float[Array, ""]:
    """Returns the mean intersection over union of the classes that occur in either map.

    >>> one, two = jnp.array([[0, 1, 1, 2]]), jnp.array([[0, 0, 1, 1]])
    >>> print(mean_iou(one, two, one >= 0, 5).round(4))  # 1/2, 1/3 and 0/1
    0.2778
    """
    one = jax.nn.one_hot(prediction, num_classes, dtype=bool) & counts[..., None]
    two = jax.nn.one_hot(target, num_classes, dtype=bool) & counts[..., None]
    pixels = tuple(range(prediction.ndim))
    both, either = jnp.sum(one & two, pixels), jnp.sum(one | two, pixels)
    return jnp.sum(both / jnp.maximum(either, 1)) / jnp.maximum(jnp.sum(either > 0), 1)
