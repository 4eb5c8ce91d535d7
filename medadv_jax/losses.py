"""Losses of one example: logits and a label in, a scalar out. `jax.vmap` makes them batched.

For dense logits (`(h, w, k)` with labels `(h, w)`) a loss is the mean over the pixels that count:
those whose label is not negative.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cross_entropy(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"], *, smoothing: float = 0.0
) -> Float[Array, ""]:
    r"""Cross-entropy of the softmax, $-\log \mathrm{softmax}(z)_y$.

    It is computed as $\log(1 + e^d)$, $d = \log \sum_{i \ne y} e^{z_i} - z_y$. In the usual form
    the gradient is the difference of two numbers near 1 where the model is sure, rounding noise
    from logits 16 apart; attacks need it to be right, and here it is until they are 87 apart.

    With smoothing $s$ the label's share is $1 - s$ and $s$ is spread evenly over all $k$ classes
    (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.
      smoothing: In [0, 1).

    Returns:
      A scalar, the mean over the pixels that count, 0 if none does.

    >>> print(cross_entropy(jnp.zeros(4), jnp.array(2)).round(4))
    1.3863
    >>> print(cross_entropy(jnp.zeros((2, 4)), jnp.array([2, -1])).round(4))
    1.3863
    """
    own, others = _split(logits, label)
    of_label = jax.nn.softplus(jax.nn.logsumexp(others, axis=-1) - own)
    if smoothing == 0:
        return _mean(of_label, label)
    of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
    return _mean((1 - smoothing) * of_label + smoothing * of_all, label)


def margin(logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]) -> Float[Array, ""]:
    r"""How far the best other class is above the label, $\max_{i \ne y} z_i - z_y$.

    Positive exactly where the label is not the prediction. Right for logits of any sign: the label
    is taken out by a mask, not by a product with a one-hot vector.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.

    Returns:
      A scalar, the mean over the pixels that count, 0 if none does.

    >>> print(margin(jnp.array([-1.0, -3.0, -2.0]), jnp.array(1)))
    2.0
    """
    own, others = _split(logits, label)
    return _mean(jnp.max(others, axis=-1) - own, label)


def _mean(values: Float[Array, "*dense"], label: Int[Array, "*dense"]) -> Float[Array, ""]:
    """Returns the mean over the pixels that count."""
    counts = label >= 0
    return jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)


def _split(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> tuple[Float[Array, "*dense"], Float[Array, "*dense k"]]:
    """Returns the logit of the label, and the logits with that one replaced by -inf."""
    classes = jnp.arange(logits.shape[-1]).reshape((1,) * label.ndim + (-1,))
    of_label = classes == label[..., None]
    own = jnp.sum(jnp.where(of_label, logits, 0), axis=-1)
    return own, jnp.where(of_label, -jnp.inf, logits)
