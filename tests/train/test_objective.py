import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax import losses, train
from medadv_jax.types import Batch


class Net(nn.Module):
    """Logits (and auxiliary logits) of normalised mean pixels."""

    aux: bool = False

    @nn.compact
    def __call__(self, images, train=False):
        x = images.mean((1, 2))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        logits = nn.Dense(3)(x)
        return (logits, nn.Dense(3)(x)) if self.aux and train else logits


@pytest.fixture
def batch(key):
    images = np.asarray(jax.random.uniform(key, (4, 5, 5, 2)))
    mask = np.array([True, True, True, False])
    return Batch(images, np.array([0, 1, 2, 0], np.int32), mask, np.array([0, 1, 2, -1], np.int32))


def value(net, batch, key, **options):
    variables = net.init(key, batch.images, train=True)
    loss, batch_stats = jax.jit(train.supervised(net, **options))(variables, batch, key)
    output, _ = net.apply(
        variables, (batch.images - 0.5) / 0.5, train=True, mutable=["batch_stats"]
    )
    return loss, batch_stats, output


def test_is_the_mean_over_the_valid(key, batch):
    loss, batch_stats, logits = value(Net(), batch, key)
    each = [losses.cross_entropy(logits[i], jnp.int32(batch.labels[i])) for i in range(3)]
    chex.assert_trees_all_close(loss, sum(each) / 3, rtol=1e-6)
    chex.assert_trees_all_close(
        batch_stats["BatchNorm_0"]["mean"], 0.1 * (2 * batch.images - 1).mean((0, 1, 2)), rtol=1e-5
    )


def test_class_weights_logit_adjustment_and_aux(key, batch):
    weights, shift = np.array([1.0, 2.0, 0.5]), np.log([0.7, 0.2, 0.1])
    loss, _, (logits, aux) = value(
        Net(aux=True), batch, key, class_weights=weights, logit_adjustment=shift, aux_weight=0.3
    )
    each = lambda z, i: (
        weights[i] * losses.cross_entropy(z[i] + jnp.float32(shift), jnp.int32(batch.labels[i]))
    )
    expected = sum(each(logits, i) + 0.3 * each(aux, i) for i in range(3)) / 3
    chex.assert_trees_all_close(loss, expected, rtol=1e-6)


def test_an_empty_batch_costs_nothing(key, batch):
    loss, _, _ = value(Net(), batch._replace(mask=np.zeros(4, bool)), key)
    assert loss == 0
