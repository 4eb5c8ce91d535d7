"""Passes over images that change one perturbation so that it fools what still stands."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.attacks import checks, judge, norms
from medadv_jax.attacks.pixels import right
from medadv_jax.attacks.run import run
from medadv_jax.attacks.universal_model import CENTER, Shared, as_label, shifted
from medadv_jax.types import Batch

Norm = Literal["linf", "l2"]


class Task(NamedTuple):
    """What to fit: arguments of `fit_universal`."""

    attack: Any
    predict: Any
    batches: Iterable[Batch]
    eps: float
    norm: Norm
    target: int | None
    together: bool


class State(NamedTuple):
    """Where the fitting is: the perturbation `(*space, c)`, and what was spent."""

    delta: Any
    gradients: int = 0
    forwards: int = 0
    flat: int = 0


def begin(task: Task) -> tuple[State, list[np.ndarray]]:
    """Returns no perturbation, and which outputs count in each batch: those that are right."""
    bases, spent, shape = [], 0, None
    for batch in task.batches:
        images = checks.as_images(batch.images)
        labels = checks.as_labels("Labels", batch.labels, len(images))
        mask = checks.as_mask(batch.mask, len(images))
        checks.pixels(images, mask)
        logits = judge.evaluate(task.predict, images)
        checks.logits(logits, labels, None, mask)
        if task.target is not None and task.target >= logits.shape[-1]:
            raise ValueError(f"target is below {logits.shape[-1]} classes, got {task.target}.")
        base = np.asarray(right(logits, labels)) & _over(mask, labels)
        bases.append(base & (np.asarray(labels) != task.target))
        spent += int(mask.sum())
        shape = images.shape[1:]
    if shape is None or not any(base.any() for base in bases):
        raise ValueError("There is no image to be fooled: the model is right on none of them.")
    return State(jnp.zeros(shape), forwards=spent), bases


def whole_pass(
    task: Task, key: Any, state: State, bases: list[np.ndarray], advance: Callable[[], Any]
) -> State:
    """Changes the perturbation by all images once."""
    for number, (batch, base) in enumerate(zip(task.batches, bases, strict=True)):
        order, own = jax.random.split(jax.random.fold_in(key, number))
        rows = np.flatnonzero(base.reshape(len(base), -1).any(axis=1))
        if task.together:
            groups = [np.arange(len(base))] if rows.size else []
        else:
            groups = np.asarray(jax.random.permutation(order, rows))[:, None]
        for group in groups:
            part = jax.tree.map(lambda leaf, group=group: np.asarray(leaf)[group], batch)
            key_of_group = jax.random.fold_in(own, int(group[0]))
            state = _visit(task, key_of_group, state, part, base[group])
        advance()
    return state


def _visit(task: Task, key: Any, state: State, batch: Batch, base: np.ndarray) -> State:
    """Changes the perturbation so that it fools some images, one only if it still stands."""
    images, labels = jnp.asarray(batch.images, jnp.float32), jnp.asarray(batch.labels, jnp.int32)
    count, counts = int(np.sum(batch.mask)), jnp.asarray(base)
    shared = Shared(task.predict, images)
    if not task.together:
        counts = _standing(shared, state.delta, labels, counts, task.target)
        state = state._replace(forwards=state.forwards + count)
        if not counts.any():
            return state
    only = lambda classes: as_label(jnp.where(counts, classes, -1))
    targets = None if task.target is None else only(task.target)
    result = run(task.attack, key, shared, shifted(state.delta)[None], only(labels), targets)
    forwards = 2 + int(result.forwards[0])  # the two looks of the engine
    state = state._replace(
        gradients=state.gradients + count * int(result.gradients[0]),
        forwards=state.forwards + count * forwards,
        flat=state.flat + int(result.flat[0]),
    )
    if not task.together and not result.success[0]:
        return state
    return state._replace(delta=_project(result.images[0], task.eps, task.norm))


def fooling_rate(task: Task, state: State, bases: list[np.ndarray]) -> tuple[State, float]:
    """Returns the part of the outputs that count which is fooled."""
    kept = spent = 0
    for batch, base in zip(task.batches, bases, strict=True):
        shared = Shared(task.predict, jnp.asarray(batch.images, jnp.float32))
        labels = jnp.asarray(batch.labels, jnp.int32)
        kept += int(_standing(shared, state.delta, labels, jnp.asarray(base), task.target).sum())
        spent += int(np.sum(batch.mask))
    total = sum(int(base.sum()) for base in bases)
    return state._replace(forwards=state.forwards + spent), (total - kept) / total


@jax.jit
def _standing(shared: Shared, delta: Any, labels: Any, base: Any, target: Any) -> Any:
    """Returns what counts and is not yet what the perturbation is to make of it, as labels are."""
    logits = shared(shifted(delta)[None]).reshape(*labels.shape, -1)
    aims = None if target is None else jnp.full_like(labels, target)
    stands = right(logits, labels) if aims is None else ~right(logits, aims)
    return base & (stands | ~jnp.isfinite(logits).all(axis=-1))


@partial(jax.jit, static_argnames="norm")
def _project(image: Any, eps: Any, norm: Norm) -> Any:
    """Returns the perturbation that an image stands for, projected onto its ball."""
    delta = image - CENTER
    if norm == "linf":
        return jnp.clip(delta, -eps, eps)
    return delta * jnp.minimum(1, eps / jnp.maximum(norms.length(delta, "l2"), norms.TINY))


def _over(mask: Any, labels: Any) -> np.ndarray:
    """Returns a mask `(b,)` in as many axes as labels have."""
    return np.asarray(mask).reshape(-1, *(1,) * (labels.ndim - 1))
