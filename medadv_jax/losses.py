"""Losses of one example: logits and a label in, a scalar out. `jax.vmap` makes them batched.

For dense logits (`(h, w, k)` with labels `(h, w)`) a loss is the mean over the pixels.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"], *, smoothing: float = 0.0
) -> Float[Array, ""]:
    r"""Cross-entropy of the softmax, $-\log \mathrm{softmax}(z)_y$.

    With smoothing $s$ the label's share is $1 - s$ and $s$ is spread evenly over all $k$ classes
    (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1.
      smoothing: In [0, 1).

    Returns:
      A scalar, the mean over the dense axes.

    >>> print(cross_entropy(jnp.zeros(4), jnp.array(2)).round(4))
    1.3863
    """
    of_label = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    if smoothing == 0:
        return of_label.mean()
    of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    return jnp.mean((1 - smoothing) * of_label + smoothing * of_all)


def margin(logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]) -> Float[Array, ""]:
    r"""How far the best other class is above the label, $\max_{i \ne y} z_i - z_y$.

    Positive exactly where the label is not the prediction. Right for logits of any sign: the label
    is taken out by a mask, not by a product with a one-hot vector.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1.

    Returns:
      A scalar, the mean over the dense axes.

    >>> print(margin(jnp.array([-1.0, -3.0, -2.0]), jnp.array(1)))
    2.0
    """
    of_label = jnp.arange(logits.shape[-1]) == label[..., None]
    own = jnp.sum(jnp.where(of_label, logits, 0), axis=-1)
    other = jnp.max(jnp.where(of_label, -jnp.inf, logits), axis=-1)
    return jnp.mean(other - own)
