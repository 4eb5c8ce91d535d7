"""What a training minimises. A defence is a function from objectives to objectives."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medadv_jax import losses, models
from medadv_jax.types import Batch, PRNGKey, Variables


@runtime_checkable
class Objective(Protocol):
    """The loss of a batch, its padding (`batch.mask`) left out.

    It returns the loss and the new `batch_stats` (empty where the network has none).
    """

    def __call__(
        self, variables: Variables, batch: Batch, key: PRNGKey, /
    ) -> tuple[Float[Array, ""], Any]:
        """Returns `(loss, batch_stats)`."""
        ...


def supervised(
    model: nn.Module,
    *,
    mean: models.Statistic = 0.5,
    std: models.Statistic = 0.5,
    loss: Callable[..., Float[Array, ""]] = losses.cross_entropy,
    class_weights: Float[Array, " k"] | np.ndarray | None = None,
    edge_weight: float = 0.0,
    logit_adjustment: Float[Array, " k"] | np.ndarray | None = None,
    aux_weight: float = 0.4,
) -> Objective:
    r"""The mean loss of a network in training mode over the valid examples of a batch.

    $\frac{1}{\sum_i m_i} \sum_i m_i w_{y_i} \ell(f(x_i) + a, y_i)$ with mask $m$, class weights $w$
    and logit adjustment $a$.

    With dense labels the weights are those of pixels, $\omega(q) = w_{y(q)} + \omega_0$ [q is at an
    edge], and belong into the loss, $\ell(f(x_i) + a, y_i, \omega)$: it weights each pixel, then
    takes the mean over the pixels that count. Images that have such a pixel count alike.

    Args:
      model: A network whose last axis of logits has k entries.
      mean: Mean of the pixels, as in `models.bind`.
      std: Standard deviation of the pixels, as in `models.bind`.
      loss: Loss of one example, `loss(logits, label)`; of a dense label with class or edge weights
        `loss(logits, label, weights)`, as `losses.cross_entropy` or `weighted_logistic_dice`.
      class_weights: `(k,)`, factor of each class's loss, say `losses.median_frequency_weights`.
      edge_weight: omega0, added to the weight of the pixels where structures meet, see
        `losses.edge_weights`; dense labels only. QuickNAT: twice the largest class weight.
      logit_adjustment: `(k,)`, added to the logits in training only. With the logarithm of the
        class frequencies seen in training, the network left without it predicts as if classes were
        equally frequent (Menon et al. 2021, arXiv 2007.07314, equation 11).
      aux_weight: Weight of the auxiliary head's loss, where the network has one (0.4 in
        torchvision's training of Inception V3).

    Returns:
      The objective. It raises ValueError for an edge weight without dense labels.
    """
    weights = None if class_weights is None else jnp.asarray(class_weights, jnp.float32)
    shift = jnp.asarray(0.0 if logit_adjustment is None else logit_adjustment, jnp.float32)

    def one(logits: Array, label: Array) -> Array:
        logits = logits + shift.reshape((1,) * (logits.ndim - 1) + (-1,))
        if not label.ndim:
            return loss(logits, label) * (1 if weights is None else weights[label])
        if weights is None and not edge_weight:
            return loss(logits, label)
        return loss(logits, label, _pixel_weights(label, weights, edge_weight))

    def mean_loss(logits: Array, batch: Batch) -> Array:
        labels = jnp.asarray(batch.labels)
        if edge_weight and labels.ndim == 1:
            raise ValueError(f"edge_weight={edge_weight:g} is for masks, got a label an image.")
        counts = batch.mask & (labels >= 0).reshape(len(labels), -1).any(axis=1)
        each = jax.vmap(one)(logits, labels)
        return jnp.sum(jnp.where(counts, each, 0)) / jnp.maximum(jnp.sum(counts), 1)

    def objective(variables: Variables, batch: Batch, key: PRNGKey) -> tuple[Array, Any]:
        output, batch_stats = models.apply(
            model, variables, batch.images, mean=mean, std=std, train=True, key=key
        )
        if not isinstance(output, tuple):
            return mean_loss(output, batch), batch_stats
        logits, aux = output
        return mean_loss(logits, batch) + aux_weight * mean_loss(aux, batch), batch_stats

    return objective


def _pixel_weights(label: Array, class_weights: Array | None, edge_weight: float) -> Array:
    """Returns the weight of every pixel of one mask; where the label is -1 it has no meaning."""
    known = jnp.maximum(label, 0)
    of_class = jnp.ones(label.shape) if class_weights is None else class_weights[known]
    return of_class + losses.edge_weights(label, edge_weight) if edge_weight else of_class
