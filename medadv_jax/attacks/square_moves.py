"""Where Square starts and how it moves: stripes and squares in Linf, pyramids in L2."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from medadv_jax.attacks import norms
from medadv_jax.types import Image, PRNGKey

TILES = 5
"""Tiles along the shortest side at the start in L2."""
SMALLEST = 3
"""Least side of a square in L2: two pyramids of opposite sign need more than one pixel."""


def start(key: PRNGKey, clean: Image, eps: Any, norm: str) -> Image:
    """Returns the image that is looked at first, on the border of the ball, clipped to [0, 1]."""
    if norm == "linf":
        stripes = (1,) * (clean.ndim - 2) + clean.shape[-2:]
        return jnp.clip(clean + eps * jax.random.rademacher(key, stripes, jnp.float32), 0, 1)
    return to_border(tiles(key, clean.shape), clean, eps)


def move(key: PRNGKey, image: Image, clean: Image, eps: Any, share: Any, norm: str) -> Image:
    """Returns an image that differs from the best one in one square (in L2 in two).

    Args:
      key: Random key of this step.
      image: The best image so far.
      clean: The clean image.
      eps: Radius of the ball.
      share: Of the pixels, that a square covers.
      norm: "linf" or "l2".
    """
    space = image.shape[:-1]
    side = jnp.round((share * np.prod(space)) ** (1 / len(space))).astype(jnp.int32)
    if norm == "linf":
        side = jnp.clip(side, 1, max(min(space) - 1, 1))
        place, sign = jax.random.split(key)
        inside = within(random_place(place, space, side), side)[..., None]
        signs = jax.random.rademacher(sign, image.shape[-1:], jnp.float32)
        square = jnp.clip(clean + eps * jnp.expand_dims(signs, range(len(space))), 0, 1)
        return jnp.where(inside, square, image)
    side = jnp.maximum(side, SMALLEST)
    side = jnp.minimum(side + 1 - side % 2, min(space))
    return _move_l2(key, image, clean, eps, side)


def _move_l2(key: PRNGKey, image: Image, clean: Image, eps: Any, side: Any) -> Image:
    """Moves the perturbation of one square into another, and what the ball still allows."""
    place, other_place, axis, sign = jax.random.split(key, 4)
    space, channels = image.shape[:-1], image.shape[-1]
    offsets = random_place(place, space, side)
    inside = within(offsets, side)[..., None]
    other = within(random_place(other_place, space, side), side)[..., None]
    change = image - clean
    pixels = tuple(range(len(space)))
    length = lambda change: jnp.sqrt(jnp.sum(change**2, axis=pixels, keepdims=True))
    own, both = jnp.where(inside, change, 0), jnp.where(inside | other, change, 0)
    shape = pyramids(offsets, side, jax.random.randint(axis, (), 0, len(space)))
    signs = jax.random.rademacher(sign, (channels,), jnp.float32)
    new = jnp.expand_dims(signs, pixels) * shape[..., None] + own / (length(own) + norms.TINY)
    spare = jnp.maximum(eps**2 - jnp.sum(change**2), 0) / channels
    new = new / (length(new) + norms.TINY) * jnp.sqrt(spare + length(both) ** 2)
    change = jnp.where(inside, new, jnp.where(other, 0, change))
    return to_border(change, clean, eps)


def to_border(change: Image, clean: Image, eps: Any) -> Image:
    """Returns the image at the distance eps along a change, then clipped to [0, 1]."""
    change = change / jnp.maximum(norms.length(change, "l2"), norms.TINY)
    return jnp.clip(clean + eps * change, 0, 1)


def random_place(key: PRNGKey, space: tuple[int, ...], side: Any) -> Int[Array, "n *space"]:
    """Returns for every pixel where it lies in a random square, along each axis.

    In the square that is from 0 to side - 1. All places inside the image are equally likely.
    """
    corner = jax.random.randint(key, (len(space),), 0, jnp.array(space) - side + 1)
    return jnp.indices(space) - jnp.expand_dims(corner, range(1, len(space) + 1))


def within(offsets: Int[Array, "n *space"], side: Any) -> Bool[Array, "*space"]:
    """Whether a pixel is in the square."""
    return ((offsets >= 0) & (offsets < side)).all(axis=0)


def pyramids(offsets: Int[Array, "n *space"], side: Any, axis: Any) -> Float[Array, "*space"]:
    r"""Returns two pyramids of opposite sign that fill the halves of a square, of norm 1 together.

    A half of the sides a = side // 2 and side along `axis` and across has its middle at the pixels
    a // 2 and side // 2, and falls by $1 / (m + 1)^2$ from the distance m to m + 1 from it, in the
    maximum norm; the other half has the rest of the side.

    Args:
      offsets: For each axis where a pixel lies in the square, see `random_place`.
      side: Of the square.
      axis: Along which the square is halved.
    """
    largest = max(offsets.shape[1:])
    falls = 1 / np.arange(1, largest + 3, dtype=np.float32) ** 2
    height = jnp.asarray(np.concatenate([[0], np.cumsum(falls)]), jnp.float32)
    half = side // 2
    halved = jnp.expand_dims(jnp.arange(len(offsets)) == axis, range(1, offsets.ndim))
    upper = jnp.sum(jnp.where(halved, offsets, 0), axis=0) < half
    middle = jnp.where(upper, half // 2, half + (side - half) // 2)
    distance = jnp.abs(offsets - jnp.where(halved, middle[None], half)).max(axis=0)
    values = height[half + 1] - height[jnp.clip(distance, 0, half + 1)]
    inside = within(offsets, side)
    one, two = jnp.where(inside & upper, values, 0), jnp.where(inside & ~upper, values, 0)
    norm = lambda values: jnp.maximum(norms.length(values, "l2"), norms.TINY)
    both = one / norm(one) - two / norm(two)
    return both / norm(both)


def tiles(key: PRNGKey, shape: tuple[int, ...]) -> Image:
    """Returns a grid of pyramids, each halved along an axis and with signs of its own."""
    *space, channels = shape
    side = max(min(space) // TILES, 1)
    counts = [size // side for size in space]
    offsets = jnp.indices((side,) * len(space))
    shapes = jnp.stack([pyramids(offsets, side, axis) for axis in range(len(space))])
    axis, sign = jax.random.split(key)
    grid = shapes[jax.random.randint(axis, counts, 0, len(space))]  # (*counts, *sides)
    signs = jax.random.rademacher(sign, (*counts, channels), jnp.float32)
    grid = grid[..., None] * jnp.expand_dims(signs, range(len(space), 2 * len(space)))
    pairs = zip(range(len(space)), range(len(space), 2 * len(space)), strict=True)
    order = [axis for pair in pairs for axis in pair]
    whole = grid.transpose(*order, 2 * len(space)).reshape(*[n * side for n in counts], channels)
    rest = [size - n * side for size, n in zip(space, counts, strict=True)]
    return jnp.pad(whole, [(left // 2, left - left // 2) for left in rest] + [(0, 0)])
