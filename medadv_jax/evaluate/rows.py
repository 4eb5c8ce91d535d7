"""The rows of an evaluation: one number a model, perturbation and metric, with its interval."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medadv_jax.evaluate.grid import Evaluation, Perturbation, run
from medadv_jax.evaluate.subjects import members, read
from medadv_jax.metrics import Metric, bootstrap
from medadv_jax.types import Batch, Predict, PRNGKey

INFO = ("task", "data", "defense", "ssim_target", "seed")
"""Keys of a row that an evaluation cannot know."""


def matrix(
    key: PRNGKey,
    models: Mapping[str, Predict],
    perturbations: Mapping[str, Perturbation],
    batches: Iterable[Batch],
    *,
    metric: Metric | Sequence[Metric],
    black_box: bool = True,
    cache: str | os.PathLike[str] | None = None,
    groups: np.ndarray | None = None,
    info: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Crosses models with perturbations: every model is judged on every perturbation.

    Examples are made once for each source model and perturbation, and judged by all models: white
    box where the judge is the source, black box elsewhere. Noise sees no model and is made once.
    Record i is attacked under `fold_in(key, i)`, by every attack and on every source, so what is
    found of a record depends neither on the batch that it comes in nor on what else is evaluated
    (on convolution nets up to rounding, which may turn the sign of a vanishing gradient).

    Each cell is written to `cache` as it is done. A run that was killed continues from there and
    ends with the same numbers; a damaged file is named in a warning and its cell computed again. A
    cell is found again by what it depends on: data, key, attack and weights, not by names.

    Args:
      key: Random key of the perturbations.
      models: The models by name, callable pytrees from images to logits: what `models.bind` makes,
        or `jax.tree_util.Partial(apply, weights)` of a function of your own.
      perturbations: Attacks and noise by label; several attacks under one label are a sweep, say
        over `eps`, and compile once. A mapping from names of models to attacks gives each its own,
        say a universal perturbation that was fitted to it. Unperturbed images are always evaluated
        besides.
      batches: The records, to be iterated over many times in the same order: `data.batches` of a
        data set, or `data.from_arrays`.
      metric: The score, such as `metrics.accuracy(num_classes)`, or several.
      black_box: Whether models also judge the examples that were made on others.
      cache: Folder of the cells; None keeps nothing.
      groups: The group of record i at place i (its lesion or subject), over which intervals are
        bootstrapped, and whose records a metric with a `pool` (Dice, say) takes as one; None if
        records are independent.
      info: Values of the keys `task`, `data`, `defense`, `ssim_target`, `seed` of the rows; a
        mapping gives one value per model, by its name.
      progress: Whether to show a progress bar.

    Returns:
      Rows in the order clean, then perturbation by source by judge by metric; see `rows`.

    Raises:
      ValueError: Something is missing, named twice, or not finite; the message says what.

    >>> import jax
    >>> from medadv_jax import attacks, data, evaluate, metrics
    >>> def brightness(weight, images):
    ...     above = weight * (images.mean((1, 2, 3)) - 0.25)
    ...     return above[:, None] * np.array([[-1, 1]])
    >>> model = jax.tree_util.Partial(brightness, np.float32(9))
    >>> images = np.full((3, 8, 8, 1), 1) * np.array([0.1, 0.3, 0.9]).reshape(3, 1, 1, 1)
    >>> batches = data.from_arrays(images, np.array([0, 1, 1]))
    >>> made, accuracy = {"fgsm": attacks.FGSM(eps=0.1)}, metrics.accuracy(2)
    >>> rows = evaluate.matrix(jax.random.key(0), {"m": model}, made, batches, metric=accuracy)
    >>> [(row["perturbation"], round(row["score"], 2)) for row in rows]
    [('clean', 1.0), ('fgsm', 0.67)]
    """
    found = run(
        key,
        models,
        perturbations,
        batches,
        metric=metric,
        black_box=black_box,
        cache=cache,
        progress=progress,
    )
    return rows(found, groups=groups, info=info)


def rows(
    evaluation: Evaluation,
    *,
    groups: np.ndarray | None = None,
    info: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Makes the rows of an evaluation, one a crossing, judging model and metric.

    What a row says (None: not known, not defined or without meaning):

    - `data_size`: how many records were judged.
    - `model`, `source`, `access`: who judged; on whom the examples were made (None for noise and
      clean images); "clean", "noise", "white" or "black".
    - `eps`: value of the knob that makes the attack stronger, whatever that is called; of a
      universal perturbation the radius of its ball.
    - `score`, `score_low`, `score_high`: over all records, with its 95 % bootstrap interval. With a
      metric that pools, over all groups: per subject first, then the mean.
    - `drop`: `clean_score - score`; of a distance, whose small values are good, it is negative.
    - `success`: of the records that the *judging* model has right when clean, the share that it has
      wrong when perturbed. So misclassified records count neither for nor against an attack.
      A mask is wrong only if no valid pixel keeps its label, which a few pixels of background can
      prevent. An attack with a rule of its own (DAG: hardly any of the foreground keeps its label),
      alone or in a `Region`, is judged by it, before and after, whoever judges; an attack made of
      several by the rules of its parts on the model that it was made on, and elsewhere by the
      common rule, or by the targets that it makes. How much of a mask is lost the scores tell.
    - `misclassified`: the share of all records that the judging model has wrong when clean, by the
      same rule as `success`.
    - `ssim`, `l2`, `linf`: means over the records that were attacked: those that the *source* has
      right when clean, whether or not the attack then succeeded. An attack may leave the others
      alone, which would make it look less visible. So do records with nothing to attack (DAG: a
      slice without structures, or whose target is its label), which count for `success` neither.
      Noise: over all records. `ssim` is None for images smaller than its window.
    - `flat`: of the records that were attacked, the share on which a gradient was zero or not
      finite.
    - `gradients`, `forwards`: totals over all records, of making the examples.
    - `seconds`, `compile_seconds`: making the examples without compiling, and compiling. They
      belong to the source and the perturbation: rows of several judges repeat them.

    Args:
      evaluation: What `run` found.
      groups: The group of record i at place i; None if records are independent. A metric that
        pools then takes every record as a group.
      info: Values of the keys that an evaluation cannot know; see `matrix`.

    Raises:
      ValueError: `info` has another key, or `groups` is too short.
    """
    info = info or {}
    if unknown := sorted(set(info) - set(INFO)):
        raise ValueError(f"info gives the keys {INFO} of a row, got {unknown}.")
    own = members(evaluation, groups)
    return [
        _row(evaluation, place, judge, metric, own, info)
        for place, (crossing, _) in enumerate(evaluation.cells)
        for judge in crossing.judges
        for metric in evaluation.metrics
    ]


def _row(
    evaluation: Evaluation,
    place: int,
    judge: str,
    metric: Metric,
    own: np.ndarray,
    info: Mapping[str, Any],
) -> dict[str, Any]:
    crossing = evaluation.cells[place][0]
    told: dict[str, Any] = dict.fromkeys(INFO)
    for name, value in info.items():
        told[name] = value.get(judge) if isinstance(value, Mapping) else value
    whole, outcomes, groups = read(evaluation, place, judge, metric, own)
    weights = np.ones(len(outcomes))
    score = whole.score(outcomes, weights)
    low, high = bootstrap(whole, outcomes, groups, seed=0)
    clean_score = whole.score(read(evaluation, 0, judge, metric, own).outcomes, weights)
    row = dict(
        task=told["task"],
        data=told["data"],
        data_size=len(own),
        model=judge,
        defense=told["defense"],
        source=crossing.source,
        access=crossing.access(judge),
        perturbation=crossing.perturbation,
        eps=crossing.eps,
        ssim_target=told["ssim_target"],
        metric=metric.name,
        score=score,
        score_low=low,
        score_high=high,
        clean_score=clean_score,
        drop=clean_score - score,
        **_effect(evaluation, place, judge),
        seed=told["seed"],
    )
    return {name: _plain(value) for name, value in row.items()}


def _effect(evaluation: Evaluation, place: int, judge: str) -> dict[str, Any]:
    """The part of a row that no metric has a say in."""
    crossing, cell = evaluation.cells[place]
    wrong = evaluation.misclassified(judge, place)
    fooled = cell.fooled[crossing.judges.index(judge)]
    attacked = met = np.full(len(wrong), True)
    if crossing.source is not None:
        already = evaluation.misclassified(crossing.source, place)
        met = (cell.steps > 0) | (cell.l2 > 0) | already
        attacked = met & ~already
    return dict(
        ssim=_mean(cell.ssim, attacked),
        l2=_mean(cell.l2, attacked),
        linf=_mean(cell.linf, attacked),
        success=None if crossing.attack is None else _mean(fooled, met & ~wrong),
        misclassified=wrong.mean(),
        flat=None if crossing.attack is None else _mean(cell.flat, attacked),
        gradients=cell.gradients.sum(),
        forwards=cell.forwards.sum(),
        seconds=cell.seconds,
        compile_seconds=cell.compile_seconds,
    )


def _mean(values: np.ndarray, among: np.ndarray) -> float:
    return values[among].mean(dtype=np.float64) if among.any() else np.nan


def _plain(value: Any) -> Any:
    """Returns what JSON can hold: Python numbers, and None for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value
