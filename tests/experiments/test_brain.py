import dataclasses
import json
import sys

import numpy as np
import pytest

from experiments import brain, brain_config
from medadv_jax import report

BUDGET = ("fgsm", "pgd", "pgd_dice", "segpgd", "cospgd", "sea")


@pytest.fixture(scope="module")
def config(root):
    return brain.Config(
        data="brain_phantom",
        spacing=4.5,
        models=("unet",),
        attacks=("rician_noise", "fgsm", "pgd_dice", "segpgd", "dag", "dag_b", "sea"),
        sweep=(0.002,),
        width=0.125,
        epochs=(3,),
        learning_rate=5e-3,
        limit=8,
        steps=3,
        dag_steps=6,
        sea_steps=3,
        workdir=root,
    )


@pytest.fixture(scope="module")
def rows(config):
    return brain.main(config)


def test_there_is_a_row_for_everything(config, rows):
    assert all(set(row) == set(report.KEYS) for row in rows)
    found = {(row["perturbation"], row["eps"]) for row in rows if row["metric"] == "dice"}
    expected = {("clean", None)}
    for name, made in brain.perturbations(config).items():
        expected |= {(name, a.size and float(getattr(a, a.size))) for a in made}
    plain = lambda pairs: {(name, eps and round(eps, 6)) for name, eps in pairs}
    assert plain(found) == plain(expected)
    assert len(rows) == 3 * len(expected), "three scores of overlap"


def test_rows_are_consistent(config, rows):
    for row in rows:
        assert row["task"] == "brain" and row["data"] == "brain_phantom"
        assert row["score_low"] - 1e-9 <= row["score"] <= row["score_high"] + 1e-9
        if row["perturbation"] in BUDGET:
            assert row["linf"] <= row["eps"] + 1e-6
    dice = {(r["perturbation"], r["eps"]): r["score"] for r in rows if r["metric"] == "dice"}
    assert dice["clean", None] > 0.05, "large structures are learned at once"
    assert dice["dag", None] < 0.75 * dice["clean", None], "six steps take a third"


def test_the_report_shows_structures_and_slices(config, rows):
    run = config.workdir / "brain_phantom-eps0.01"
    written = json.loads((run / "rows.json").read_text())
    assert written["schema"] == 1 and len(written["rows"]) == len(rows)
    page = (run / "report.html").read_text()
    for words in (
        "left hippocampus",
        "phantom-test-000, unet",
        "experiments.brain",
        'type="range"',
    ):
        assert words.lower() in page.lower(), words


def test_slices_are_drawn_evenly_over_subjects(config, rows):
    chosen = brain.slices(config)
    _, counts = np.unique(chosen.column("subject"), return_counts=True)
    assert counts.tolist() == [2, 2, 2, 2]
    shown = brain.source(config, "test").column("foreground")
    assert chosen.column("foreground").min() >= np.median(shown[shown > 0])


def test_whole_subjects_have_distances(config, rows, monkeypatch):
    loop = sys.modules["medadv_jax.train.fit"]  # the package gives that name to the function
    monkeypatch.setattr(loop, "_stretch", lambda *_: pytest.fail("trains again"))
    whole = dataclasses.replace(config, limit=None, attacks=("rician_noise",), sweep=())
    found = {row["metric"]: row for row in brain.main(whole) if row["access"] == "clean"}
    assert {"dice", "hd95", "average_surface_distance"} <= set(found)
    assert 0 < found["average_surface_distance"]["score"] < found["hd95"]["score"]
    assert found["dice"]["data_size"] > 4 * 40, "every slice of four subjects"


@pytest.mark.parametrize(
    "given, rule",
    [
        (dict(data="bids"), "--data=bids needs --data-dir"),
        (dict(spacing=-1.0), "--spacing is positive, in mm; got -1.0"),
        (dict(image_size=(8, 64)), "at least 16 pixels; got 8 64"),
        (dict(steps=0), "--steps is at least 1; got 0"),
    ],
)
def test_refused(given, rule):
    with pytest.raises(ValueError, match=rule):
        brain_config.Config(**given)
