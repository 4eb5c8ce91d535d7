"""Examples with dense labels: how an image and its map become part of a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medadv_jax.data.augment_mri import DenseAugment
from medadv_jax.data.source import Source


class Pair(NamedTuple):
    """An image with its label.

    Attributes:
      image: Float32 `(h, w, c)` or `(d, h, w, c)`.
      label: Integers of the same extent.
      spacing: Sides of a pixel along each axis in mm; 1 where the record does not tell.
    """

    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, ...]


class Maps:
    """The images and dense labels of a source.

    Args:
      source: The records.
      image_size: Sides of the images in a batch, one number for all; `None` for what is stored.
    """

    def __init__(self, source: Source, image_size: int | tuple[int, ...] | None):
        self._source, self._size = source, image_size

    def read(self, number: int) -> Pair:
        """Returns a record's image and label as they are stored."""
        record = self._source[number]
        label = record["label"]
        spacing = tuple(record.get(f"spacing_{axis}", 1.0) for axis in range(label.ndim))
        return Pair(record["image"], label, spacing)

    def size(self, pair: Pair) -> int:
        """Returns the bytes that an example takes."""
        return pair.image.nbytes + pair.label.nbytes

    def cut(self, pair: Pair) -> Pair:
        """Returns the middle of an example, zeros round it where it is too small."""
        if self._size is None:
            return pair
        space = pair.label.ndim
        sides = (self._size,) * space if isinstance(self._size, int) else self._size
        if len(sides) != space:
            raise ValueError(
                f"image_size has one side for each axis of an image, {space} in "
                f"{self._source.name}; got {self._size}."
            )
        return pair._replace(image=centred(pair.image, sides), label=centred(pair.label, sides))

    def augmented(self, pair: Pair, augment: DenseAugment, rng: np.random.Generator) -> Pair:
        """Returns a random view of an example: the whole is augmented and then cut."""
        return self.cut(Pair(*augment(rng, *pair), pair.spacing))

    def stacked(
        self, views: Sequence[Pair], index: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of a batch.

        Args:
          views: The examples of the rows that are not padding.
          index: Number of each row's record.
          mask: Which rows are not padding; black images of background fill the others.
        """
        del mask
        shapes = {(pair.image.shape, pair.label.shape) for pair in views}
        if len(shapes) > 1:
            raise ValueError(
                "A batch holds images of one shape, got "
                f"{sorted(image for image, _ in shapes)} from {self._source.name}: give image_size."
            )
        image, label = shapes.pop()
        images = np.zeros((len(index), *image), np.float32)
        labels = np.zeros((len(index), *label), np.int32)
        for row, pair in enumerate(views):
            images[row], labels[row] = pair.image, pair.label
        return images, labels


def centred(array: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Returns the middle of an array along its first axes, with zeros where it is too small.

    Where a side cannot be halved, the smaller half is before the middle.

    >>> centred(np.array([1, 2, 3, 4]), [2]), centred(np.array([1, 2]), [5])
    (array([2, 3]), array([0, 1, 2, 0, 0]))
    """
    places, padding = [], []
    for length, side in zip(array.shape, sides, strict=False):
        start, before = max(length - side, 0) // 2, max(side - length, 0) // 2
        places.append(slice(start, start + side))
        padding.append((before, max(side - length, 0) - before))
    rest = [(0, 0)] * (array.ndim - len(padding))
    return np.pad(array[tuple(places)], [*padding, *rest])
