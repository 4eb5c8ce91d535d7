import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medadv_jax import models
from medadv_jax.types import Predict


class Pixels(nn.Module):
    """Returns what it is given, so that tests see the normalised images."""

    @nn.compact
    def __call__(self, images, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        seen = self.variable("batch_stats", "mean", jnp.zeros, ())
        if train:
            seen.value = jnp.mean(images)
        return scale * images.reshape(images.shape[0], -1)


def pixels(scale=1.0):
    return {"params": {"scale": jnp.float32(scale)}, "batch_stats": {"mean": jnp.float32(0)}}


IMAGES = jnp.array([0.0, 0.25, 0.5, 1.0, 0.75, 0.5]).reshape(2, 1, 1, 3)


@pytest.mark.parametrize(
    "mean, std",
    [(0.5, 0.5), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), (np.zeros(3), 2), (jnp.array(0.2), [1, 2, 3])],
)
def test_bind_normalises(mean, std):
    predict = models.bind(Pixels(), pixels(), mean=mean, std=std)
    expected = (np.asarray(IMAGES) - np.asarray(mean)) / np.asarray(std)
    np.testing.assert_allclose(predict(IMAGES), expected.reshape(2, 3), rtol=1e-6)


def test_default_maps_pixels_to_minus_one_to_one():
    logits = models.bind(Pixels(), pixels())(jnp.array([0.0, 1.0]).reshape(1, 1, 1, 2))
    np.testing.assert_array_equal(logits, [[-1, 1]])


def test_two_bindings_share_one_program():
    @jax.jit
    @chex.assert_max_traces(1)
    def logits(predict, images):
        return predict(images)

    chex.clear_trace_counter()
    first = logits(models.bind(Pixels(), pixels(1.0)), IMAGES)
    second = logits(models.bind(Pixels(), pixels(2.0), mean=0.0, std=1.0), IMAGES)
    np.testing.assert_allclose(first, 2 * IMAGES.reshape(2, 3) - 1, atol=1e-6)
    np.testing.assert_allclose(second, 2 * IMAGES.reshape(2, 3), atol=1e-6)


def test_weights_are_arguments_and_not_constants(key):
    model = models.create("mobilenet", 3, width=1 / 8, repeats=(1, 1, 1, 1, 1))
    shapes = jax.eval_shape(model.init, key, jnp.zeros((1, 32, 32, 3)))
    predict = models.bind(model, jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes))
    program = jax.make_jaxpr(lambda predict, x: predict(x))(predict, jnp.zeros((2, 32, 32, 3)))
    assert not [constant for constant in program.consts if np.size(constant) > 1]
    # mean and std besides the variables
    assert len(jax.tree.leaves(predict)) == len(jax.tree.leaves(shapes)) + 2


def test_gradients_reach_weights_and_statistics():
    predict = models.bind(Pixels(), pixels(), mean=(0.1, 0.2, 0.3), std=0.5)
    slope = jax.grad(lambda predict: jnp.sum(predict(IMAGES)))(predict)
    np.testing.assert_allclose(slope.mean, [-4, -4, -4], rtol=1e-6)
    assert isinstance(slope, models.Bound)


def test_apply_is_what_bind_does_and_learns_statistics_in_training_only():
    variables = pixels(3.0)
    logits, stats = models.apply(Pixels(), variables, IMAGES, mean=0.2, std=0.4)
    np.testing.assert_array_equal(
        logits, models.bind(Pixels(), variables, mean=0.2, std=0.4)(IMAGES)
    )
    assert float(stats["mean"]) == 0
    _, stats = models.apply(Pixels(), variables, IMAGES, mean=0.2, std=0.4, train=True)
    np.testing.assert_allclose(stats["mean"], (0.5 - 0.2) / 0.4, rtol=1e-6)


def test_bad_statistics_are_refused():
    with pytest.raises(ValueError, match="std must be positive, got 0.0"):
        models.bind(Pixels(), pixels(), std=0.0)
    with pytest.raises(ValueError, match=r"mean is one number or one a channel, got .*\(1, 3\)"):
        models.bind(Pixels(), pixels(), mean=np.zeros((1, 3)))


def test_other_callables_are_predicts_too():
    linear = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    partial = jax.tree_util.Partial(lambda weights, images: images @ weights, jnp.ones((3, 2)))
    for predict in (models.bind(Pixels(), pixels()), linear, partial):
        assert isinstance(predict, Predict)
    chex.assert_shape(jax.jit(lambda p, x: p(x))(partial, IMAGES), (2, 1, 1, 2))
