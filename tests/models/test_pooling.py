import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax.models import pooling

pool = jax.jit(pooling.max_pool_places)
unpool = jax.jit(pooling.max_unpool, static_argnums=2)
SHAPES = pytest.mark.parametrize(
    "shape", [(2, 6, 4, 3), (1, 5, 7, 2), (2, 4, 3, 5, 2), (1, 2, 2, 2, 1)]
)


def drawn(shape, distinct):
    """Random maps; of a few values only, so that most windows have ties, or all distinct."""
    rng = np.random.default_rng(0)
    size = int(np.prod(shape))
    values = rng.permutation(size) if distinct else rng.integers(0, 3, size)
    return jnp.asarray(values.reshape(shape), jnp.float32)


@SHAPES
@pytest.mark.parametrize("distinct", [True, False])
def test_value_and_gradient_are_those_of_xla(shape, distinct):
    x = drawn(shape, distinct)
    window = (2,) * (len(shape) - 2)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_pullback(pool, x):
        y, pull = jax.vjp(pool, x)
        return y, pull(jnp.arange(1.0, y.size + 1).reshape(y.shape))[0]

    ours = value_and_pullback(pooling.max_pool, x)
    theirs = value_and_pullback(lambda x: nn.max_pool(x, window, window), x)
    chex.assert_trees_all_equal(ours, theirs)


def test_first_of_equal_values_counts():
    x = jnp.zeros((1, 4, 4, 1)).at[0, 0, 1, 0].set(1).at[0, 1, 0, 0].set(1)  # upper left: 1 and 2
    x = x.at[0, 2:, 2:, 0].set(jnp.array([[0.0, 0.0], [3.0, 3.0]]))  # lower right: 2 and 3
    values, places = pool(x)
    np.testing.assert_array_equal(values[0, :, :, 0], [[1, 0], [0, 3]])
    np.testing.assert_array_equal(places[0, :, :, 0], [[1, 0], [0, 2]])
    assert places.dtype == jnp.int8


@pytest.mark.parametrize("place", [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_places_count_through_the_window_in_row_major_order(place):
    x = jnp.zeros((1, 2, 2, 2, 1)).at[0, *place, 0].set(1)
    assert int(pool(x)[1].item()) == np.ravel_multi_index(place, (2, 2, 2))


@pytest.mark.parametrize("place", range(4))
def test_nan_wins(place):
    x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
    values, places = pool(x)
    assert np.isnan(values.item()) and places.item() == place


@SHAPES
def test_unpooling_puts_maxima_back_and_zeros_elsewhere(shape):
    x = drawn(shape, True) + 1
    values, places = pool(x)
    back = unpool(values, places, shape[1:-1])
    chex.assert_equal_shape([back, x])
    assert int(jnp.sum(back != 0)) == values.size
    np.testing.assert_array_equal(back[back != 0], x[back != 0])
    # What was put back is pooled to the same maxima at the same places.
    chex.assert_trees_all_equal(pool(back), (values, places))


@SHAPES
def test_unpooling_is_the_transpose_of_taking_the_maxima(shape):
    x = drawn(shape, False)
    values, places = pool(x)
    slope = drawn(values.shape, True)
    back, pull = jax.vjp(lambda v: unpool(v, places, shape[1:-1]), slope)
    np.testing.assert_array_equal(jax.vjp(lambda x: pool(x)[0], x)[1](slope)[0], back)
    # And its own transpose reads what lies at the places: for the pooled map, the maxima.
    np.testing.assert_array_equal(pull(x)[0], values)


def test_gradients_by_finite_differences(key):
    x = jax.random.permutation(key, jnp.linspace(-1, 1, 40)).reshape(1, 4, 5, 2)
    places = pool(x)[1]
    there_and_back = jax.jit(lambda x: unpool(pool(jnp.sin(x))[0], places, (4, 5)))
    jax.test_util.check_grads(there_and_back, (x,), order=1, eps=1e-2, atol=1e-2, rtol=1e-2)


def test_mapped_and_compiled(key):
    x = jax.random.normal(key, (3, 2, 5, 4, 2))

    def both(x):
        values, places = pooling.max_pool_places(x)
        return pooling.max_unpool(values, places, x.shape[1:-1])

    mapped = jax.jit(jax.vmap(both))(x)
    np.testing.assert_array_equal(mapped, jnp.stack([both(one) for one in x]))


@pytest.mark.parametrize("space", [(4, 6), (6, 4), (4,), (4, 4, 4)])
def test_sides_that_do_not_fit_are_refused(space):
    values = jnp.ones((1, 2, 2, 1))
    with pytest.raises(ValueError, match=r"not pooled to sides \(2, 2\)"):
        pooling.max_unpool(values, jnp.zeros(values.shape, jnp.int8), space)
