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


class Pixels(nn.Module):
    """Logits of a pixel from its own value."""

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(3)(images)


@pytest.fixture
def masks(key):
    """Three masks that differ from each other, one without a pixel that counts, and padding."""
    images = np.asarray(jax.random.uniform(key, (4, 5, 6, 1)))
    labels = np.asarray(jax.random.randint(key, (4, 5, 6), 0, 3))
    labels = np.where(np.arange(30).reshape(5, 6) % 7 == 0, -1, labels)
    labels[2] = -1
    mask = np.array([True, True, True, False])
    return Batch(images, labels.astype(np.int32), mask, np.array([0, 1, 2, -1], np.int32))


@pytest.mark.parametrize("edge_weight", [0.0, 3.0])
@pytest.mark.parametrize("class_weights", [None, np.array([0.25, 1.0, 4.0])])
def test_pixels_are_weighted_by_class_and_edge(key, masks, class_weights, edge_weight):
    net = Pixels()
    variables = net.init(key, masks.images)
    loss = losses.weighted_logistic_dice
    objective = train.supervised(
        net, loss=loss, class_weights=class_weights, edge_weight=edge_weight
    )
    found, batch_stats = jax.jit(objective)(variables, masks, key)
    assert not batch_stats
    logits = net.apply(variables, (masks.images - 0.5) / 0.5)
    expected = []
    for number in range(2):
        z, y = np.asarray(logits[number], np.float64), masks.labels[number]
        weights = np.zeros(y.shape)
        for place in np.ndindex(y.shape):
            near = [
                y[r, c]
                for r, c in np.add(place, [(0, 1), (1, 0), (0, -1), (-1, 0)])
                if 0 <= r < 5 and 0 <= c < 6
            ]
            edge = y[place] >= 0 and any(n >= 0 and n != y[place] for n in near)
            own = 1 if class_weights is None else class_weights[y[place]]
            weights[place] = own + edge_weight * edge
        expected.append(loss(jnp.float32(z), jnp.asarray(y), jnp.float32(weights)))
    chex.assert_trees_all_close(found, sum(expected) / 2, rtol=1e-5)


def test_a_loss_without_weights_does_for_masks_without_weights(key, masks):
    net = Pixels()
    variables = net.init(key, masks.images)
    found, _ = jax.jit(train.supervised(net, loss=losses.dice_loss))(variables, masks, key)
    logits = net.apply(variables, (masks.images - 0.5) / 0.5)
    each = [losses.dice_loss(logits[i], jnp.asarray(masks.labels[i])) for i in range(2)]
    chex.assert_trees_all_close(found, sum(each) / 2, rtol=1e-5)


def test_an_edge_weight_of_images_is_refused(key, batch):
    with pytest.raises(ValueError, match="edge_weight=2 is for masks, got a label an image"):
        value(Net(), batch, key, edge_weight=2.0)
