import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile many small programs and run each a few times.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def key():
    return jax.random.key(0)
