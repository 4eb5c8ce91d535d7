import os

import jax
import jaxlib
import pytest

if jaxlib.__version__.startswith("0.10."):
    # Half of the time in which small programs are compiled goes into these. A version that no
    # longer knows the flag would abort, so that it is for those that do.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"

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
