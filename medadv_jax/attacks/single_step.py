"""Relatives of FGSM with one step: towards the least likely class, and from a random corner."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.gradient import BallState, Loss, Norm, SingleStep, begin
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static


def least_likely(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> Int[Array, "*dense"]:
    """Returns the class with the lowest logit, of those that are not the label; -1 where it is -1.

    >>> logits = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    >>> print(least_likely(logits, jnp.array([2, 0, -1])))
    [ 1  1 -1]
    """
    own = jax.nn.one_hot(label, logits.shape[-1], dtype=bool)
    least = jnp.argmin(jnp.where(own, jnp.inf, logits), axis=-1)
    return jnp.where(label < 0, -1, least)


@attack
class StepLL(SingleStep):
    r"""One step towards the class that the model holds least likely, to the edge of the ball.

    $$x' = \mathrm{clip}_{[0,1]}(x - \epsilon\,\mathrm{sign}\,\nabla_x J(f(x), y_{LL})), \qquad
      y_{LL} = \arg\min_{i \ne y} f_i(x)$$ and its forms in L2 and L1; a label map has a least
    likely class in every pixel. The label has no part in the direction, so that a model trained on
    such images cannot read it from them (label leaking). Any wrong class is a success.

    It costs one gradient; the least likely class is read from the same pass. Kurakin's y_LL may be
    the label itself, where the model is wrong; then the step would mend the prediction, in label
    maps that of many pixels. The label is left out here, which changes nothing where it is right.
    The authors of ensemble adversarial training write the same rule; torchattacks has it only as
    the target of other attacks.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      norm: Of the ball. In L1 the step fills the pixels with the steepest slopes.
      loss: Maps the logits and the label of one example to a scalar.

    Source: Kurakin, Goodfellow, Bengio, "Adversarial machine learning at scale", ICLR 2017.
    """

    eps: Scalar
    norm: Norm = static(default="linf")
    loss: Loss = static(default=losses.cross_entropy)
    size = "eps"

    def objective(self) -> Loss:
        """Returns minus the loss of the least likely class."""

        def towards(logits: Any, label: Any) -> Any:
            return -self.loss(logits, least_likely(jax.lax.stop_gradient(logits), label))

        return towards

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> BallState:
        """Returns the state before the step; the key is not used."""
        checks.untargeted(self, target)
        return super().init(key, predict, image, label, None)


@attack
class RFGSM(SingleStep):
    r"""Fast gradient sign method from a random corner nearby, which escapes a masked gradient.

    $$x' = \mathrm{clip}_{[0,1]}(x + \alpha\,\mathrm{sign}(n)), \quad n \sim N(0, 1),$$
    $$x'' = \mathrm{clip}_{[0,1]}(x' + (\epsilon - \alpha)\,\mathrm{sign}\,\nabla J(f(x'), y)).$$
    The gradient is that at x', and the two moves together never exceed eps. With a target t the
    step goes down $J(f(x'), t)$. A step without a gradient leaves x' itself.

    The attack of this name in torchattacks is another one: several steps of BIM from such a start,
    clipped to the full eps, with alpha as the length of the steps too.

    Args:
      eps: Radius of the L-infinity ball, in pixels of [0, 1].
      alpha: Size of the random move, at most eps; None for eps / 2.
      loss: Maps the logits and the label of one example to a scalar.

    Source: Tramèr et al., "Ensemble adversarial training", ICLR 2018; code: `rand_fgs` of
    ftramer/ensemble-adv-training, whose MNIST script has alpha .05 at eps .3.
    """

    eps: Scalar
    alpha: Scalar | None = None
    loss: Loss = static(default=losses.cross_entropy)
    size = "eps"
    norm = "linf"

    def length(self) -> Any:
        """Returns what the random move has left of eps."""
        return self.eps - self._alpha()

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a radius outside [0, 1] or a random move longer than it."""
        super().check(shape, num_classes)
        checks.number("alpha", self.alpha, 0)
        checks.at_most("alpha", self.alpha, "eps", self.eps)

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> BallState:
        """Returns the state at the random corner."""
        signs = jax.random.rademacher(key, image.shape, jnp.float32)
        start = norms.project(image + self._alpha() * signs, image, self.eps, self.norm)
        return begin(start, image, label, target)

    def _alpha(self) -> Any:
        return self.eps / 2 if self.alpha is None else self.alpha
