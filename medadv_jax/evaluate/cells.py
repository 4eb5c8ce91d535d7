"""A cell: what one perturbation, made on one model, did to every judging model; and its file."""

import io
import pathlib
import warnings
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.evaluate import files

GALLERY = 8
"""How many examples a cell keeps the images of, unless it is told which."""


class Cell(NamedTuple):
    """Everything that rows are computed from: n examples, j judging models, g in the gallery.

    Attributes:
      records: `(n,)` int32, the number of each record in its source.
      outcomes: For each outcome function by its name, `(j, n, *m)` of any type.
      fooled: `(j, n)` bool, whether the model is wrong on the (perturbed) image; for an attack with
        a rule of its own, by that.
      steps: `(n,)` int32, steps that the attack took.
      gradients: `(n,)` int32, gradients that it computed.
      forwards: `(n,)` int32, images that it had evaluated without a gradient.
      flat: `(n,)` bool, whether a gradient was zero or not finite.
      l2: `(n,)` float32, distance from the clean image.
      linf: `(n,)` float32, distance from the clean image.
      ssim: `(n,)` float32, similarity to the clean image; NaN for an image smaller than the window.
      images: `(g, *space, c)`, perturbed images of the gallery: of the first `GALLERY` examples, or
        of those that were asked for.
      labels: `(g, *dense)`, their labels.
      seconds: Making of all examples, without compiling.
      compile_seconds: Compiling for it.
      probabilities: `(j, g, k)`, what the models say of the gallery; None for dense labels.
      predictions: `(j, g, *dense)` uint8, the classes that the models find in the gallery; None for
        labels of whole images.
      wrong: `(j, n)` bool, whether the model is wrong on the clean image by the attack's own rule;
        None where the common rule holds, by which the clean cell was judged.
    """

    records: np.ndarray
    outcomes: dict[str, np.ndarray]
    fooled: np.ndarray
    steps: np.ndarray
    gradients: np.ndarray
    forwards: np.ndarray
    flat: np.ndarray
    l2: np.ndarray
    linf: np.ndarray
    ssim: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    seconds: float
    compile_seconds: float
    probabilities: np.ndarray | None = None
    predictions: np.ndarray | None = None
    wrong: np.ndarray | None = None


_OUTCOME = "outcome "


def save(path: pathlib.Path, cell: Cell) -> None:
    """Writes a cell; at no moment is there half a file of that name."""
    arrays: dict[str, Any] = cell._asdict()
    outcomes = arrays.pop("outcomes")
    arrays.update({_OUTCOME + name: value for name, value in outcomes.items()})
    arrays = {name: value for name, value in arrays.items() if value is not None}
    # Label maps shrink to a thirtieth; outcomes and images of a classifier hardly shrink at all.
    write = np.savez if cell.predictions is None else np.savez_compressed
    content = io.BytesIO()
    write(content, allow_pickle=False, **arrays)
    files.replace(path, content.getvalue())


def load(path: pathlib.Path) -> Cell | None:
    """Reads a cell; None if there is no file, and, with a warning, if it is damaged."""
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        return _read(content)
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}: {error}); its cell is computed again.",
            stacklevel=2,
        )
        return None


def _read(content: bytes) -> Cell:
    """Parses a file; the archive's checksums are compared as its arrays are read."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    names = [name for name in arrays if name.startswith(_OUTCOME)]
    outcomes = {name.removeprefix(_OUTCOME): arrays.pop(name) for name in names}
    arrays.update({name: float(arrays[name]) for name in ("seconds", "compile_seconds")})
    if "probabilities" not in arrays and "predictions" not in arrays:
        raise ValueError("neither probabilities nor predictions")
    return Cell(outcomes=outcomes, **arrays)
