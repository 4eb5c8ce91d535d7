"""A tiny grid of masks: a linear segmenter, two subjects of five slices of 13 x 12 pixels."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from medadv_jax.types import Batch

CLASSES, SHAPE, SLICES = 4, (13, 12), 5
SUBJECTS = np.repeat(["b", "a"], SLICES)
RECORDS = len(SUBJECTS)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Segmenter:
    """Logits of a pixel: an affine function of its value, one a class."""

    slope: Any
    offset: Any

    def __call__(self, images):
        last = lambda values: values.reshape((1,) * (images.ndim - 1) + (-1,))
        return images * last(self.slope) + last(self.offset)


def segmenters(number=2):
    """Returns segmenters that find class c where a pixel is near c / 3, more or less exactly."""
    rng = np.random.default_rng(0)
    centres = np.arange(CLASSES) / (CLASSES - 1)
    found = {}
    for i in range(number):
        moved = centres + rng.normal(0, 0.03 * (i + 1), CLASSES)
        values = (20 * moved, -10 * moved**2)
        found[f"m{i}"] = Segmenter(*(jnp.asarray(value, jnp.float32) for value in values))
    return found


def records():
    """Returns images and masks: boxes of structure 1 and 2, no structure 3 in subject "a"."""
    rng = np.random.default_rng(1)
    labels = np.zeros((RECORDS, *SHAPE), np.int32)
    for number in range(RECORDS):
        low = rng.integers(1, 4, 3)
        labels[number, low[0] : 9, 1:4] = 1
        labels[number, low[1] : 8, 5:8] = 2
        if number < SLICES:
            labels[number, low[2] : 7, 9:11] = 3
    images = labels[..., None] / (CLASSES - 1) + rng.normal(0, 0.12, (RECORDS, *SHAPE, 1))
    labels[:, 0, 0] = -1
    return np.float32(np.clip(images, 0, 1)), labels


def batches(size):
    """Returns the records in batches, the last one padded."""
    images, labels = records()
    found = []
    for start in range(0, RECORDS, size):
        index = np.arange(start, start + size)
        mask, kept = index < RECORDS, np.minimum(index, RECORDS - 1)
        found.append(Batch(images[kept], labels[kept], mask, np.where(mask, index, -1)))
    return found


@jax.jit
def predictions(net, images):
    """Returns the classes that a segmenter finds."""
    return jnp.argmax(net(images), -1)
