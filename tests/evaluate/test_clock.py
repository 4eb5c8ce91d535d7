import time

import jax
import jax.numpy as jnp

from medadv_jax.evaluate.clock import Clock


def test_compiling_is_counted_apart():
    clock = Clock()
    step = jax.jit(lambda x: jnp.sin(x) + 1)
    begun = time.time()
    with clock.running():
        time.sleep(0.05)
        step(1.0).block_until_ready()
    elapsed = time.time() - begun
    compiling = clock.compile_seconds
    assert compiling > 0
    assert 0.05 <= clock.seconds <= elapsed - compiling + 1e-3
    with clock.running():
        step(2.0).block_until_ready()
    assert clock.compile_seconds == compiling


def test_compiling_outside_is_not_counted():
    clock = Clock()
    with clock.running():
        pass
    jax.jit(lambda x: jnp.cos(x) - 1)(1.0)
    assert clock.compile_seconds == 0
