"""What a score is: outcomes of single examples, pooled by subject where it must be, and weights.

A model's logits become one small array an example (its *outcome*); a score is computed from all
outcomes and one weight an example. Weights of 1 give the usual score, weights that count how often
a lesion was drawn give its bootstrap replicates, weight 0 leaves an example out.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num, Shaped

Outcomes: TypeAlias = Num[np.ndarray, "n *m"]
"""One array per example."""
Weights: TypeAlias = Float[np.ndarray, "*s n"]
"""One weight per example; leading axes are replicates."""
Parts: TypeAlias = Callable[[Any, Weights], np.ndarray]
"""Maps outcomes and weights to `(*s, parts)`, NaN where a part is undefined."""
Pool: TypeAlias = Callable[[Outcomes, Int[np.ndarray, " n"]], np.ndarray]
"""Maps the outcomes of one group and their record numbers to the group's one outcome."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A score: the mean of its parts (one a class, say), without those that are undefined.

    Attributes:
      name: Its name in rows and reports.
      outcome: Maps the logits and the label of one example to an array, in JAX. What is compiled
        and stored is known by this function, so it should be defined at module level.
      parts: Maps the outcomes `(n, *m)` of n examples and their weights `(*s, n)` to `(*s, parts)`,
        NaN where a part is undefined. Leading axes of the weights are replicates.
      pool: Makes one outcome of those of a group, the slices of a subject: `parts` then speaks of
        pooled outcomes, one a group, as `pooled` makes them. None where examples stand alone.
      each: Maps the outcomes `(n, *m)` to the value of every example in every part, `(n, parts)`,
        NaN where it is undefined; None where an example has no value of its own.
    """

    name: str
    outcome: Callable[[Any, Any], Any]
    parts: Parts
    pool: Pool | None = None
    each: Callable[[Any], np.ndarray] | None = None

    def score(self, outcomes: Outcomes, weights: Weights) -> float | Float[np.ndarray, "*s"]:
        """Returns the mean of the defined parts, NaN if there is none: a float or `(*s,)`."""
        parts = self.parts(outcomes, weights)
        defined = ~np.isnan(parts)
        score = ratio(np.sum(parts, axis=-1, where=defined), defined.sum(axis=-1))
        return score if score.ndim else float(score)

    def undefined(
        self, outcomes: Outcomes, weights: Float[np.ndarray, " n"]
    ) -> Int[np.ndarray, " parts"]:
        """Returns how many values each part leaves out because they are undefined.

        Where examples have values of their own (`each`), the undefined ones of the examples of
        positive weight; else 1 for a part that is undefined itself, and so left out of the score.
        """
        if self.each is None:
            return np.isnan(self.parts(outcomes, weights)).astype(int)
        return np.isnan(self.each(outcomes)[weights > 0]).sum(axis=0)


class Pooled(NamedTuple):
    """A metric whose examples are whole groups.

    Attributes:
      metric: The metric, its `pool` done.
      outcomes: `(g, *m)`, one outcome a group.
      groups: `(g,)`, the groups; all different.
    """

    metric: Metric
    outcomes: Outcomes
    groups: Shaped[np.ndarray, " g"]


def pooled(
    metric: Metric,
    outcomes: Outcomes,
    groups: Shaped[np.ndarray, " n"],
    records: Int[np.ndarray, " n"] | None = None,
) -> Pooled:
    """Makes one example of each group: of all slices of a subject, the subject.

    A metric without a `pool`, or one that is pooled already, comes back as it was, and so do its
    outcomes and groups.

    Args:
      metric: The score.
      outcomes: `(n, *m)`, what `metric.outcome` gave for each record.
      groups: `(n,)`, the group of each record.
      records: `(n,)`, the numbers of the records, in whose order a group is pooled; None for the
        order in which they come.

    Returns:
      The pooled metric, outcomes and groups, in the order of the groups.

    >>> from medadv_jax.metrics.dense import dice
    >>> two_slices = np.array([[[4], [5], [7]], [[2], [3], [1]]])  # shared, predicted, true
    >>> metric, whole, _ = pooled(dice(2), two_slices, np.array(["a", "a"]))
    >>> whole.tolist(), metric.score(whole, np.ones(1))
    ([[[6], [8], [8]]], 0.75)
    """
    if metric.pool is None:
        return Pooled(metric, outcomes, groups)
    records = np.arange(len(outcomes)) if records is None else records
    names, member = np.unique(groups, return_inverse=True)
    # Sorted by group, then by record: one pass, however many groups there are.
    order = np.lexsort((records, member))
    starts = np.flatnonzero(np.diff(member[order], prepend=-1))
    whole = [metric.pool(outcomes[of], records[of]) for of in np.split(order, starts[1:])]
    return Pooled(dataclasses.replace(metric, pool=None), np.stack(whole), names)


def over_records(each: Callable[[Any], np.ndarray]) -> Parts:
    """Makes parts of a value per record: their weighted means over the records that have one."""
    return _Means(each)


@dataclasses.dataclass(frozen=True)
class _Means:
    each: Callable[[Any], np.ndarray]

    def __call__(self, outcomes: Outcomes, weights: Weights) -> np.ndarray:
        values = self.each(outcomes)
        defined = ~np.isnan(values)
        return ratio(weights @ np.where(defined, values, 0), weights @ defined)


def ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """Quotient of arrays or of NumPy scalars, NaN where the denominator is zero."""
    zero = denominator == 0
    return np.where(zero, np.nan, numerator / np.where(zero, 1, denominator))
