"""Computes a cell, batch by batch: make the examples once, let every model judge them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from medadv_jax import attacks, metrics
from medadv_jax.attacks import judge
from medadv_jax.attacks.rows import strong
from medadv_jax.evaluate.cells import GALLERY, Cell
from medadv_jax.evaluate.clock import Clock
from medadv_jax.metrics.images import WINDOW
from medadv_jax.types import Attack, Batch, Predict, PRNGKey, PRNGKeys, Result

Outcome = Callable[[Any, Any], Any]
"""The `outcome` of a metric: logits and label of one example to an array."""


def make(
    key: PRNGKey,
    attack: Attack | None,
    source: Predict,
    judges: Mapping[str, Predict],
    batches: Iterable[Batch],
    outcomes: Sequence[Outcome],
    *,
    gallery: Sequence[int] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Cell:
    """Perturbs all records and collects what every model makes of them.

    Args:
      key: Random key; record i is attacked under `fold_in(key, i)`.
      attack: What perturbs; None leaves the images as they are.
      source: The model that the attack sees.
      judges: The models that judge the images, by name.
      batches: The records.
      outcomes: The outcome functions of the metrics.
      gallery: The records whose images are kept; None for the first `GALLERY` of them.
      advance: Called after every batch.

    Returns:
      The cell, its arrays in the order of the records.

    Raises:
      ValueError: There is no record, a record comes twice, or logits are not finite.
    """
    clock, room = Clock(), GALLERY
    alone, judged = [], []
    for batch in batches:
        result = _perturb(clock, key, attack, source, batch)
        logits_read = _judge(key, attack, source, judges, result, batch, outcomes)
        valid = np.flatnonzero(batch.mask)
        if gallery is None:
            shown = valid[:room]
            room -= len(shown)
        else:
            shown = valid[np.isin(np.asarray(batch.index)[valid], gallery)]
        alone.append(_of_batch(batch, result, valid, shown))
        judged.append(_of_models(logits_read, valid, shown))
        advance()
    _check_records(alone)
    join = lambda axis, parts: jax.tree.map(lambda *a: np.concatenate(a, axis=axis), *parts)
    return Cell(
        **join(0, alone),
        **join(1, judged),
        seconds=clock.seconds,
        compile_seconds=clock.compile_seconds,
    )


def _perturb(
    clock: Clock, key: PRNGKey, attack: Attack | None, source: Predict, batch: Batch
) -> Result:
    """Runs the attack on one batch, against the clock."""
    images, labels = jnp.asarray(batch.images), jnp.asarray(batch.labels)
    mask, index = jnp.asarray(batch.mask), jnp.asarray(batch.index)
    if attack is None:
        none, false = jnp.zeros(len(images), jnp.int32), jnp.zeros(len(images), bool)
        return Result(images, false, none, none, none, false, false)
    with clock.running():
        result = attacks.run(attack, record_keys(key, index), source, images, labels, mask=mask)
        return jax.block_until_ready(result)


def _judge(
    key: PRNGKey,
    attack: Attack | None,
    source: Predict,
    judges: Mapping[str, Predict],
    result: Result,
    batch: Batch,
    outcomes: Sequence[Outcome],
) -> dict[str, Any]:
    """Returns what each model makes of a batch, models first: `(j, b, ...)`."""
    # Only an attack with a rule of its own for success takes part in judging.
    own = strong(attack) if hasattr(attack, "fooled") else None
    judged = getattr(attack, "judged", False)
    aimed = getattr(strong(attack), "judge", None) if judged else None
    labels, keys = jnp.asarray(batch.labels), record_keys(key, jnp.asarray(batch.index))
    found: list[dict[str, Any]] = []
    for name, predict in judges.items():
        # The program by which the engine judges: it is compiled once for a model.
        logits = judge.evaluate(predict, result.images)
        read = jax.device_get(_read(own, logits, labels, tuple(outcomes)))
        lost = np.flatnonzero(np.asarray(batch.mask) & ~read.pop("finite"))
        if lost.size:
            raise ValueError(
                f"{name} gives logits that are not finite for record {batch.index[lost[0]]}"
                + ("." if attack is None else f" under {type(attack).__name__}.")
            )
        if judged and predict is source:
            # The parts of the attack have judged already, each by its own rule.
            read["wrong"] = np.asarray(result.misclassified)
            read["fooled"] = np.asarray(result.success) | read["wrong"]
        elif judged or own is not None:
            clean = judge.evaluate(predict, jnp.asarray(batch.images))
            read["wrong"] = np.asarray(judge.compiled_verdict(own, clean, labels, None))
            if aimed is not None:
                read["fooled"] = np.asarray(aimed(keys, logits, labels)) | read["wrong"]
        found.append(read)
    return jax.tree.map(lambda *values: np.stack(values), *found)


def _of_batch(
    batch: Batch, result: Result, valid: np.ndarray, shown: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns what no model has a say in, of the valid rows; images and labels of the shown."""
    values = dict(
        records=batch.index,
        steps=result.steps,
        gradients=result.gradients,
        forwards=result.forwards,
        flat=result.flat,
        **_distances(jnp.asarray(batch.images), result.images),
    )
    return dict(
        {name: np.asarray(value)[valid] for name, value in values.items()},
        images=np.asarray(result.images[shown]),
        labels=np.asarray(batch.labels)[shown],
    )


def _of_models(read: dict[str, Any], valid: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
    """Returns what the models say of the valid rows; what they say pixel by pixel of the shown."""
    rows = {name: shown if name in ("probabilities", "predictions") else valid for name in read}
    return {
        name: jax.tree.map(lambda all_rows, name=name: all_rows[:, rows[name]], values)
        for name, values in read.items()
    }


def _check_records(parts: Sequence[Mapping[str, np.ndarray]]) -> None:
    every = np.concatenate([part["records"] for part in parts]) if parts else np.empty(0)
    if not every.size:
        raise ValueError("There is nothing to evaluate: the batches hold no record.")
    records, counts = np.unique(every, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"A record is evaluated once, but record {records[counts > 1][0]} comes more than "
            "once: give the batches of one epoch, in stored order."
        )


@jax.jit
def record_keys(key: PRNGKey, index: Int[Array, " b"]) -> PRNGKeys:
    """Returns the key of each record, `fold_in(key, number)`; padding gets that of some record."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.maximum(index, 0))


@partial(jax.jit, static_argnums=3)
def _read(
    attack: Any, logits: Float[Array, "b *dense k"], labels: Any, outcomes: tuple[Outcome, ...]
) -> dict[str, Any]:
    """What is kept of the logits of a batch; of dense ones classes, a byte a pixel."""
    read = dict(
        outcomes={outcome.__name__: jax.vmap(outcome)(logits, labels) for outcome in outcomes},
        fooled=judge.verdict(attack, logits, labels, None),
        finite=jnp.isfinite(logits).reshape(len(logits), -1).all(axis=1),
    )
    if logits.ndim == 2:
        return dict(read, probabilities=jax.nn.softmax(logits))
    if logits.shape[-1] > 256:
        raise ValueError(f"Predicted maps are kept as uint8, got {logits.shape[-1]} classes.")
    return dict(read, predictions=jnp.argmax(logits, axis=-1).astype(jnp.uint8))


@jax.jit
def _distances(
    clean: Float[Array, "b *space c"], perturbed: Float[Array, "b *space c"]
) -> dict[str, Float[Array, " b"]]:
    """Distances of a batch; SSIM is NaN where an image is smaller than its window."""
    large = min(clean.shape[1:-1]) >= WINDOW
    similarity = jax.vmap(metrics.ssim) if large else lambda *_: jnp.full(len(clean), jnp.nan)
    return dict(
        l2=jax.vmap(metrics.l2)(clean, perturbed),
        linf=jax.vmap(metrics.linf)(clean, perturbed),
        ssim=similarity(clean, perturbed),
    )
