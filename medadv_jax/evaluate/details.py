"""What rows leave out: scores class by class, and pictures."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.evaluate.grid import Evaluation
from medadv_jax.evaluate.rows import outcomes_of


class Picture(NamedTuple):
    """One image before and after a perturbation, and what a model says of both.

    Attributes:
      clean: `(h, w, c)`, float32 in [0, 1].
      perturbed: Of the same shape.
      label: The true class.
      clean_probabilities: `(k,)`, of the clean image.
      perturbed_probabilities: `(k,)`, of the perturbed image.
      model: Name of the judging model.
      perturbation: Label of the perturbation.
      eps: Its size, None if it has none.
      success: Whether the model is right before and wrong after.
    """

    clean: np.ndarray
    perturbed: np.ndarray
    label: Any
    clean_probabilities: np.ndarray
    perturbed_probabilities: np.ndarray
    model: str
    perturbation: str
    eps: float | None
    success: bool


def parts(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Returns the parts of every score: the recall of each class, say.

    Returns:
      One dictionary a row of `rows`, in the same order: `model`, `source`, `access`,
      `perturbation`, `eps`, `metric` and `parts`, a list with None where a part is undefined.
    """
    found = []
    for crossing, cell in evaluation.cells:
        for judge in crossing.judges:
            for metric in evaluation.metrics:
                outcomes = outcomes_of(crossing, cell, judge, metric)
                values = metric.parts(outcomes, np.ones(len(outcomes)))
                found.append(
                    dict(
                        model=judge,
                        source=crossing.source,
                        access=crossing.access(judge),
                        perturbation=crossing.perturbation,
                        eps=crossing.eps,
                        metric=metric.name,
                        parts=[None if np.isnan(value) else float(value) for value in values],
                    )
                )
    return found


def examples(evaluation: Evaluation, access: Collection[str] = ("noise", "white")) -> list[Picture]:
    """Returns the pictures that the cells keep: the first records under every perturbation.

    Args:
      evaluation: What `run` found.
      access: Which rows to show, of "noise", "white" and "black".
    """
    everyone, clean = evaluation.cells[0]
    found = []
    for crossing, cell in evaluation.cells[1:]:
        for place, judge in enumerate(crossing.judges):
            if crossing.access(judge) not in access:
                continue
            right = ~evaluation.misclassified(judge)
            before = clean.probabilities[everyone.judges.index(judge)]
            for number, label in enumerate(clean.labels):
                picture = Picture(
                    clean=clean.images[number],
                    perturbed=cell.images[number],
                    label=label.item() if np.ndim(label) == 0 else label,
                    clean_probabilities=before[number],
                    perturbed_probabilities=cell.probabilities[place, number],
                    model=judge,
                    perturbation=crossing.perturbation,
                    eps=crossing.eps,
                    success=bool(right[number] & cell.fooled[place, number]),
                )
                found.append(picture)
    return found
