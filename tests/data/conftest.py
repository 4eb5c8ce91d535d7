"""Small trees in the published layouts, written as the data sets' authors lay them out."""

import pathlib

import numpy as np
import PIL.Image
import pytest


@pytest.fixture(scope="session")
def write_image():
    """Writes a small random image of one's own, as the ending says."""

    def write(path: pathlib.Path, seed: int = 0, size: tuple[int, int] = (12, 9)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
        return pixels

    return write


@pytest.fixture
def write_csv():
    """Writes a CSV file from a header and rows."""

    def write(path: pathlib.Path, *rows: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n")

    return write


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of one's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEDADV_CACHE", str(folder))
    return folder


@pytest.fixture
def untouched():
    """Returns what must not change when a folder is only read."""
    return lambda folder: {
        path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")
    }
