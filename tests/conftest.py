import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests compile many small programs and run each a few times.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Each program holds memory maps, of which a process may have 65530: beyond, it crashes."""
    yield
    jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)
