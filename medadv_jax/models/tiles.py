"""A `Predict` over overlapping patches, for images and volumes that are too large for memory."""

import dataclasses
import itertools
import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float

from medadv_jax.types import Predict

Sides: TypeAlias = int | tuple[int, ...]
"""One number for all sides, or one a side."""


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Tiled:
    """A dense `Predict` that looks at one patch at a time; `tiled` makes it.

    A pytree like the `Predict` within: its weights are leaves, the geometry is structure.

    Attributes:
      predict: The `Predict` of a patch.
      size: See `tiled`.
      overlap: See `tiled`.
      halo: See `tiled`.
    """

    predict: Any  # Any, since jax rebuilds pytrees with placeholders for the leaves
    size: Sides = dataclasses.field(metadata=dict(static=True))
    overlap: Sides = dataclasses.field(metadata=dict(static=True))
    halo: Sides = dataclasses.field(metadata=dict(static=True))

    def __call__(self, images: Float[Array, "b *space c"], /) -> Float[Array, "b *space k"]:
        """Returns the logits of a batch of images with pixels in [0, 1].

        Raises:
          ValueError: `size`, `overlap` or `halo` name another number of sides than the images
            have, or `predict` gives no logits for every pixel.
        """
        b, *space, c = images.shape
        plans = [
            _plan(side, *option)
            for side, option in zip(
                space, _options(self.size, self.overlap, self.halo, len(space)), strict=True
            )
        ]
        patch = tuple(weights.shape[1] for _, weights in plans)

        # Computed anew in the backward pass, so that what is kept is that of one patch.
        @jax.checkpoint
        def look(predict: Predict, images: Array, corner: Array) -> Array:
            return predict(jax.lax.dynamic_slice(images, (0, *corner, 0), (b, *patch, c)))

        def add(total: Array, cell: Array) -> tuple[Array, None]:
            sides = list(zip(cell, plans, strict=True))
            corner = jnp.stack([jnp.asarray(starts)[number] for number, (starts, _) in sides])
            logits = look(self.predict, images, corner)
            weights = jnp.ones((1,) * logits.ndim)
            for side, (number, (_, ramps)) in enumerate(sides, start=1):
                ramp = jnp.asarray(ramps)[number]
                weights *= jnp.expand_dims(ramp, [n for n in range(logits.ndim) if n != side])
            place = (0, *corner, 0)
            before = jax.lax.dynamic_slice(total, place, logits.shape)
            return jax.lax.dynamic_update_slice(total, before + weights * logits, place), None

        corner = jax.ShapeDtypeStruct((len(space),), jnp.int32)
        logits = jax.eval_shape(look, self.predict, images, corner).shape
        if logits[:-1] != (b, *patch):
            raise ValueError(
                f"tiled needs logits for every pixel of a patch {(b, *patch)}, got shape {logits}."
            )
        numbers = itertools.product(*(range(len(starts)) for starts, _ in plans))
        cells = jnp.array(list(numbers), jnp.int32)
        # Unrolled, XLA would keep several patches at a time: more memory than without patches.
        return jax.lax.scan(add, jnp.zeros((b, *space, logits[-1])), cells)[0]


def tiled(predict: Predict, size: Sides, overlap: Sides, *, halo: Sides = 0) -> Tiled:
    r"""Makes a `Predict` of large images from one of patches.

    $f(x)_p = \sum_i w_i(p)\,f_i(p) / \sum_i w_i(p)$ over the patches $i$ that hold pixel $p$. A
    weight is 1 inside and falls linearly across the overlap to the patch's edge, but not to the
    edge of the image. Patches lie `size - overlap` pixels apart, the last ends with the image; a
    side not longer than `size` is one patch. They are looked at one after the other, in the
    backward pass once more, so that the memory is that of one patch besides image and logits. The
    price on CPU: within a loop XLA's convolutions have gradients four to five times as slow.

    Args:
      predict: A `Predict` with logits `(b, *space, k)`, of 2-D images or of volumes.
      size: Sides of a patch in pixels, one number or one a side.
      overlap: Pixels that neighbouring patches share, from 0 to `size - 1`.
      halo: Outermost pixels of a patch that do not count, at most half the overlap. If it is not
        below the radius of the net's receptive field, the logits are those of `predict`, provided
        that a net that pools meets the same windows: all patches start at multiples of its stride.

    Returns:
      A callable pytree from images in [0, 1] to logits.

    Raises:
      ValueError: A size below 1, an overlap that is not below the size, a halo above half of it,
        or options for unlike numbers of sides.

    >>> double = jax.tree_util.Partial(lambda images: 2 * images)
    >>> tiled(double, size=4, overlap=2)(jnp.arange(7.0).reshape(1, 7, 1, 1)).ravel()
    Array([ 0.,  2.,  4.,  6.,  8., 10., 12.], dtype=float32)
    """
    sides = max(len(option) if isinstance(option, tuple) else 1 for option in (size, overlap, halo))
    for length, shared, ignored in _options(size, overlap, halo, sides):
        if length < 1:
            raise ValueError(f"tiled needs size >= 1, got size={size}.")
        if not 0 <= shared < length:
            raise ValueError(
                f"tiled needs 0 <= overlap < size, got overlap={overlap}, size={size}."
            )
        if not 0 <= 2 * ignored <= shared:
            raise ValueError(
                f"tiled needs 0 <= halo <= overlap / 2, got halo={halo}, overlap={overlap}."
            )
    return Tiled(predict, size, overlap, halo)


def _options(size: Sides, overlap: Sides, halo: Sides, sides: int) -> list[tuple[int, int, int]]:
    """Returns the options of every side."""
    columns = []
    for name, option in (("size", size), ("overlap", overlap), ("halo", halo)):
        values = (option,) * sides if isinstance(option, int) else option
        if len(values) != sides:
            raise ValueError(
                f"tiled needs one {name} or one for each of {sides} sides, got {option}."
            )
        columns.append(values)
    return list(zip(*columns, strict=True))


def _plan(side: int, size: int, overlap: int, halo: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the patches start along one side and how much each of their pixels counts.

    The weights `(patches, size)` sum to one at every pixel; those of the grid are their products.
    """
    size = min(size, side)
    number = 1 + math.ceil((side - size) / (size - overlap)) if side > size else 1
    starts = np.minimum(np.arange(number) * (size - overlap), side - size).astype(np.int32)
    inwards = np.arange(size) + 1 - halo  # 1, 2, ... from the first pixel that counts
    ramp = np.clip(inwards / (overlap - 2 * halo + 1), 0, 1)
    weights = np.ones((number, size))
    weights[starts > 0] *= ramp
    weights[starts + size < side] *= ramp[::-1]
    pixels = starts[:, None] + np.arange(size)
    total = np.bincount(pixels.ravel(), weights.ravel(), side)
    return starts, (weights / total[pixels]).astype(np.float32)
