"""CosPGD: every pixel weighs as much as its softmax still looks like its label."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, pixels
from medadv_jax.attacks.dense_ascent import DenseAscent
from medadv_jax.attacks.gradient import BallState, Loss
from medadv_jax.types import attack


def cospgd_loss(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"], *, targeted: bool = False
) -> Float[Array, ""]:
    r"""Cross-entropy with the alignment of the softmax and the label as weight.

    $$\frac{1}{n} \sum_q w_q\,\mathrm{CE}(z_q, y_q), \qquad
      w_q = \cos(p_q, e_{y_q}) = \frac{p_{q, y_q}}{\|p_q\|_2}, \quad p = \mathrm{softmax}(z),$$

    over the n pixels that count; with a target the weight is $1 - \cos$. The weights are constants:
    no gradient flows through them, else it would be another attack.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, the true or the wished-for classes; -1 marks a pixel that does not count.
      targeted: Whether the label is a target.

    Returns:
      A scalar.

    >>> print(cospgd_loss(jnp.zeros((2, 4)), jnp.array([3, -1])).round(4))  # log(4) / 2
    0.6931

    Source: Agnihotri, Jung, Keuper, "CosPGD", 2024, arXiv 2302.02213. The package `cospgd` gives
    one value a pixel; it takes a label that is out of range for the last class, so that its caller
    must leave such pixels out.
    """
    share = jax.nn.softmax(jax.lax.stop_gradient(logits))
    own = pixels.at(share, label)
    weights = own / jnp.sqrt(jnp.sum(share**2, axis=-1))  # the divisor is at least 1 / sqrt(k)
    return losses.cross_entropy(logits, label, 1 - weights if targeted else weights)


@attack
class CosPGD(DenseAscent):
    r"""Projected gradient descent on segmenters that weighs each pixel by how right it still is.

    Every step climbs `cospgd_loss`; with a target it goes down, and the pixels that look the least
    like their target weigh the most.

    Args:
      eps: As all else, see `DenseAscent`.

    Source: Agnihotri, Jung, Keuper, "CosPGD: an efficient white-box adversarial attack for
    pixel-wise prediction tasks", ICML 2024. In L2 the authors start on the sphere, here the start
    is uniform in the ball.
    """

    def objective(self, state: BallState) -> Loss:
        """Returns the loss of the next step."""
        checks.dense_label(self, state.label)
        targeted = state.target is not None
        return lambda logits, label: cospgd_loss(logits, label, targeted=targeted)
