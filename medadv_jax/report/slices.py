"""The slices of one subject under a slider: image, truth, and predictions before and after."""

import base64
import hashlib
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.report import colors, dense, formats, images

PIXELS = 4_000_000
"""Most pixels of a picture that holds all slices; of more every second pixel is shown, or fewer."""
SIDE = 16_000
"""Longest side of a picture that a browser is asked to show."""
_SCRIPT = pathlib.Path(__file__).parent / "slider.js"


class Slider(NamedTuple):
    """All slices of one subject, before and after a perturbation.

    Attributes:
      title: What is shown: the subject, the model and the perturbation.
      clean: `(n, h, w)` in [0, 1].
      perturbed: `(n, h, w)` in [0, 1].
      truth: `(n, h, w)`, the true classes, -1 where there is none.
      clean_prediction: `(n, h, w)`, the classes predicted from the clean slices.
      perturbed_prediction: `(n, h, w)`, the classes predicted from the perturbed slices.
    """

    title: str
    clean: np.ndarray
    perturbed: np.ndarray
    truth: np.ndarray
    clean_prediction: np.ndarray
    perturbed_prediction: np.ndarray


def slider(
    clean: Any,
    perturbed: Any,
    truth: Any,
    clean_prediction: Any,
    perturbed_prediction: Any,
    *,
    title: str,
) -> Slider:
    """Returns the slices of one subject for the slider of a report.

    Args:
      clean: `(n, h, w)` or `(n, h, w, 1)`, in [0, 1].
      perturbed: Of the same shape.
      truth: `(n, h, w)`, integers: the class of each pixel, 0 the background, -1 not known.
      clean_prediction: `(n, h, w)`, integers.
      perturbed_prediction: `(n, h, w)`, integers.
      title: What is shown: the subject, the model and the perturbation.

    Raises:
      ValueError: if there is no slice, or shapes differ.
    """
    shape = np.shape(truth)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"The truth of a slider is (n, h, w) with n at least 1, got {shape}.")
    given = dict(clean=clean, perturbed=perturbed)
    pictures = {name: np.asarray(value) for name, value in given.items()}
    pictures = {
        n: v[..., 0] if v.ndim == 4 and v.shape[-1] == 1 else v for n, v in pictures.items()
    }
    maps = dict(clean_prediction=clean_prediction, perturbed_prediction=perturbed_prediction)
    arrays = pictures | {name: np.asarray(value) for name, value in maps.items()}
    for name, array in arrays.items():
        if array.shape != shape:
            raise ValueError(f"{name} of a slider is {shape} as the truth, got {array.shape}.")
    return Slider(title=title, truth=np.asarray(truth), **arrays)


def check(shown: Slider, num_classes: int) -> None:
    """Refuses label maps that do not fit the classes.

    Raises:
      ValueError: if a label is not a class, or there are more classes than a picture has colours.
    """
    dense.check_palette(num_classes)
    for name in ("truth", "clean_prediction", "perturbed_prediction"):
        lowest = -1 if name == "truth" else 0
        dense.check_labels(f"{name} of a slider", getattr(shown, name), lowest, num_classes)


def section(shown: Slider, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns what the template needs: a picture of all slices for each layer, and their places.

    Every layer is one picture with the slices in a grid, of which a view shows one: lossless and
    transparent for label maps, compressed for images.
    """
    step = math.isqrt(max(0, shown.truth.size - 1) // PIXELS) + 1
    layers = {
        name: value[:, ::step, ::step] for name, value in shown._asdict().items() if name != "title"
    }
    number, height, width = layers["truth"].shape
    columns = min(number, SIDE // width, max(1, round(math.sqrt(number * height / width))))
    table = colors.table(class_names)
    uris = {}
    for name, value in layers.items():
        sheet = grid(value, columns)
        if name in ("clean", "perturbed"):
            uris[name] = images.data_uri(images.compressed(sheet), "image/webp")
        else:
            uris[name] = images.data_uri(images.overlay(sheet, table), "image/png")
    first = dense.fullest(shown.truth)
    return {
        "title": shown.title,
        "uris": uris,
        "number": number,
        "columns": columns,
        "rows": -(-number // columns),
        "height": height,
        "width": width,
        "step": step,
        "first": first + 1,
        "view": (first % columns * width, first // columns * height),
        "before": _dice(shown.clean_prediction, shown.truth, len(class_names)),
        "after": _dice(shown.perturbed_prediction, shown.truth, len(class_names)),
    }


def _dice(predictions: np.ndarray, truth: np.ndarray, num_classes: int) -> list[str]:
    pairs = zip(predictions, truth, strict=True)
    return [formats.score(dense.mean_dice(found, true, num_classes)) for found, true in pairs]


def grid(stack: np.ndarray, columns: int) -> np.ndarray:
    """Returns slices `(n, h, w)` side by side, row after row, the rest filled with zeros.

    >>> grid(np.array([[[1]], [[2]], [[3]]]), 2)
    array([[1, 2],
           [3, 0]])
    """
    number, height, width = stack.shape
    rows = -(-number // columns)
    full = np.zeros((rows * columns, height, width), stack.dtype)
    full[:number] = stack
    tiles = full.reshape(rows, columns, height, width).swapaxes(1, 2)
    return tiles.reshape(rows * height, columns * width)


def script() -> tuple[str, str]:
    """Returns the script of the slider and the source that a page's policy allows it by."""
    text = f"\n{_SCRIPT.read_text(encoding='utf-8')}"
    digest = hashlib.sha256(text.encode()).digest()
    return text, f"'sha256-{base64.b64encode(digest).decode()}'"
