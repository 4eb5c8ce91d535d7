import os
import pathlib
import signal
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medadv_jax import train
from medadv_jax.types import Batch


def variables(key):
    return {"params": {"w": jax.random.normal(key, (3,))}}


def squares(variables, batch, key):
    error = batch.images @ variables["params"]["w"] - batch.labels
    return jnp.mean(error**2), {}


TRUE = np.array([1.0, -2.0, 0.5], np.float32)


def stream(start):
    for number in range(start, 10_000):
        rng = np.random.default_rng(number)
        images = rng.normal(size=(8, 3)).astype(np.float32)
        mask, index = np.ones(8, bool), np.arange(8, dtype=np.int32)
        yield Batch(images, images @ TRUE, mask, index)


ADAM = optax.adam(0.05)


def fit(key, stream=stream, *, init=variables, optimizer=ADAM, **options):
    options = dict(steps=200, every=20) | options
    return train.fit(key, init, squares, optimizer, stream, **options)


def test_leaves_the_variables_that_it_starts_from(key):
    start = variables(key)
    first, second = (fit(key, init=lambda key: start, steps=20) for _ in range(2))
    chex.assert_trees_all_equal(start, variables(key))
    chex.assert_trees_all_equal(first, second)


def closeness(variables):
    return -float(jnp.abs(variables["params"]["w"] - TRUE).sum())


def test_finds_the_least_squares_solution(key):
    result = fit(key)
    chex.assert_trees_all_close(result.variables["params"]["w"], TRUE, atol=1e-3)
    assert result.step == 200 and result.losses.shape == (200,)


def test_takes_the_steps_of_plain_gradient_descent(key):
    result = fit(key, optimizer=optax.sgd(0.1), steps=3, every=2)
    w = variables(jax.random.split(key)[0])["params"]["w"]
    for batch, _ in zip(stream(0), range(3), strict=False):
        w = w - 0.1 * 2 / 8 * batch.images.T @ (batch.images @ w - batch.labels)
    chex.assert_trees_all_close(result.variables["params"]["w"], w, atol=1e-5)


def test_keeps_the_best_and_stops_without_progress(key):
    scores = iter([0.1, 0.9, 0.2, 0.3, 0.9])
    seen = []

    def validate(variables):
        seen.append(variables)
        return next(scores)

    result = fit(key, validate=validate, patience=3)
    np.testing.assert_allclose(result.scores, [0.1, 0.9, 0.2, 0.3, 0.9])
    assert result.step == 40 and len(result.losses) == 100
    chex.assert_trees_all_equal(result.variables, fit(key, steps=40).variables)


def test_averages(key):
    decay, expected = 0.5, None
    for steps in (1, 2, 3):
        now = fit(key, steps=steps).variables["params"]["w"]
        old = variables(jax.random.split(key)[0])["params"]["w"] if expected is None else expected
        rate = min(decay, steps / (9 + steps))
        expected = rate * old + (1 - rate) * now
    averaged = fit(key, steps=3, averaging=decay).variables["params"]["w"]
    chex.assert_trees_all_close(averaged, expected, atol=1e-6)


def test_goes_on_from_a_checkpoint_to_the_same_bits(key, tmp_path):
    class Stop(Exception):
        pass

    def until(stop):
        def interrupted(start):
            for number, batch in enumerate(stream(start), start):
                if number == stop:
                    raise Stop
                yield batch

        return interrupted

    options = dict(validate=closeness, averaging=0.9)
    whole = fit(key, **options)
    for stop in (5, 47, 130):
        with pytest.raises(Stop):
            fit(key, until(stop), directory=tmp_path, **options)
    chex.assert_trees_all_equal(fit(key, directory=tmp_path, **options), whole)
    finished = fit(key, lambda start: pytest.fail("trains again"), directory=tmp_path, **options)
    chex.assert_trees_all_equal(finished, whole)


def test_a_non_finite_loss_names_step_and_checkpoint(key, tmp_path):
    def poisoned(start):
        for number, batch in enumerate(stream(start), start):
            yield batch._replace(labels=batch.labels * np.nan) if number == 47 else batch

    with pytest.raises(FloatingPointError, match=rf"step 47 is nan.*{tmp_path}/40"):
        fit(key, poisoned, directory=tmp_path)
    with pytest.raises(FloatingPointError, match="step 47 is nan; no checkpoint was written"):
        fit(key, poisoned)


def test_weights_that_the_last_step_spoiled_reach_no_checkpoint(key, tmp_path):
    def cliff(variables, batch, key):
        loss, stats = squares(variables, batch, key)
        # The root of zero is finite, its slope is not.
        zero_or_one = 0 * variables["params"]["w"][0] + (batch.index[0] != 39)
        return loss + jnp.sqrt(zero_or_one), stats

    def numbered(start):
        for number, batch in enumerate(stream(start), start):
            yield batch._replace(index=np.full(8, number, np.int32))

    with pytest.raises(FloatingPointError, match=rf"after 40 .* not finite.*{tmp_path}/20"):
        train.fit(key, variables, cliff, ADAM, numbered, steps=60, every=20, directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["20"]


def test_a_score_that_is_nan_is_refused(key):
    with pytest.raises(ValueError, match="validate returned NaN after 20 steps"):
        fit(key, validate=lambda variables: float("nan"))


def test_refuses_bad_arguments(key):
    with pytest.raises(ValueError, match="steps and every are at least 1, got 0 and 20"):
        fit(key, steps=0)
    with pytest.raises(ValueError, match="averaging is a decay"):
        fit(key, averaging=1.0)
    with pytest.raises(ValueError, match="ended after 1 batches"):
        fit(key, lambda start: [next(stream(start))])


CHILD = """
import os, signal, sys, pathlib, jax, numpy as np
sys.path.insert(0, {folder!r})
import test_fit
"""

KILLED = """
def stream(start):
    for number, batch in enumerate(test_fit.stream(start), start):
        if number == 110:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
test_fit.fit(jax.random.key(0), stream, directory=pathlib.Path({directory!r}))
"""

REFUSED = """
test_fit.fit(jax.random.key(0), init={init}, steps=20, directory=pathlib.Path({directory!r}))
"""

SHARDED = """
assert jax.device_count() == 8
result = test_fit.fit(jax.random.key(0))
assert len(result.variables["params"]["w"].sharding.device_set) == 8
np.testing.assert_allclose(result.variables["params"]["w"], test_fit.TRUE, atol=1e-3)
print("trained on 8")
"""


def run(script, devices=1, **values):
    script = (CHILD + script).format(folder=str(pathlib.Path(__file__).parent), **values)
    flags = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        # As conftest.py sets it for the parent, else the last bits differ.
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=os.environ | flags, capture_output=True, text=True)


def test_survives_sigkill(key, tmp_path):
    process = run(KILLED, directory=str(tmp_path))
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["100", "80"]
    chex.assert_trees_all_equal(fit(key, directory=tmp_path), fit(key))


def test_refuses_foreign_and_damaged_checkpoints(key, tmp_path):
    # In a child, since orbax leaves threads with exceptions behind when it cannot load.
    fit(key, steps=20, directory=tmp_path)
    wider = "lambda key: dict(params=dict(w=np.zeros(4)))"
    error = f"ValueError: The checkpoint {tmp_path}/20 cannot be read"
    assert error in run(REFUSED, init=wider, directory=str(tmp_path)).stderr
    (tmp_path / "20" / "state" / "_METADATA").write_bytes(b"{")
    assert error in run(REFUSED, init="test_fit.variables", directory=str(tmp_path)).stderr


def test_several_devices():
    done = run(SHARDED, devices=8)
    assert "trained on 8" in done.stdout, done.stderr


def test_tells_in_a_file_where_it_stands(key, tmp_path, capsys):
    run = lambda: fit(key, steps=4, every=2, directory=tmp_path, progress="training it")
    run()
    first = capsys.readouterr().out.splitlines()
    assert first[0] == "training it: 4 steps"
    assert [line.split(",")[0] for line in first[1:]] == [
        "training it: step 2 of 4",
        "training it: step 4 of 4",
    ]
    assert "loss" in first[1]
    run()
    assert capsys.readouterr().out.splitlines() == ["training it: was trained before"]
