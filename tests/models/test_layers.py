import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax.models import layers

CASES = [(1, "SAME"), (2, "SAME"), (2, "VALID"), (2, ((0, 1), (0, 1))), (3, ((2, 0), (1, 3)))]


@pytest.mark.parametrize("strides, padding", CASES)
@pytest.mark.parametrize("shape", [(2, 7, 6, 5), (1, 9, 9, 3)])
def test_depthwise_forms_agree_in_value_and_gradient(key, strides, padding, shape):
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, 1, shape[-1]))

    def value_and_pullback(form):
        y, pullback = jax.vjp(lambda x, k: form(x, k, strides, padding), x, kernel)
        return y, pullback(jax.random.normal(keys[2], y.shape))

    shifted = value_and_pullback(layers._depthwise_shifted)
    grouped = value_and_pullback(layers._depthwise_grouped)
    chex.assert_trees_all_equal_shapes_and_dtypes(shifted, grouped)
    chex.assert_trees_all_close(shifted, grouped, atol=2e-5)


def test_depthwise_is_differentiable_twice_and_mapped(key):
    x, kernel = jax.random.normal(key, (3, 2, 6, 5, 4)), jnp.linspace(-1, 1, 36).reshape(3, 3, 1, 4)

    def curvature(form):
        loss = lambda k, x: jnp.sum(jnp.sin(form(x, k, 2, "SAME")))
        slope = lambda k, x: jnp.sum(jax.grad(loss)(k, x) ** 2)
        return jax.vmap(jax.grad(slope, argnums=(0, 1)), (None, 0))(kernel, x)

    shifted, grouped = map(curvature, (layers._depthwise_shifted, layers._depthwise_grouped))
    chex.assert_trees_all_close(shifted, grouped, rtol=1e-3, atol=1e-3)


def test_depthwise_has_hessian_vector_products(key):
    x, push = jax.random.normal(key, (2, 2, 6, 5, 4))
    kernel = jnp.linspace(-1, 1, 36).reshape(3, 3, 1, 4)

    def product(form):
        loss = lambda x, k: jnp.sum(jnp.sin(form(x, k, 2, "SAME")))
        return jax.jvp(jax.grad(loss, argnums=(0, 1)), (x, kernel), (push, kernel[::-1]))[1]

    shifted, grouped = map(product, (layers._depthwise_shifted, layers._depthwise_grouped))
    chex.assert_trees_all_close(shifted, grouped, rtol=1e-4, atol=1e-4)


def test_depthwise_takes_the_form_of_the_device(monkeypatch):
    def primitives():
        # A new function each time: jax would return the first trace of an old one.
        conv = lambda x, kernel: layers.depthwise_conv(x, kernel)
        trace = jax.make_jaxpr(conv)(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2)))
        return {equation.primitive.name for equation in trace.eqns}

    assert "conv_general_dilated" not in primitives()
    monkeypatch.setattr(layers, "on_cpu", lambda: False)
    assert "conv_general_dilated" in primitives()


def test_depthwise_keeps_channels_apart():
    x = jnp.zeros((1, 5, 5, 2)).at[0, 2, 2, 0].set(1.0)
    kernel = jnp.arange(18.0).reshape(3, 3, 1, 2)
    y = layers.depthwise_conv(x, kernel)
    # An impulse returns the kernel of its channel, turned by half a turn: a cross-correlation.
    np.testing.assert_array_equal(y[0, 1:4, 1:4, 0], kernel[::-1, ::-1, 0, 0])
    np.testing.assert_array_equal(y[..., 1], 0)


@pytest.mark.parametrize("count_padding, corner", [(True, 4 / 9), (False, 1.0)])
def test_avg_pool_counts_the_padding_or_not(count_padding, corner):
    y = layers.avg_pool(jnp.ones((1, 4, 5, 3)), count_padding=count_padding)
    chex.assert_shape(y, (1, 4, 5, 3))
    np.testing.assert_allclose(y[0, 0, 0], corner, rtol=1e-6)
    np.testing.assert_allclose(y[0, 1, 1], 1.0, rtol=1e-6)


def test_batch_norm_has_momentum_and_epsilon_of_the_references():
    x = jnp.array([1.0, 1.2]).reshape(2, 1, 1, 1)  # mean 1.1, variance 0.01: near epsilon 1e-3
    norm = layers.batch_norm("bn", True)
    variables = norm.init(jax.random.key(0), x)
    y, learnt = norm.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(y.ravel(), np.array([-0.1, 0.1]) / np.sqrt(0.011), rtol=1e-4)
    np.testing.assert_allclose(learnt["batch_stats"]["mean"], 0.1 * 1.1, rtol=1e-5)
    np.testing.assert_allclose(learnt["batch_stats"]["var"], 0.9 + 0.1 * 0.01, rtol=1e-5)
