"""The losses of SEA: each looks away from pixels that have fallen, by its own means."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import pixels


def masked_cross_entropy(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> Float[Array, ""]:
    r"""Cross-entropy of the pixels that are still right.

    $$\frac{1}{n} \sum_q [\arg\max z_q = y_q]\,\mathrm{CE}(z_q, y_q)$$

    n counts all valid pixels, so that the loss falls where a pixel falls: no measure of progress.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.

    Returns:
      A scalar; its gradient is zero where no pixel is right.

    >>> logits, label = jnp.array([[0.0, 2.0], [0.0, 2.0], [0.0, 9.0]]), jnp.array([1, 0, -1])
    >>> print(masked_cross_entropy(logits, label).round(4))  # .1269 / 2
    0.0635
    """
    return losses.cross_entropy(logits, label, pixels.right(logits, label).astype(logits.dtype))


@dataclasses.dataclass(frozen=True)
class BalancedMaskedCrossEntropy:
    r"""Masked cross-entropy in which a pixel weighs $w_{y_q}$, so that small structures count.

    The authors take fixed weights of the classes of their data set. Without any, the weights are
    those of the image itself, $w_c = n / (m\,n_c)$ with $n_c$ of its n valid pixels in class c and
    m classes present: each structure in the image counts alike.

    Attributes:
      weights: One weight a class, or None. They are structure: two equal ones share a program.

    >>> logits, label = jnp.array([[0.0, 2.0], [0.0, 2.0], [2.0, 0.0]]), jnp.array([1, 1, 0])
    >>> loss = BalancedMaskedCrossEntropy()  # all are right: .1269 * (.75 + .75 + 1.5) / 3
    >>> print(loss(logits, label).round(4))
    0.1269
    """

    weights: tuple[float, ...] | None = None

    def __call__(
        self, logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
    ) -> Float[Array, ""]:
        """Returns the loss of one image."""
        if self.weights is None:
            counts = jnp.zeros(logits.shape[-1]).at[jnp.maximum(label, 0)].add(label >= 0)
            weights = jnp.sum(counts) / jnp.maximum(jnp.sum(counts > 0) * counts, 1)
        else:
            weights = jnp.asarray(self.weights, logits.dtype)
        own = weights[jnp.maximum(label, 0)]
        return losses.cross_entropy(logits, label, pixels.right(logits, label) * own)


def jensen_shannon(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> Float[Array, ""]:
    r"""Jensen-Shannon divergence of the softmax and the label, the mean over pixels.

    With p the probability of the label it is
    $\log 2 + \frac12 \bigl(p \log p - (1 + p) \log(1 + p)\bigr)$, from 0 to log 2. It needs no
    mask: its gradient fades where p goes to 0. Computed from the cross-entropy $c = -\log p$, it is
    right for a model that is sure too.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.

    Returns:
      A scalar, 0 if no pixel counts.

    >>> print(f"{jensen_shannon(jnp.zeros((2, 2)), jnp.array([0, -1])):.4f}")  # log(4 / 3) * 3 / 4
    0.2158
    """
    each = losses.cross_entropies(logits, label)
    own = jnp.exp(-each)
    divergence = jnp.log(2.0) - (own * each + (1 + own) * jnp.log1p(own)) / 2
    return losses.mean(divergence, label >= 0)
