"""Examples of one class each: how an image of a source becomes part of a batch."""

import functools
from collections.abc import Sequence

import numpy as np
import PIL.Image

from medadv_jax.data.augment import Augment
from medadv_jax.data.source import Source


class Pictures:
    """The images of a source, uint8 `(h, w, 3)` until they are stacked.

    Args:
      source: The records.
      image_size: Side of the images in a batch, `None` for what is stored.
    """

    def __init__(self, source: Source, image_size: int | None):
        self._source, self._size = source, image_size

    def read(self, number: int) -> np.ndarray:
        """Returns an image whose shorter side has the wanted length."""
        return _resize(self._source[number]["image"], self._size)

    def size(self, image: np.ndarray) -> int:
        """Returns the bytes that an image takes."""
        return image.nbytes

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Returns the middle square of an image."""
        return image if self._size is None else _centre(image, self._size)

    def augmented(
        self, image: np.ndarray, augment: Augment, rng: np.random.Generator
    ) -> np.ndarray:
        """Returns a random view of the whole image."""
        return augment(rng, image)

    def stacked(
        self, views: Sequence[np.ndarray], index: np.ndarray, mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of a batch.

        Args:
          views: The images of the rows that are not padding.
          index: Number of each row's record.
          mask: Which rows are not padding; black images fill the others.
        """
        shapes = {image.shape for image in views}
        side = self._size
        if len(shapes) > 1 or side is not None and shapes != {(side, side, 3)}:
            raise ValueError(
                f"A batch holds images of one shape, got {sorted(shapes)} from {self._source.name} "
                f"with image_size={side}: give image_size, or an augmentation that makes that size."
            )
        images = np.zeros((len(index), *shapes.pop()), np.float32)
        for row, image in enumerate(views):
            np.divide(image, np.float32(255), out=images[row])
        return images, np.where(mask, self._labels[index], 0)

    @functools.cached_property
    def _labels(self) -> np.ndarray:
        return self._source.column("label").astype(np.int32)


def _resize(image: np.ndarray, size: int | None) -> np.ndarray:
    """Returns the image resized until its shorter side has a length, antialiased."""
    height, width = image.shape[:2]
    if size is None or min(height, width) == size:
        return image
    scale = size / min(height, width)
    shape = max(size, round(width * scale)), max(size, round(height * scale))
    return np.asarray(PIL.Image.fromarray(image).resize(shape, PIL.Image.Resampling.BICUBIC))


def _centre(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the middle square of an image."""
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]
