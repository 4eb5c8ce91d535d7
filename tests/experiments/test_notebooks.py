import json
import os
import pathlib

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted(
    (pathlib.Path(__file__).parents[2] / "experiments" / "notebooks").glob("*.ipynb")
)
TINY = """
import pathlib
from experiments import skin
config = skin.Config(
    data="folder", data_dir=pathlib.Path("{root}/images"), models=("mobilenet",),
    attacks=("sign_noise", "fgsm"), sweep=(), width=0.1, epochs=(1,), batch_size=8, limit=8,
    workdir=pathlib.Path("{root}/runs"),
)
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_stripped(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_the_skin_notebook_runs(tmp_path, image_folder, monkeypatch):
    (path,) = (path for path in NOTEBOOKS if path.name == "skin.ipynb")
    image_folder(tmp_path / "images")
    monkeypatch.setenv("MEDADV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    book = nbformat.read(path, as_version=4)
    (parameters,) = (c for c in book.cells if "parameters" in c.metadata.get("tags", ()))
    parameters.source = TINY.format(root=tmp_path)
    client = nbclient.NotebookClient(book, timeout=300, skip_cells_with_tag="skip-execution")
    client.execute(cwd=str(tmp_path))
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    pictures = [o for o in outputs if {"image/svg+xml", "image/png"} & set(o.get("data", {}))]
    assert len(pictures) >= 2, "figures of the report and of the attack by hand"
    assert os.path.exists(tmp_path / "runs" / "folder-eps0.01" / "report.html")
