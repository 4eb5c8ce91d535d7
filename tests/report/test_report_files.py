import csv
import dataclasses
import io
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax import report
from medadv_jax.report import files, store


@dataclasses.dataclass
class Config:
    eps: float
    workdir: pathlib.Path


def refuse_nan(name):
    raise AssertionError(f"{name} is not JSON")


def test_values_become_json():
    value = {
        "numpy": np.float32(0.5),
        "array": np.array([1.0, np.nan, np.inf]),
        "jax": jnp.int32(3),
        "config": Config(eps=0.1, workdir=pathlib.Path("runs")),
        "set": ("a", True, None),
    }
    read = json.loads(files.as_json(value), parse_constant=refuse_nan)
    assert read == {
        "numpy": 0.5,
        "array": [1.0, None, None],
        "jax": 3,
        "config": {"eps": 0.1, "workdir": "runs"},
        "set": ["a", True, None],
    }
    with pytest.raises(TypeError, match="No JSON for"):
        files.as_json({"key": object()})


def test_rows_survive_json_and_csv(rows, tmp_path):
    checked = report.rows.check(rows)
    assert any(row["ssim"] is None for row in checked)  # was NaN
    path = files.replace(tmp_path / "rows.json", store.rows_json({"eps": 0.01}, rows))
    assert store.read_rows(path) == ({"eps": 0.01}, checked)
    assert json.loads(path.read_text())["schema"] == 1

    lines = list(csv.DictReader(io.StringIO(store.rows_csv(rows))))
    assert list(lines[0]) == list(report.KEYS)
    for line, row in zip(lines, checked, strict=True):
        assert line == {key: "" if row[key] is None else str(row[key]) for key in row}


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "rows.json"
    for text, reason in (
        ("{", "not a JSON file"),
        ('{"schema": 2}', "got schema 2"),
        ("[]", "None"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=reason):
            report.read_rows(path)
