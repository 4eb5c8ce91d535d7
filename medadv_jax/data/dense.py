"""Records whose label is a map of its own: how image and label are encoded and decoded."""

import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

FORMAT = 1
"""Version of what is stored of a volume; a higher one is prepared anew."""


def encode(array: np.ndarray) -> bytes:
    """Returns an array as compressed bytes, with its shape and type.

    >>> decode(encode(np.arange(6, dtype=np.uint16).reshape(2, 3)))
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint16)
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return zlib.compress(buffer.getvalue(), 1)


def decode(content: bytes) -> np.ndarray:
    """Returns the array of `encode`."""
    return np.load(io.BytesIO(zlib.decompress(content)), allow_pickle=False)


def quantize(image: np.ndarray) -> np.ndarray:
    """Returns an image in [0, 1] as integers: uint8 where that loses nothing, else uint16.

    The 16 bits lose at most 1/131070 of the range of the image.

    Raises:
      ValueError: A pixel is not in [0, 1].

    >>> quantize(np.array([0, 51 / 255, 1])), quantize(np.array([0, 0.3, 1]))
    (array([  0,  51, 255], dtype=uint8), array([    0, 19660, 65535], dtype=uint16))
    """
    if not (image.min() >= 0 and image.max() <= 1):  # NaN compares false
        raise ValueError(f"pixels are in [0, 1], got {image.min()} to {image.max()}.")
    codes = np.rint(image.astype(np.float64) * 65535).astype(np.uint16)
    eighth = (codes // 257).astype(np.uint8)
    exact = np.array_equal(eighth / np.float32(255), image.astype(np.float32))
    return eighth if exact else codes


def encoded(name: str, record: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Returns a record of arrays as it is stored.

    Args:
      name: Name of the record, for the message.
      record: `image`, of floats in [0, 1] or of uint8 or uint16 codes, and `label`, integers of the
        same shape, neither with a channel axis; other fields stay.
      classes: The number of classes.

    Raises:
      ValueError: The shapes differ, a label is no class, or a pixel is not in [0, 1].
    """
    image, label = np.asarray(record["image"]), np.asarray(record["label"])
    if image.shape != label.shape or image.ndim not in (2, 3):
        raise ValueError(
            f"record {name}: image and label are (h, w) or (d, h, w), both alike; got "
            f"{image.shape} and {label.shape}."
        )
    if label.dtype.kind not in "ui" or label.min() < 0 or label.max() >= classes:
        raise ValueError(
            f"record {name}: labels are integers from 0 to {classes - 1}, got {label.dtype} from "
            f"{label.min()} to {label.max()}."
        )
    if image.dtype not in (np.uint8, np.uint16):
        try:
            image = quantize(image)
        except ValueError as error:
            raise ValueError(f"record {name}: {error}") from None
    label = label.astype(np.uint8 if classes <= 256 else np.int32)
    return dict(record, image=encode(image), label=encode(label))


def decoded(image: bytes, label: bytes) -> dict[str, np.ndarray]:
    """Returns image, float32 in [0, 1] with a channel axis, and label of a stored record."""
    codes = decode(image)
    pixels = codes / np.float32(np.iinfo(codes.dtype).max)
    return dict(image=pixels[..., None], label=decode(label))
