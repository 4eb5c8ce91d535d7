import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import small_grid
from small_grid import CLASSES, Linear, Shift, batches, evaluate_grid, models

from medadv_jax import evaluate, metrics
from medadv_jax.evaluate import making

CELLS = 1 + 2 * 3 + 1  # clean, two attacks on three models, noise


@pytest.fixture
def made(monkeypatch):
    """What has been computed: the attack of every cell that was not read from its file."""
    attacks, make = [], making.make

    def counted(key, attack, *rest, **options):
        attacks.append(attack)
        return make(key, attack, *rest, **options)

    monkeypatch.setattr(making, "make", counted)
    return attacks


def numbers(evaluation):
    """Returns the rows without the times."""
    rows = evaluate.rows(evaluation)
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in rows]


def test_a_second_run_computes_nothing_and_finds_the_same(tmp_path, made):
    fresh = evaluate_grid(batches(8))
    assert len(made) == CELLS
    first = evaluate_grid(batches(8), tmp_path)
    assert len(made) == 2 * CELLS
    second = evaluate_grid(batches(8), tmp_path)
    assert len(made) == 2 * CELLS
    assert numbers(fresh) == numbers(first)
    assert evaluate.rows(first) == evaluate.rows(second)  # the times as well
    assert len(list(tmp_path.iterdir())) == CELLS


def test_only_what_changed_is_computed_again(tmp_path, made):
    def run(key=0, nets=None, eps=(0.1,), given=None, metric=metrics.accuracy):
        perturbations = {"shift": [Shift(eps=value) for value in eps]}
        made.clear()
        evaluate.matrix(
            jax.random.key(key),
            models(2) if nets is None else nets,
            perturbations,
            batches(8) if given is None else given,
            metric=metric(CLASSES),
            cache=tmp_path,
        )
        return len(made)

    assert run() == 3
    assert run() == 0
    assert run(eps=(0.1, 0.2)) == 2
    assert run(eps=(np.float32(0.2), 0.1)) == 0
    # Another score of the same outcomes, other names, other batches of the same records.
    assert run(metric=metrics.balanced_accuracy) == 0
    assert run(nets=dict(zip("ab", models(2).values(), strict=True))) == 0
    assert run(given=batches(5)) == 0
    assert run(metric=metrics.auc) == 3
    assert run(key=1) == 3
    assert run(given=batches(8, seed=1)) == 3
    other = models(2) | {"m1": Linear(models(3)["m2"].weights)}
    assert run(nets=other) == 3


def test_a_damaged_cell_is_named_and_computed_again(tmp_path, made):
    first = evaluate_grid(batches(8), tmp_path)
    path = sorted(tmp_path.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-100])
    made.clear()
    with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
        second = evaluate_grid(batches(8), tmp_path)
    assert len(made) == 1
    assert numbers(first) == numbers(second)


def test_a_killed_run_ends_with_the_same_numbers(tmp_path, made):
    program = f"import small_grid; small_grid.run_until_killed({str(tmp_path)!r})"
    command = [sys.executable, "-c", program]
    folder = pathlib.Path(small_grid.__file__).parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "stuck\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in pathlib.Path(tmp_path).glob("*.npz")}
    assert 0 < len(done) < CELLS
    resumed = evaluate_grid(batches(8), tmp_path)
    assert len(made) == CELLS - len(done)
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    assert numbers(resumed) == numbers(evaluate_grid(batches(8)))
