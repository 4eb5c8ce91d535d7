import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from medadv_jax import train


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_minimises_a_quadratic(name):
    tx = train.optimizer(name, 0.1, 300, weight_decay=0.0)
    params = jnp.array([[3.0, -2.0]])
    state = tx.init(params)
    update = jax.jit(lambda p, s: tx.update(2 * (p - 1), s, p))
    for _ in range(300):
        change, state = update(params, state)
        params = optax.apply_updates(params, change)
    chex.assert_trees_all_close(params, jnp.ones((1, 2)), atol=1e-2)


def test_weight_decay_is_for_kernels_only():
    params = {
        "conv": {"kernel": jnp.ones((3, 3))},
        "bn": {"scale": jnp.ones(3), "bias": jnp.ones(3)},
    }
    tx = train.optimizer("sgd", 0.5, 10, warmup=0.0, weight_decay=0.1)
    change, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    chex.assert_trees_all_close(change["conv"]["kernel"], jnp.full((3, 3), -0.05))
    chex.assert_trees_all_equal(change["bn"], jax.tree.map(jnp.zeros_like, params["bn"]))


def test_schedule_and_clipping():
    tx = train.optimizer("sgd", 1.0, 100, warmup=0.1, weight_decay=0.0, momentum=0.0, clip_norm=2.0)
    params, rates = jnp.zeros(1), []
    state = tx.init(params)
    for _ in range(101):
        change, state = tx.update(jnp.array([50.0]), state, params)
        rates.append(-float(change[0]) / 2)
    assert (
        rates[0] == 0
        and rates[10] == max(rates) == pytest.approx(1)
        and rates[5] == pytest.approx(0.5)
    )
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0, abs=1e-6)


def test_unknown_name():
    with pytest.raises(ValueError, match="one of adamw, sgd, rmsprop, got 'adam'"):
        train.optimizer("adam", 0.1, 10)
