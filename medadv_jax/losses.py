"""Losses of one example: logits and a label in, a scalar out. `jax.vmap` makes them batched.

For dense logits (`(h, w, k)` with labels `(h, w)`) a loss is the mean over the pixels that count:
those whose label is not negative.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer


def cross_entropy(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    weights: Float[Array, "*dense"] | None = None,
    *,
    smoothing: float = 0.0,
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
      weights: `(*dense,)`, factor of each pixel's loss before the mean is taken. The sum is divided
        by the number of pixels that count, not by the sum of their weights.
      smoothing: In [0, 1).

    Returns:
      A scalar, the mean over the pixels that count, 0 if none does.

    >>> print(cross_entropy(jnp.zeros(4), jnp.array(2)).round(4))
    1.3863
    >>> print(cross_entropy(jnp.zeros((2, 4)), jnp.array([2, -1])).round(4))
    1.3863
    """
    each = cross_entropies(logits, label)
    if smoothing != 0:
        of_all = jax.nn.logsumexp(logits, axis=-1) - logits.mean(axis=-1)
        each = (1 - smoothing) * each + smoothing * of_all
    return mean(each if weights is None else weights * each, label >= 0)


def cross_entropies(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> Float[Array, "*dense"]:
    """The `cross_entropy` of every pixel, 0 where it does not count.

    >>> print(cross_entropies(jnp.zeros((2, 4)), jnp.array([3, -1])).round(4))
    [1.3863 0.    ]
    """
    own, others = _split(logits, label)
    each = jax.nn.softplus(jax.nn.logsumexp(others, axis=-1) - own)
    return jnp.where(label >= 0, each, 0)


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
    return mean(margins(logits, label), label >= 0)


def margins(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> Float[Array, "*dense"]:
    """The `margin` of every pixel, 0 where it does not count.

    >>> print(margins(jnp.array([[-1.0, -3.0], [5.0, 0.0]]), jnp.array([1, -1])))
    [2. 0.]
    """
    own, others = _split(logits, label)
    return jnp.where(label >= 0, jnp.max(others, axis=-1) - own, 0)


def mean(values: Float[Array, "*dense"], counts: Bool[Array, "*dense"]) -> Float[Array, ""]:
    """Returns the mean over the pixels that count, 0 if none does.

    >>> print(mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
    """
    return jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)


def dice_loss(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"], *, background: bool = False
) -> Float[Array, ""]:
    r"""One minus the soft Dice overlap, averaged over the structures that the label holds.

    $$1 - \frac{1}{|C|} \sum_{c \in C} \frac{2 \sum_q p_c(q)\,[y(q) = c]}
      {\sum_q p_c(q) + \sum_q [y(q) = c]}, \qquad p = \mathrm{softmax}(z),$$

    with q over the pixels that count and C the classes that some of them have. A structure that is
    absent from the label is no member of C: its overlap is 0 whatever the logits are, so it would
    only shift the loss. Nothing is smoothed, and pixels of other examples have no part in it.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.
      background: Whether class 0 is one of the structures.

    Returns:
      A scalar in [0, 1]; 0 if the label holds no structure.

    >>> print(f"{dice_loss(jnp.zeros((4, 2)), jnp.array([0, 0, 1, -1])):.3f}")
    0.600
    >>> print(dice_loss(jnp.zeros((4, 2)), jnp.array([0, 0, 0, -1])))
    0.0

    Source: the Dice term of QuickNAT (Roy et al. 2019, arXiv 1801.04161), here for each example by
    itself and over the structures that it holds. V-Net (Milletari et al. 2016) squares p below.
    """
    counts = (label >= 0)[..., None]
    truth = label[..., None] == jnp.arange(logits.shape[-1]).reshape((1,) * label.ndim + (-1,))
    share = jnp.where(counts, jax.nn.softmax(logits), 0)
    pixels = tuple(range(label.ndim))
    size = jnp.sum(truth, axis=pixels)
    overlap = 2 * jnp.sum(share * truth, axis=pixels)
    overlap = overlap / jnp.maximum(jnp.sum(share, axis=pixels) + size, 1)
    held = (size > 0) if background else (size > 0).at[0].set(False)
    return jnp.sum(jnp.where(held, 1 - overlap, 0)) / jnp.maximum(jnp.sum(held), 1)


def weighted_logistic_dice(
    logits: Float[Array, "*dense k"],
    label: Int[Array, "*dense"],
    weights: Float[Array, "*dense"] | None = None,
) -> Float[Array, ""]:
    r"""Weighted multinomial logistic loss plus Dice loss, by which QuickNAT is trained.

    $$\frac{1}{n} \sum_q \omega(q) \bigl(-\log \mathrm{softmax}(z(q))_{y(q)}\bigr)
      + \mathrm{dice\_loss}(z, y)$$

    over the n pixels that count. The weights are
    $\omega(q) = m_{y(q)} + \omega_0 [q \text{ is at an edge of } y]$, with $m$ from
    `median_frequency_weights` and the second term from `edge_weights`; `train.supervised` makes
    them of each label.

    Args:
      logits: `(*dense, k)`, unnormalised.
      label: `(*dense,)`, classes in 0 .. k-1; -1 marks a pixel that does not count.
      weights: `(*dense,)`, omega; None for 1 everywhere.

    Returns:
      A scalar, 0 if no pixel counts.

    >>> print(weighted_logistic_dice(jnp.zeros((2, 2)), jnp.array([1, 1]), jnp.ones(2)).round(4))
    1.0265

    Source: Roy, Conjeti, Navab and Wachinger 2019, arXiv 1801.04161. The Dice term leaves absent
    structures out, see `dice_loss`; the background is in it, for its share is what keeps structures
    from spreading over it.
    """
    return cross_entropy(logits, label, weights) + dice_loss(logits, label, background=True)


def median_frequency_weights(counts: Integer[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    r"""Weights that let rare classes count more, $\mathrm{median}(f) / f_c$.

    The median is over the classes that occur. A class without a pixel gets the largest weight of
    the others: finite, and without effect where it does not occur. QuickNAT's weight of edges,
    $\omega_0 = 2\,\mathrm{median}(f) / \min f$, is twice the largest weight.

    Args:
      counts: `(k,)`, the pixels of each class in the training data; -1 is not counted.

    Returns:
      float32 `(k,)`, positive and finite.

    Raises:
      ValueError: No class has a pixel, or a count is negative.

    >>> median_frequency_weights(np.array([800, 100, 0, 50]))
    array([0.125, 1.   , 2.   , 2.   ], dtype=float32)

    Source: Roy et al. 2019, arXiv 1801.04161; f is the share of all pixels, not of the pixels of
    those images that hold the class. Their released code rounds the quotient down, which
    makes frequent classes weigh nothing.
    """
    if counts.min(initial=0) < 0 or not counts.any():
        raise ValueError(f"counts are pixels of each class, some of them positive, got {counts}.")
    occurs = counts > 0
    weights = np.median(counts[occurs]) / np.where(occurs, counts, 1)
    return np.where(occurs, weights, weights[occurs].max()).astype(np.float32)


def edge_weights(
    label: Int[Array, "*dense"], omega0: float | np.floating | Float[Array, ""] = 2.0
) -> Float[Array, "*dense"]:
    r"""The weight of the pixels where structures meet, $\omega_0 [|\nabla y| > 0]$.

    A pixel is at an edge if its label differs from that of a direct neighbour, before or after it
    along any axis of this one label. An ignored pixel (-1) is no edge and makes none.

    Args:
      label: `(h, w)` or `(d, h, w)`, classes in 0 .. k-1 or -1.
      omega0: The weight.

    Returns:
      float32, of the shape of the label.

    >>> print(edge_weights(jnp.array([[0, 0, 0], [0, 0, 5]])))
    [[0. 0. 2.]
     [0. 2. 2.]]

    Source: Roy et al. 2019, arXiv 1801.04161. Their released code takes central differences
    of label numbers along two axes of the volume: it is blind to the third, and to what is one
    pixel thin.
    """
    edge = jnp.zeros(label.shape, bool)
    for axis in range(label.ndim):
        before = jax.lax.slice_in_dim(label, 0, label.shape[axis] - 1, axis=axis)
        after = jax.lax.slice_in_dim(label, 1, label.shape[axis], axis=axis)
        meet = (before != after) & (before >= 0) & (after >= 0)
        beside = lambda low, high, meet=meet, axis=axis: jnp.pad(
            meet, [(low, high) if a == axis else (0, 0) for a in range(label.ndim)]
        )
        edge = edge | beside(0, 1) | beside(1, 0)
    return jnp.where(edge, jnp.float32(omega0), 0)


def _split(
    logits: Float[Array, "*dense k"], label: Int[Array, "*dense"]
) -> tuple[Float[Array, "*dense"], Float[Array, "*dense k"]]:
    """Returns the logit of the label, and the logits with that one replaced by -inf."""
    classes = jnp.arange(logits.shape[-1]).reshape((1,) * label.ndim + (-1,))
    of_label = classes == label[..., None]
    own = jnp.sum(jnp.where(of_label, logits, 0), axis=-1)
    return own, jnp.where(of_label, -jnp.inf, logits)
