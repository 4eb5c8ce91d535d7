import dataclasses
import pathlib
import re
import subprocess
import sys

import pytest

from experiments import command, skin

ROOT = pathlib.Path(__file__).parents[2]


def test_flags_override_their_preset():
    assert command.parse([], skin.PRESETS, "experiments.skin") == skin.Config()
    quick = command.parse(["--eps=0.02", "--models", "mobilenet"], skin.PRESETS, "experiments.skin")
    assert quick.eps == 0.02 and quick.models == ("mobilenet",) and quick.epochs == (8,)
    for words in (["--preset=paper"], ["--preset", "paper"]):
        paper = command.parse([*words, "--epochs=3"], skin.PRESETS, "experiments.skin")
        assert (paper.preset, paper.image_size, paper.epochs) == ("paper", 299, (3,))


def test_epochs_are_for_all_networks_or_one_each():
    config = skin.Config(models=("mobilenet", "inception_v3"), epochs=(5, 3))
    assert [skin.settings(config, name).epochs for name in config.models] == [5, 3]
    config = skin.Config(epochs=(7,))
    assert [skin.settings(config, name).epochs for name in config.models] == [7, 7, 7]


@pytest.mark.parametrize(
    "config",
    [
        skin.Config(),
        skin.Config(eps=0.02, models=("mobilenet", "inception_v3"), limit=None, sweep=()),
        dataclasses.replace(skin.PRESETS["paper"], data="folder", data_dir=pathlib.Path("a b")),
        dataclasses.replace(skin.PRESETS["paper"], epochs=(3, 4, 5), limit=7, name="x"),
    ],
)
def test_flags_make_the_configuration_again(config):
    flags = command.words(config, skin.PRESETS)
    assert command.parse(flags, skin.PRESETS, "experiments.skin") == config


@pytest.mark.parametrize("kind", [ValueError, FloatingPointError, ImportError])
def test_a_message_is_no_markup(kind, capsys, monkeypatch):
    def fail(config):
        raise kind("got [red] and [/x]")

    monkeypatch.setattr("sys.argv", ["skin"])
    with pytest.raises(SystemExit, match="2"):
        command.run(fail, skin.PRESETS, "experiments.skin")
    assert capsys.readouterr().err == "error: got [red] and [/x]\n"


def test_help_documents_every_flag(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.parse(["--help"], skin.PRESETS, "experiments.skin")
    shown = capsys.readouterr().out
    for field in skin.Config.__dataclass_fields__:
        flag = "--" + field.replace("_", "-")
        assert re.search(rf"{flag} .*\w", shown), flag


@pytest.mark.parametrize(
    "words, message",
    [
        (["--eps=2"], r"--eps is in \(0, 1\].* got 2.0"),
        (["--image-size=64"], "--image-size is at least 75, or 32 for mobilenet alone; got 64"),
        (
            ["--epochs", "3", "4"],
            "--epochs is one number, or one for each of the 3 --models.* got 3 4",
        ),
        (["--models", "mobilenet", "mobilenet"], "each once; got mobilenet mobilenet"),
        (["--name=a/b"], "--name is the name of a folder, without a slash; got a/b"),
        (["--width=0"], "--width is positive; got 0.0"),
        (["--limit=0"], "--limit is at least 1; got 0"),
        (["--data=ham10000"], "--data=ham10000 needs --data-dir"),
        (["--csv=labels.csv"], "--csv is the table of --data=folder; got --data=lesion_phantom"),
        (["--data-dir=somewhere"], "--data=lesion_phantom is generated and takes no --data-dir"),
    ],
)
def test_a_wrong_value_is_refused_by_name(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.parse(words, skin.PRESETS, "experiments.skin")
    assert re.search(message, plain(capsys.readouterr().err))


def plain(shown):
    """What a box says, in one line."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", shown).split())


def shell(*words):
    process = [sys.executable, "-m", "experiments.skin", *words]
    return subprocess.run(process, cwd=ROOT, capture_output=True, text=True)


def test_the_command_ends_with_one_message(tmp_path):
    refused = shell("--eps=2")
    assert refused.returncode == 2 and "--eps is in (0, 1]" in plain(refused.stderr)
    assert "Traceback" not in refused.stderr
    missing = shell("--data=ham10000", f"--data-dir={tmp_path}", f"--workdir={tmp_path}/runs")
    assert missing.returncode == 2 and "error: " in missing.stderr
    assert "HAM10000_metadata.csv" in missing.stderr and "https://" in missing.stderr
    assert "Traceback" not in missing.stderr
    unknown = shell("--preset=tiny")
    assert unknown.returncode == 2 and "('quick', 'paper')" in plain(unknown.stderr)
    assert "python -m experiments.skin --help" in plain(unknown.stderr)
