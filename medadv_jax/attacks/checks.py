"""The edge of the engine: bad input raises ValueError that names the value and the rule."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

RANGE_TOLERANCE = 1e-5
"""How far a pixel may lie outside [0, 1], the rounding error of a resized image."""


def is_traced(*values: Any) -> bool:
    """Whether a function is being traced: a value is a placeholder, or what jnp makes is one."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((values, jnp.zeros(()))))


def number(
    name: str,
    value: Any,
    low: float | int,
    high: float | int = math.inf,
    *,
    above: bool = False,
) -> None:
    """Raises ValueError unless all values of a hyperparameter lie in [low, high].

    Args:
      name: Of the hyperparameter, for the message.
      value: A number or an array of them; None passes, it stands for a default; so does
        a placeholder, whose value is not known while a function is being traced.
      low: The least value.
      high: The greatest value.
      above: Whether `low` itself is refused too.
    """
    if value is None or isinstance(value, Tracer):
        return
    values = np.asarray(value, np.float64)
    fine = np.isfinite(values) & (values > low if above else values >= low) & (values <= high)
    if not fine.all():
        bounds = f"{'above' if above else 'at least'} {low:g}"
        bounds += f" and at most {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be {bounds}, got {values[~fine].ravel()[0]:g}.")


def at_most(name: str, value: Any, bound_name: str, bound: Any) -> None:
    """Raises ValueError where a hyperparameter is above another; None and placeholders pass."""
    if value is None or isinstance(value, Tracer) or isinstance(bound, Tracer):
        return
    values, bounds = np.broadcast_arrays(np.asarray(value), np.asarray(bound))
    if (bad := values > bounds).any():
        raise ValueError(
            f"{name} must be at most {bound_name} {bounds[bad][0]:g}, got {values[bad][0]:g}."
        )


def radius(name: str, value: Any, norm: str) -> None:
    """Raises ValueError unless a radius fits its norm; an Linf radius is in pixels of [0, 1]."""
    choice("norm", norm, ("linf", "l2", "l1"))
    try:
        number(name, value, 0, 1 if norm == "linf" else math.inf)
    except ValueError as error:
        raise ValueError(f"{error} It is in the unit of the pixels, which lie in [0, 1].") from None


def count(name: str, value: Any, low: int = 1) -> None:
    """Raises ValueError unless a value is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}.")


def choice(name: str, value: Any, options: tuple[Any, ...]) -> None:
    """Raises ValueError unless a value is one of the options."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.")


def untargeted(attack: Any, target: Any) -> None:
    """Raises ValueError where an attack that knows no targets is given some."""
    if target is not None:
        raise ValueError(f"{type(attack).__name__} is untargeted: it takes no targets.")


def targeted(attack: Any, target: Any) -> Any:
    """Returns the target, or raises ValueError where an attack that needs one is given none."""
    if target is None:
        raise ValueError(f"{type(attack).__name__} is targeted: it needs targets.")
    return target


def single_label(attack: Any, label: Any) -> None:
    """Raises ValueError where an attack on classifiers is given a mask or a sentence."""
    if label.ndim:
        raise ValueError(
            f"{type(attack).__name__} attacks classifiers, one label an image, got {label.shape}."
        )


def dense_label(attack: Any, label: Any) -> None:
    """Raises ValueError where an attack on segmenters is given one label for a whole image."""
    if not label.ndim:
        raise ValueError(
            f"{type(attack).__name__} attacks segmenters, one label a pixel, got one an image."
        )


def as_images(images: Any) -> Any:
    """Returns a batch of images as float32, or raises ValueError."""
    if not hasattr(images, "dtype") or images.dtype not in (np.float32, np.float64):
        kind = getattr(images, "dtype", type(images).__name__)
        raise ValueError(
            f"Images are float32 with pixels in [0, 1], got {kind}; divide uint8 images by 255."
        )
    if images.ndim < 3 or 0 in images.shape:
        raise ValueError(
            f"Images are a batch (b, h, w, c), channels last, no axis empty, got {images.shape}."
        )
    return jnp.asarray(images, jnp.float32)


def as_labels(name: str, labels: Any, count: int) -> Any:
    """Returns a batch of labels as int32, or raises ValueError."""
    if not hasattr(labels, "dtype") or not jnp.issubdtype(labels.dtype, jnp.integer):
        kind = getattr(labels, "dtype", type(labels).__name__)
        raise ValueError(f"{name} are integer classes (not one-hot), got {kind}.")
    if labels.ndim == 0 or len(labels) != count:
        raise ValueError(
            f"{name} lead with the batch axis of the {count} images, got {labels.shape}."
        )
    return jnp.asarray(labels, jnp.int32)


def as_mask(mask: Any, count: int) -> Any:
    """Returns a mask `(b,)`, all True if None is given, or raises ValueError."""
    if mask is None:
        return jnp.ones(count, bool)
    if getattr(mask, "dtype", None) != np.dtype(bool) or mask.shape != (count,):
        raise ValueError(
            f"A mask is boolean ({count},), True where an example counts, got "
            f"{getattr(mask, 'dtype', type(mask).__name__)} {getattr(mask, 'shape', '')}."
        )
    return jnp.asarray(mask)


def as_keys(key: Any, count: int) -> Any:
    """Returns one typed key per example: those given, or `fold_in(key, i)` of the one given."""
    if not hasattr(key, "dtype") or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ValueError("key must be typed, as jax.random.key(seed) makes it, got raw data.")
    if key.ndim == 0:
        return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(count))
    if key.shape != (count,):
        raise ValueError(f"Keys are one, or one for each of {count} examples, got {key.shape}.")
    return key


def pixels(images: Any, mask: Any) -> None:
    """Raises ValueError where an image that counts has a pixel that is outside [0, 1] or NaN."""
    if not np.asarray(mask).any():
        return
    each = tuple(range(1, images.ndim))
    low, high = np.asarray(images.min(each))[mask].min(), np.asarray(images.max(each))[mask].max()
    # XLA's minimum on CPU may leave a NaN out
    finite = np.asarray(jnp.isfinite(images).all(each))[mask]
    if not finite.all():
        raise ValueError(
            f"Pixels are finite, image {np.flatnonzero(mask)[~finite][0]} has NaN or infinity."
        )
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise ValueError(
            f"Pixels lie in [0, 1], got [{low:g}, {high:g}]; normalisation belongs into predict, "
            "and images of 0 to 255 are divided by 255."
        )


def logits_shape(shape: tuple[int, ...], labels: Any, targets: Any) -> None:
    """Raises ValueError unless logits, labels and targets fit each other."""
    if shape[:-1] != labels.shape or len(shape) < 2:
        raise ValueError(
            f"predict maps b images to logits (b, *dense, k) for labels (b, *dense), got logits "
            f"{shape} and labels {labels.shape}."
        )
    if targets is not None and targets.shape != labels.shape:
        raise ValueError(f"Targets have the labels' shape {labels.shape}, got {targets.shape}.")
    if shape[-1] < 2:
        raise ValueError(f"An attack needs at least 2 classes, got logits {shape}.")


def logits(logits: Any, labels: Any, targets: Any, mask: Any) -> None:
    """Raises ValueError unless the logits of clean images fit the labels and targets."""
    logits_shape(logits.shape, labels, targets)
    finite(logits, mask)
    classes("Labels", labels, mask, logits.shape[-1])
    if targets is not None:
        classes("Targets", targets, mask, logits.shape[-1])
        distinct(labels, targets, mask)


def finite(logits: Any, mask: Any) -> None:
    """Raises ValueError where the logits of a clean image that counts are not finite."""
    good = np.asarray(jnp.isfinite(logits).all(axis=tuple(range(1, logits.ndim))))
    bad = np.flatnonzero(~good & np.asarray(mask))
    if bad.size:
        raise ValueError(
            f"The model's logits are not finite on {bad.size} clean images, the first is number "
            f"{bad[0]}: nothing can be said about its robustness."
        )


def classes(name: str, labels: Any, mask: Any, num_classes: int) -> None:
    """Raises ValueError where a label that counts is no class; a dense one may be -1, not valid."""
    real = np.asarray(labels)[np.asarray(mask)]
    least = 0 if labels.ndim == 1 else -1
    bad = real[(real < least) | (real >= num_classes)]
    if bad.size:
        raise ValueError(f"{name} lie in 0 .. {num_classes - 1}, got {bad[0]}.")


def distinct(labels: Any, targets: Any, mask: Any) -> None:
    """Raises ValueError where a target is the label itself, so that there is nothing to attack.

    Label maps may be equal: a slice without structures has none to be turned into background.
    """
    if labels.ndim > 2:
        return
    same = np.asarray((labels == targets).reshape(len(labels), -1).all(axis=1)) & np.asarray(mask)
    if same.any():
        number = int(np.flatnonzero(same)[0])
        raise ValueError(f"A target must differ from the label, example {number} has them equal.")
