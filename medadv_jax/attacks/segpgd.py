"""SegPGD: the pixels that still stand first, those that have fallen more and more."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, pixels
from medadv_jax.attacks.dense_ascent import DenseAscent
from medadv_jax.attacks.gradient import BallState, Loss
from medadv_jax.types import attack


def segpgd_loss(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    share: float | Float[Array, ""],
    *,
    targeted: bool = False,
) -> Float[Array, ""]:
    r"""Cross-entropy with one weight for the pixels that are right and one for those that are not.

    $$\frac{1}{n} \sum_q w_q\,\mathrm{CE}(z_q, y_q), \qquad
      w_q = 1 - \lambda \text{ where } \arg\max z_q = y_q, \text{ else } \lambda,$$

    over the n pixels that count. With a target it is the other way round: the pixels that are not
    at the target yet weigh $1 - \lambda$. The weights are constants: no gradient flows through
    them.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, the true or the wished-for classes; -1 marks a pixel that does not count.
      share: $\lambda$, in [0, 1/2].
      targeted: Whether the label is a target.

    Returns:
      A scalar.

    >>> logits, label = jnp.array([[0.0, 2.0], [0.0, 2.0], [0.0, 9.0]]), jnp.array([1, 0, -1])
    >>> print(segpgd_loss(logits, label, 0.25).round(4))  # (.75 * .1269 + .25 * 2.1269) / 2
    0.3135

    Source: Gu, Zhao, Tresp, Torr, "SegPGD", ECCV 2022, equation 4. The package `cospgd` divides the
    sum over the whole batch by all pixels, those that do not count included: the same direction,
    another value.
    """
    heavy = pixels.right(logits, label) != targeted
    return losses.cross_entropy(logits, label, jnp.where(heavy, 1 - share, share))


@attack
class SegPGD(DenseAscent):
    r"""Projected gradient descent on segmenters that moves from pixels that stand to all pixels.

    Step t of T climbs `segpgd_loss` with $\lambda_t = (t - 1) / 2T$: the first looks only at the
    pixels that are right, the last at all of them nearly alike. With a target it goes down, and the
    pixels that are not at the target yet come first. The schedule counts the steps of an example.

    Where no pixel is right before the first step there is nothing to climb yet; the image stays
    where it is, and the second step goes on. The package `cospgd` has $\lambda_t = t / 2T$ with t
    as its caller counts it: from 0 it is the paper's schedule.

    Args:
      eps: As all else, see `DenseAscent`.

    Source: Gu, Zhao, Tresp, Torr, "SegPGD: an effective and efficient adversarial attack for
    evaluating and boosting segmentation robustness", ECCV 2022.
    """

    def objective(self, state: BallState) -> Loss:
        """Returns the loss of the next step."""
        checks.dense_label(self, state.label)
        share, targeted = state.number / (2 * self.steps), state.target is not None
        return lambda logits, label: segpgd_loss(logits, label, share, targeted=targeted)

    def step(self, predict: Any, state: BallState) -> BallState:
        """Returns the state after one more step."""
        new = super().step(predict, state)
        # no weight at all at first is no flat model; the second step will tell
        waits = new.flat & (state.number == 0) & (self.steps > 1)
        return new._replace(done=new.done & ~waits, flat=new.flat & ~waits)
