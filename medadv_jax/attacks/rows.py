"""Which leaves of an attack are hyperparameters, and which of those have one value per example."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.types import Scalar


def is_attack(value: Any) -> bool:
    """Whether a value is an attack, stepwise or composite."""
    return dataclasses.is_dataclass(value) and (hasattr(value, "step") or hasattr(value, "run"))


def is_hyperparameter(value: Any) -> bool:
    """Whether a leaf is a number or an array `(b,)` of numbers, not weights, an image or a key."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return True
    dtype = getattr(value, "dtype", None)
    return dtype is not None and value.ndim <= 1 and jnp.issubdtype(dtype, jnp.number)


def over_fields(
    attack: Any,
    hyperparameter: Callable[[Any], Any],
    rows: Callable[[Any], Any] = lambda value: value,
    other: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Maps the hyperparameters of an attack, and of the attacks inside it, by one function.

    Fields with a row for each example (see `types.per_example`) go through `rows`, and all other
    leaves (the weights of a surrogate, a fitted perturbation) through `other`.
    """

    def change(value: Any) -> Any:
        if is_attack(value):
            return over_fields(value, hyperparameter, rows, other)
        if isinstance(value, (tuple, list)):
            return type(value)(change(part) for part in value)
        return hyperparameter(value) if is_hyperparameter(value) else other(value)

    new = {}
    for field in dataclasses.fields(attack):
        value = getattr(attack, field.name)
        if field.metadata.get("per_example"):
            new[field.name] = jax.tree.map(rows, value)
        elif not field.metadata.get("static"):
            new[field.name] = change(value)
    return dataclasses.replace(attack, **new)


def strong(attack: Any) -> Any:
    """Makes every hyperparameter a float32 array: 0, 0.1 and float32(0.1) share one program."""
    return over_fields(attack, lambda value: jnp.asarray(value, jnp.float32))


def axes(attack: Any) -> Any:
    """Returns the `vmap` axes of a strong attack: 0 where there is one value per example."""
    return over_fields(
        attack,
        lambda value: 0 if value.ndim == 1 else None,
        lambda value: 0,
        lambda value: jax.tree.map(lambda _: None, value),
    )


def take(attack: Any, rows: np.ndarray) -> Any:
    """Picks rows of every hyperparameter that has one value per example."""
    return over_fields(
        attack,
        lambda value: value[rows] if np.ndim(value) == 1 else value,
        lambda value: value[rows],
    )


def check_lengths(attack: Any, count: int) -> None:
    """Raises ValueError where a hyperparameter has neither one value nor one per example."""
    for field in dataclasses.fields(attack):
        value = getattr(attack, field.name)
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if is_attack(part):
                check_lengths(part, count)
            number = is_hyperparameter(part) or field.type in (Scalar, Scalar | None)
            if number and np.shape(part) not in ((), (count,)):
                raise ValueError(
                    f"{field.name} of {type(attack).__name__} is one value, shape (), or one for "
                    f"each of the {count} examples, shape ({count},): got {np.shape(part)}."
                )
            own = field.metadata.get("per_example") and hasattr(attack, "step") and not number
            if own and part is not None and np.shape(part)[:1] != (count,):
                raise ValueError(
                    f"{field.name} of {type(attack).__name__} has a row for each of the {count} "
                    f"examples, got {np.shape(part)}."
                )


def fold_in(keys: Any, number: int) -> Any:
    """Folds a number into the key of each row: what part, or copy, of that number gets."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
