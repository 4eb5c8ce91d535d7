"""Small trees in the published layouts, written as the data sets' authors lay them out."""

import pathlib

import nibabel
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


@pytest.fixture(scope="session")
def write_volume():
    """Writes an array as the ending says: NIfTI or MGZ; spacing 1, 2, 3 mm by default."""

    def write(path: pathlib.Path, array: np.ndarray, affine=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine
        kind = nibabel.MGHImage if path.suffix in (".mgz", ".mgh") else nibabel.Nifti1Image
        nibabel.save(kind(array, affine), path)
        return path

    return write


@pytest.fixture(scope="session")
def write_scan(write_volume):
    """Writes a small random image with labels and returns its array in RAS and its ids."""

    def write(image: pathlib.Path, label: pathlib.Path, ids, seed: int = 0, shape=(5, 6, 7)):
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 1000, shape).astype(np.int16)
        labels = rng.choice(np.array([0, *ids], np.int16), shape)
        write_volume(image, pixels)
        write_volume(label, labels)
        return pixels, labels

    return write
