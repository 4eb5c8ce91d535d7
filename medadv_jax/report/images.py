"""Images as a page can hold them: enlarged differences, label maps as overlays, files in text."""

import base64
import io
import math
from typing import Any

import numpy as np
import PIL.Image

OPACITY = 0.62
"""Of a structure over an image."""
_NICE = (1, 2, 5)
_SMALL = 128


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
    room = 0.5 / largest * (1 + 1e-4)  # a change of eps is a little more after rounding
    power = 10 ** math.floor(math.log10(max(room, 1.0)))
    return max(factor * power for factor in _NICE if factor * power <= max(room, 1.0))


def enlarged(clean: Any, perturbed: Any) -> tuple[np.ndarray, int]:
    """Returns the perturbation on mid-grey, times a round factor, and that factor."""
    difference = unit(perturbed) - unit(clean)
    factor = gain(difference)
    return np.clip(0.5 + factor * difference, 0, 1), factor


def encode(image: Any) -> tuple[bytes, str]:
    """Returns an image in [0, 1] as the bytes of a file and its media type.

    Small images are kept as they are (8-bit PNG). Large ones are compressed for display, with a
    loss that the eye does not see; scores never come from these files.
    """
    if max(np.shape(image)[:2]) > _SMALL:
        return compressed(image), "image/webp"
    file = io.BytesIO()
    _picture(image).save(file, format="PNG", optimize=True)
    return file.getvalue(), "image/png"


def compressed(image: Any) -> bytes:
    """Returns an image in [0, 1] as a WebP file with a loss that the eye does not see."""
    file = io.BytesIO()
    _picture(image).save(file, format="WEBP", quality=90)
    return file.getvalue()


def _picture(image: Any) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.round(np.clip(unit(image), 0, 1) * 255).astype(np.uint8))


def data_uri(content: bytes, kind: str) -> str:
    """Returns a file as a `data:` address, so that a page needs no other file.

    >>> data_uri(b"a", "text/csv")
    'data:text/csv;base64,YQ=='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def overlay(labels: np.ndarray, colors: np.ndarray) -> bytes:
    """Returns a label map as a transparent PNG to lay over its image: exact, and small.

    Args:
      labels: `(h, w)`, 0 and less are transparent.
      colors: `(k, 3)` uint8.
    """
    height, width = labels.shape
    indices = np.maximum(labels, 0).astype(np.uint8)
    drawn = PIL.Image.frombytes("P", (width, height), indices.tobytes())
    drawn.putpalette(colors.tobytes())
    opacity = bytes([0] + [round(255 * OPACITY)] * (len(colors) - 1))
    file = io.BytesIO()
    drawn.save(file, format="PNG", optimize=True, transparency=opacity)
    return file.getvalue()


def blend(image: Any, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns an image `(h, w, 3)` in [0, 1] with a label map over it, for a file."""
    base = unit(image)
    base = base if base.ndim == 3 else np.repeat(base[..., None], 3, axis=-1)
    shown = colors[np.maximum(labels, 0)] / 255
    return np.where(labels[..., None] > 0, (1 - OPACITY) * base + OPACITY * shown, base)
