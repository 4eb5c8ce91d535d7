"""Batches of arrays that are in memory already."""

from typing import Any

import numpy as np

from medadv_jax.types import Batch


def from_arrays(images: Any, labels: Any, batch_size: int = 64) -> list[Batch]:
    """Makes batches of your own arrays, for `evaluate.matrix` or `attacks.run`.

    Record i is row i. The last batch is padded: its `mask` is False there.

    Args:
      images: Float `(n, *space, c)` in [0, 1].
      labels: Integer classes `(n,)`, or `(n, *space)` for masks, where -1 does not count.
      batch_size: Examples in a batch.

    Returns:
      A list of `types.Batch` of numpy arrays.

    Raises:
      ValueError: There is no image, shapes or types do not fit, a pixel is not in [0, 1] (or NaN),
        or a label is negative.

    >>> batches = from_arrays(np.zeros((3, 8, 8, 1)), np.array([0, 1, 1]), 2)
    >>> [batch.mask.tolist() for batch in batches]
    [[True, True], [True, False]]
    """
    images, labels = np.asarray(images), np.asarray(labels)
    _check(images, labels)
    if batch_size < 1:
        raise ValueError(f"batch_size is at least 1, got {batch_size}.")
    found = []
    for start in range(0, len(images), batch_size):
        number = start + np.arange(batch_size)
        mask = number < len(images)
        row = np.where(mask, number, 0)
        shown = np.where(mask.reshape((-1,) + (1,) * (images.ndim - 1)), images[row], 0)
        index = np.where(mask, number, -1).astype(np.int32)
        found.append(Batch(shown.astype(np.float32), labels[row].astype(np.int32), mask, index))
    return found


def _check(images: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError for arrays that are no images in [0, 1] with their labels."""
    if images.ndim < 2 or not images.size or labels.ndim < 1 or len(images) != len(labels):
        raise ValueError(
            "There is a label for every image and at least one, images (n, *space, c), got images "
            f"of shape {images.shape} and labels of shape {labels.shape}."
        )
    if images.dtype.kind != "f" or labels.dtype.kind not in "ui":
        raise ValueError(
            "Images are floats in [0, 1] (divide uint8 images by 255) and labels integers, got "
            f"{images.dtype} and {labels.dtype}."
        )
    if labels.ndim > 1 and labels.shape != images.shape[:-1]:
        raise ValueError(
            f"Labels are classes {images.shape[:1]} or masks of the images' size "
            f"{images.shape[:-1]}, got {labels.shape}."
        )
    least = 0 if labels.ndim == 1 else -1
    for name, array, low, high in (
        ("Pixels", images, 0, 1),
        ("Labels", labels, least, np.iinfo(np.int32).max),
    ):
        wrong = ~((array >= low) & (array <= high))  # so that NaN is wrong
        if wrong.any():
            place = tuple(np.argwhere(wrong)[0].tolist())
            raise ValueError(
                f"{name} are from {low} to {high}, got {array[place]} at {place} and "
                f"{int(wrong.sum()) - 1} more that are not."
            )
