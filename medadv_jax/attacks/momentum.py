"""Momentum iterative method: steps along the sum of the gradients so far."""

from typing import Any

import jax.numpy as jnp

from medadv_jax import losses
from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.gradient import Ascent, BallState, Loss, Norm, advance, uphill, useless
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static


@attack
class MIM(Ascent):
    r"""Momentum iterative method (MI-FGSM): steps along a decaying sum of normalised gradients.

    $$g_{i+1} = \mu\,g_i + \frac{\nabla_x J(f(x_i), y)}{\|\nabla_x J(f(x_i), y)\|_1}, \qquad
      x_{i+1} = \Pi_{\epsilon}(x_i + \alpha\,\mathrm{sign}\,g_{i+1})$$ from the clean image; in L2
    the step is $\alpha\,g / \|g\|_2$. With a target t the gradient is that of $-J(f(x), t)$. With
    `decay=0` it is BIM.

    Why do two libraries differ? The L1 norm is that of one image: with the norm of a whole batch,
    as in early torchattacks, steps depend on batch mates. The mean of |g| in its place, as in
    CleverHans and torchattacks, is a constant factor and so the same attack. Foolbox sums the signs
    of the gradients, which is another attack. A gradient of zero, which all but Foolbox divide by,
    ends the attack here: it is `flat`, the step is not taken.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      step_size: Length of a step in the same norm; None for eps / steps.
      decay: Factor $\mu$ of the gradients so far, at least 0; 1 sums them all.
      steps: Number of steps, one gradient each.
      norm: Of the ball, "linf" or "l2".
      until_fooled: Stop at the first image that fools; the rest of the budget is not spent.
      loss: Maps the logits and the label of one example to a scalar.

    Source: Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018.
    """

    eps: Scalar
    step_size: Scalar | None = None
    decay: Scalar = 1.0
    steps: int = static(default=10)
    norm: Norm = static(default="linf")
    until_fooled: bool = static(default=False)
    loss: Loss = static(default=losses.cross_entropy)
    size = "eps"
    random_start = False

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.choice("norm", self.norm, ("linf", "l2"))
        checks.number("decay", self.decay, 0)
        super().check(shape, num_classes)

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> BallState:
        """Returns the state before the first step; the key is not used."""
        state = super().init(key, predict, image, label, target)
        return state._replace(momentum=jnp.zeros_like(image))

    def step(self, predict: Any, state: BallState) -> BallState:
        """Returns the state after one more step."""
        gradient, hit = uphill(predict, state, self.loss)
        flat = useless(gradient)
        gradient = norms.rescaled(gradient)
        momentum = self.decay * state.momentum + gradient / jnp.maximum(jnp.abs(gradient).sum(), 1)
        size = self.eps / self.steps if self.step_size is None else self.step_size
        moved = norms.ascend(state.image, momentum, size, self.norm)
        moved = norms.project(moved, state.clean, self.eps, self.norm)
        new = advance(state, moved, stop=hit & self.until_fooled, flat=flat)
        return new._replace(momentum=jnp.where(flat, state.momentum, momentum))
