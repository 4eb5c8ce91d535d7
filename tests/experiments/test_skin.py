import dataclasses
import json
import sys
import typing

import pytest

from experiments import skin, skin_attacks
from medadv_jax import attacks, report


@pytest.fixture(scope="module")
def config(image_folder, root):
    return skin.Config(
        data="folder",
        data_dir=image_folder(root / "images"),
        models=("mobilenet",),
        attacks=("sign_noise", "fgsm", "deepfool"),
        sweep=(0.002,),
        width=0.1,
        epochs=(12,),
        batch_size=8,
        limit=8,
        workdir=root,
    )


@pytest.fixture(scope="module")
def rows(config):
    return skin.main(config)


def test_there_is_a_row_for_everything(config, rows):
    assert all(set(row) == set(report.KEYS) for row in rows)
    found = {(row["model"], row["source"], row["perturbation"], row["eps"]) for row in rows}
    expected = {(model, None, "clean", None) for model in config.models}
    for name, made in skin_attacks.perturbations(config, {}, list).items():
        for attack in made:
            size = attack.size and float(getattr(attack, attack.size))
            sources = [None] if name.endswith("noise") else config.models
            expected |= {
                (model, source, name, size) for model in config.models for source in sources
            }
    assert {(m, s, p, e and round(e, 6)) for m, s, p, e in found} == {
        (m, s, p, e and round(e, 6)) for m, s, p, e in expected
    }
    assert len(rows) == 3 * len(expected), "three metrics"


def test_rows_are_consistent(config, rows):
    for row in rows:
        assert row["task"] == "skin" and row["data"] == "folder" and row["data_size"] == 8
        if row["score"] is not None:
            assert row["score_low"] <= row["score"] <= row["score_high"]
        if row["access"] in ("white", "noise") and row["perturbation"] in (
            "fgsm",
            "pgd",
            "sign_noise",
        ):
            assert row["linf"] <= row["eps"] + 1e-6
    learned = [r["score"] for r in rows if r["access"] == "clean" and r["metric"] == "accuracy"]
    assert max(learned) > 0.6, "colours can be learned in a minute"


def test_files(config, rows):
    run = config.workdir / "folder-eps0.01"
    written = json.loads((run / "rows.json").read_text())
    assert written["schema"] == 1 and len(written["rows"]) == len(rows)
    assert written["config"]["eps"] == 0.01 and written["config"]["data"] == "folder"
    assert json.loads((run / "config.json").read_text()) == written["config"]
    assert len((run / "rows.csv").read_text().splitlines()) == len(rows) + 1
    page = (run / "report.html").read_text()
    assert "mobilenet" in page and "experiments.skin" in page
    assert f"<title>{config.data_dir.name}: generalizability and robustness</title>" in page
    assert "deepfool stops at the first change that meets its goal" in page
    assert ">evaluated</th>" in page and ">validation</th>" in page


def test_those_that_stop_early_are_known(config):
    names = set(typing.get_args(skin_attacks.Perturbation)) - {"universal"}
    every = dataclasses.replace(config, attacks=tuple(names))
    early = {
        name
        for name, (made, *_) in skin_attacks.perturbations(every, {}, list).items()
        if getattr(made, "minimal", False) or getattr(made, "until_fooled", name == "autoattack")
    }
    assert early == set(skin_attacks.EARLY)


def test_another_eps_does_not_train_again(config, rows, monkeypatch):
    loop = sys.modules["medadv_jax.train.fit"]  # the package gives that name to the function
    monkeypatch.setattr(loop, "_stretch", lambda *_: pytest.fail("trains again"))
    again = skin.main(dataclasses.replace(config, eps=0.004, attacks=("fgsm",)))
    same = lambda rows: [
        {**row, "seconds": None, "compile_seconds": None}
        for row in rows
        if row["perturbation"] == "fgsm" and row["eps"] == pytest.approx(0.002)
    ]
    assert same(again) == same(rows) != []


def test_a_universal_perturbation_is_fitted_to_the_validation_images(config, rows, monkeypatch):
    made, fit = [], attacks.fit_universal

    def kept(*arguments, **options):
        made.append((arguments[3].source.split, fit(*arguments, **options)))
        return made[-1][1]

    monkeypatch.setattr(attacks, "fit_universal", kept)
    found = skin.main(dataclasses.replace(config, attacks=("universal",), name="universal"))
    rows = [row for row in found if row["access"] != "clean" and row["metric"] == "accuracy"]
    assert [split for split, _ in made] == ["validation"] * 2
    assert [round(row["eps"], 6) for row in rows] == [0.002, 0.01]
    for row, (_, fitted) in zip(rows, made, strict=True):
        assert row["access"] == "white" and row["perturbation"] == "universal"
        assert 0 < row["linf"] <= row["eps"] * (1 + 1e-5) and fitted.gradients > 0
