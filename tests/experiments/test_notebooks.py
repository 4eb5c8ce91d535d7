import json
import os
import pathlib

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted(
    (pathlib.Path(__file__).parents[2] / "experiments" / "notebooks").glob("*.ipynb")
)
TINY_SKIN = """
import pathlib
from experiments import skin
config = skin.Config(
    data="folder", data_dir=pathlib.Path("{root}/images"), models=("mobilenet",),
    attacks=("sign_noise", "fgsm"), sweep=(), width=0.1, epochs=(1,), batch_size=8, limit=8,
    workdir=pathlib.Path("{root}/runs"),
)
"""
TINY_BRAIN = """
import pathlib
from experiments import brain
config = brain.Config(
    data="brain_phantom", spacing=4.5, models=("unet",), attacks=("rician_noise", "fgsm"),
    sweep=(), width=0.1, epochs=(1,), limit=4, steps=2, workdir=pathlib.Path("{root}/runs"),
)
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_stripped(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def run(name, parameters, folder, monkeypatch):
    """Runs a notebook with other parameters; returns the pictures that it shows."""
    (path,) = (path for path in NOTEBOOKS if path.name == name)
    monkeypatch.setenv("MEDADV_CACHE", str(folder / "cache"))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    book = nbformat.read(path, as_version=4)
    (cell,) = (c for c in book.cells if "parameters" in c.metadata.get("tags", ()))
    cell.source = parameters.format(root=folder)
    client = nbclient.NotebookClient(book, timeout=900, skip_cells_with_tag="skip-execution")
    client.execute(cwd=str(folder))
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return [o for o in outputs if {"image/svg+xml", "image/png"} & set(o.get("data", {}))]


def test_the_skin_notebook_runs(tmp_path, image_folder, monkeypatch):
    image_folder(tmp_path / "images")
    pictures = run("skin.ipynb", TINY_SKIN, tmp_path, monkeypatch)
    assert len(pictures) >= 2, "figures of the report and of the attack by hand"
    assert os.path.exists(tmp_path / "runs" / "folder-eps0.01" / "report.html")


def test_the_brain_notebook_runs(tmp_path, monkeypatch):
    pictures = run("brain.ipynb", TINY_BRAIN, tmp_path, monkeypatch)
    assert len(pictures) >= 3, "figures of the report and of the attack by hand"
    assert os.path.exists(tmp_path / "runs" / "brain_phantom-eps0.01" / "report.html")
