"""What a training minimises. A defence is a function from objectives to objectives."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medadv_jax import losses, models
from medadv_jax.types import Batch, Label, Logits, PRNGKey, Variables


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
    loss: Callable[[Logits, Label], Float[Array, ""]] = losses.cross_entropy,
    class_weights: Float[Array, " k"] | np.ndarray | None = None,
    logit_adjustment: Float[Array, " k"] | np.ndarray | None = None,
    aux_weight: float = 0.4,
) -> Objective:
    r"""The mean loss of a network in training mode over the valid examples of a batch.

    $\frac{1}{\sum_i m_i} \sum_i m_i w_{y_i} \ell(f(x_i) + a, y_i)$ with mask $m$, class weights $w$
    and logit adjustment $a$.

    Args:
      model: A network whose last axis of logits has k entries.
      mean: Mean of the pixels, as in `models.bind`.
      std: Standard deviation of the pixels, as in `models.bind`.
      loss: Loss of one example.
      class_weights: `(k,)`, factor of each class's loss (image-level labels only).
      logit_adjustment: `(k,)`, added to the logits in training only. With the logarithm of the
        class frequencies seen in training, the network left without it predicts as if classes were
        equally frequent (Menon et al. 2021, arXiv 2007.07314, equation 11).
      aux_weight: Weight of the auxiliary head's loss, where the network has one (0.4 in
        torchvision's training of Inception V3).

    Returns:
      The objective.
    """
    weights = None if class_weights is None else jnp.asarray(class_weights, jnp.float32)
    shift = jnp.asarray(0.0 if logit_adjustment is None else logit_adjustment, jnp.float32)

    def mean_loss(logits: Array, batch: Batch) -> Array:
        classes_last = shift.reshape((1,) * (logits.ndim - 2) + (-1,))
        each = jax.vmap(lambda one, label: loss(one + classes_last, label))(logits, batch.labels)
        if weights is not None:
            each = each * weights[batch.labels]
        return jnp.sum(jnp.where(batch.mask, each, 0)) / jnp.maximum(jnp.sum(batch.mask), 1)

    def objective(variables: Variables, batch: Batch, key: PRNGKey) -> tuple[Array, Any]:
        output, batch_stats = models.apply(
            model, variables, batch.images, mean=mean, std=std, train=True, key=key
        )
        if not isinstance(output, tuple):
            return mean_loss(output, batch), batch_stats
        logits, aux = output
        return mean_loss(logits, batch) + aux_weight * mean_loss(aux, batch), batch_stats

    return objective
