"""Examples as pictures: an image before and after, and the difference enlarged."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from medadv_jax.report import formats

BUDGET = 3_000_000
"""Bytes of pictures in a page, so that a page stays below 5 MB."""
_NICE = (1, 2, 5)


class Example(NamedTuple):
    """One image before and after a perturbation, and what a model said of both.

    Attributes:
      clean: `(h, w)`, `(h, w, 1)` or `(h, w, 3)`; uint8, or float in [0, 1].
      perturbed: The same shape. As float: rounded to 8 bits a small perturbation is lost.
      label: The true class, 0 .. k-1.
      clean_probabilities: `(k,)`, of the clean image.
      perturbed_probabilities: `(k,)`, of the perturbed image.
      model: Name of the model, as in the rows.
      perturbation: Name of the perturbation, as in the rows.
      eps: Its size, None if it has none.
      success: Whether the prediction was right before and is wrong now.
    """

    clean: Any
    perturbed: Any
    label: int
    clean_probabilities: Any
    perturbed_probabilities: Any
    model: str
    perturbation: str
    eps: float | None
    success: bool


def check(examples: Sequence[Example], class_names: Sequence[str]) -> None:
    """Refuses examples that cannot be drawn.

    Raises:
      ValueError: if the two images differ in shape, or the probabilities or the label do not fit
        the classes.
    """
    for number, example in enumerate(examples):
        clean, perturbed = np.shape(example.clean), np.shape(example.perturbed)
        if clean != perturbed or not (len(clean) == 2 or (len(clean) == 3 and clean[2] in (1, 3))):
            raise ValueError(
                f"Example {number}: clean and perturbed are (h, w), (h, w, 1) or (h, w, 3) and "
                f"alike, got {clean} and {perturbed}."
            )
        for name in ("clean_probabilities", "perturbed_probabilities"):
            if np.shape(getattr(example, name)) != (len(class_names),):
                raise ValueError(
                    f"Example {number}: {name} has one entry for each of the {len(class_names)} "
                    f"classes, got shape {np.shape(getattr(example, name))}."
                )
        if not 0 <= int(example.label) < len(class_names):
            raise ValueError(
                f"Example {number}: label is in 0 .. {len(class_names) - 1}, got {example.label}."
            )


def unit(image: Any) -> np.ndarray:
    """Returns an image as float64 `(h, w)` or `(h, w, 3)` in [0, 1]."""
    array = np.asarray(image)
    scaled = array / 255 if array.dtype == np.uint8 else array.astype(np.float64)
    return scaled[..., 0] if scaled.ndim == 3 and scaled.shape[-1] == 1 else scaled


def gain(difference: np.ndarray) -> int:
    """Returns the factor of 1, 2, 5, 10, 20, ... that enlarges a difference to at most 0.5.

    >>> gain(np.array([0.004, -0.001])), gain(np.zeros(2)), gain(np.array([0.9]))
    (100, 1, 1)
    """
    largest = float(np.max(np.abs(difference), initial=0.0))
    if largest < 1e-9:
        return 1
    room = 0.5 / largest * (1 + 1e-6)
    power = 10 ** math.floor(math.log10(max(room, 1.0)))
    return max(factor * power for factor in _NICE if factor * power <= max(room, 1.0))


def enlarged(clean: Any, perturbed: Any) -> tuple[np.ndarray, int]:
    """Returns the perturbation on mid-grey, times a round factor, and that factor."""
    difference = unit(perturbed) - unit(clean)
    factor = gain(difference)
    return np.clip(0.5 + factor * difference, 0, 1), factor


def png(image: np.ndarray) -> bytes:
    """Returns an image in [0, 1] as the bytes of an 8-bit PNG file."""
    pixels = np.round(np.clip(unit(image), 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """Returns a file as a `data:` address, so that a page needs no other file.

    >>> data_uri(b"a", "text/csv")
    'data:text/csv;base64,YQ=='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def said(probabilities: Any, class_names: Sequence[str]) -> str:
    """Returns a prediction with its confidence.

    >>> said([0.2, 0.8], ("nevus", "melanoma"))
    'melanoma 80 %'
    """
    best = int(np.argmax(probabilities))
    return f"{class_names[best]} {formats.percent(float(np.asarray(probabilities)[best]))}"


def title(example: Example) -> str:
    """Returns the perturbation of an example with its size."""
    size = "" if example.eps is None else f" ε\u00a0{formats.size(example.eps)}"
    return example.perturbation + size
