"""The three targets that dense attacks are usually given, made from the true label map."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from medadv_jax.attacks import checks
from medadv_jax.types import PRNGKey


def dag_target(
    key: PRNGKey,
    label: Any,
    kind: str,
    num_classes: int,
    *,
    iterations: int = 6,
) -> Int[Array, "*space"]:
    """Makes a target from the label map of one image; `jax.vmap` makes it batched.

    "a": everything is background. "b": the two structures with the largest areas are swapped; of
    equal areas the lower class counts as larger. "c": one structure, drawn evenly from those
    present, is grown by `iterations` dilations over whatever lies beside it, background or
    structure, so that every pixel has one class.

    Where fewer structures are present than it takes (two for "b", one for "a" and "c") the target
    is the label itself, and a dense attack has nothing to do. The label is not changed.

    The codes of Paschali et al. and of sky4689524 differ: their swap may draw one class twice, so
    that nothing is swapped, or classes at random; their background is a target without any class;
    and they write into the label, so that label and target are the same.

    Args:
      key: Draws the structure of "c"; the others do not use it.
      label: Integer `(h, w)` or `(d, h, w)`: 0 the background, 1 .. num_classes - 1 structures, -1
        a pixel that does not count, which stays so.
      kind: "a", "b" or "c".
      num_classes: Number of classes, the background among them.
      iterations: Dilations of "c"; each adds the pixels that share an edge (a face) with it.

    Returns:
      int32, of the shape of the label.

    Raises:
      ValueError: for a kind that is not known, or a label that is no map of such classes.

    >>> label = np.array([[0, 1, 1, 1], [0, 2, 2, 3]])
    >>> print(dag_target(jax.random.key(0), label, "b", 4))
    [[0 2 2 2]
     [0 1 1 3]]

    Source: Paschali et al., "Generalizability vs. robustness: adversarial examples for medical
    imaging", 2018.
    """
    checks.choice("kind", kind, ("a", "b", "c"))
    checks.count("num_classes", num_classes, 2)
    checks.count("iterations", iterations)
    label = _as_map(label, num_classes)
    areas = jnp.bincount(jnp.maximum(label, 0).ravel(), length=num_classes)[1:]
    if kind == "a":
        target = jnp.zeros_like(label)
    elif kind == "b":
        target = _swapped(label, areas)
    else:
        target = _grown(key, label, areas, iterations)
    return jnp.where(label < 0, label, target)


def _as_map(label: Any, num_classes: int) -> Int[Array, "*space"]:
    """Returns a label map as int32, or raises ValueError."""
    integer = jnp.issubdtype(getattr(label, "dtype", np.dtype(object)), jnp.integer)
    if not integer or np.ndim(label) not in (2, 3):
        raise ValueError(
            f"A label map is integer (h, w) or (d, h, w), got "
            f"{getattr(label, 'dtype', type(label).__name__)} {np.shape(label)}."
        )
    if not checks.is_traced(label):
        checks.classes("Labels", np.asarray(label)[None], np.ones(1, bool), num_classes)
    return jnp.asarray(label, jnp.int32)


def _swapped(label: Int[Array, "*space"], areas: Int[Array, " s"]) -> Int[Array, "*space"]:
    """Swaps the two structures of the largest areas, if there are two."""
    if areas.size < 2:
        return label
    size, place = jax.lax.top_k(areas, 2)
    one, two = place + 1
    swapped = jnp.where(label == one, two, jnp.where(label == two, one, label))
    return jnp.where(size[1] > 0, swapped, label)


def _grown(
    key: PRNGKey, label: Int[Array, "*space"], areas: Int[Array, " s"], iterations: int
) -> Int[Array, "*space"]:
    """Grows one of the structures that are present, if there is any."""
    draws = jnp.where(areas > 0, jax.random.uniform(key, areas.shape), -1)
    chosen = jnp.argmax(draws) + 1
    region = label == chosen
    for _ in range(iterations):
        region = dilated(region)
    return jnp.where(region, chosen, label)


def dilated(region: Bool[Array, "*space"]) -> Bool[Array, "*space"]:
    """Returns a region with all pixels that share an edge (a face) with it."""
    grown = region
    for axis in range(region.ndim):
        window = tuple(3 if each == axis else 1 for each in range(region.ndim))
        strides = (1,) * region.ndim
        grown |= jax.lax.reduce_window(region, False, jax.lax.bitwise_or, window, strides, "SAME")
    return grown
