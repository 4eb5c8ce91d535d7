"""Batches of arrays that are in memory already."""

from typing import Any

import numpy as np

from medadv_jax.types import Batch


def from_arrays(images: Any, labels: Any, batch_size: int = 64) -> list[Batch]:
    """Makes batches of your own arrays, for `evaluate.matrix` or `attacks.run`.

    Record i is row i. The last batch is padded: its `mask` is False there.

    Args:
      images: Float `(n, *space, c)` in [0, 1].
      labels: Integer `(n,)`, or `(n, *space)` for masks.
      batch_size: Examples in a batch.

    Returns:
      A list of `types.Batch` of numpy arrays.

    Raises:
      ValueError: There is no image, numbers of images and labels differ, or images are integers.

    >>> batches = from_arrays(np.zeros((3, 8, 8, 1)), np.array([0, 1, 1]), 2)
    >>> [batch.mask.tolist() for batch in batches]
    [[True, True], [True, False]]
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if not len(images) or len(images) != len(labels):
        raise ValueError(
            f"There is a label for every image and at least one, got {len(images)} images and "
            f"{len(labels)} labels."
        )
    if images.dtype.kind != "f" or labels.dtype.kind not in "ui":
        raise ValueError(
            "Images are floats in [0, 1] (divide uint8 images by 255) and labels integers, got "
            f"{images.dtype} and {labels.dtype}."
        )
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
