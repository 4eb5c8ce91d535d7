"""What a metric reads of an evaluation: outcomes of one judge, pooled by subject if it pools."""

import dataclasses

import numpy as np

from medadv_jax.evaluate.grid import Evaluation
from medadv_jax.metrics import Metric, Pooled, pooled


def members(evaluation: Evaluation, groups: np.ndarray | None) -> np.ndarray:
    """Returns the group of every evaluated record, the record itself if there are no groups.

    Args:
      evaluation: What `run` found.
      groups: The group of record i at place i; None if records are independent.

    Raises:
      ValueError: `groups` is too short.
    """
    records = evaluation.cells[0][1].records
    if groups is None:
        return records
    if len(groups) <= records.max():
        raise ValueError(
            f"groups has an entry for every record, got {len(groups)} for record {records.max()}."
        )
    return np.asarray(groups)[records]


def read(evaluation: Evaluation, place: int, judge: str, metric: Metric, own: np.ndarray) -> Pooled:
    """Returns what a metric needs to know of one judge in one cell.

    Surfaces take a second a subject to measure, so each is measured once: for the metrics that
    pool alike, for `rows` and for `parts`.

    Args:
      evaluation: What `run` found.
      place: Which of its cells.
      judge: Name of the judging model.
      metric: The score.
      own: `(n,)`, the group of each record of the cell, from `members`.
    """
    crossing, cell = evaluation.cells[place]
    outcomes = cell.outcomes[metric.outcome.__name__][crossing.judges.index(judge)]
    if metric.pool is None:
        return Pooled(metric, outcomes, own)
    name = place, judge, metric.outcome, metric.pool, tuple(own.tolist())
    if name not in evaluation.memory:
        evaluation.memory[name] = pooled(metric, outcomes, own, cell.records)
    return evaluation.memory[name]._replace(metric=dataclasses.replace(metric, pool=None))
