"""What rows leave out: scores class by class, and pictures."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.evaluate.grid import Evaluation
from medadv_jax.evaluate.subjects import members, read


class Picture(NamedTuple):
    """One image before and after a perturbation, and what a model says of both.

    Attributes:
      clean: `(h, w, c)`, float32 in [0, 1].
      perturbed: Of the same shape.
      label: The true class, or the mask of classes `(h, w)`.
      clean_probabilities: `(k,)`, of the clean image; None for a mask.
      perturbed_probabilities: `(k,)`, of the perturbed image; None for a mask.
      model: Name of the judging model.
      perturbation: Label of the perturbation.
      eps: Its size, None if it has none.
      success: Whether the model is right before and wrong after, as in `rows`.
      clean_prediction: `(h, w)` uint8, classes found in the clean image; None for a single class.
      perturbed_prediction: `(h, w)` uint8, classes found in the perturbed image; None likewise.
      record: The number of the record in its source.
    """

    clean: np.ndarray
    perturbed: np.ndarray
    label: Any
    clean_probabilities: np.ndarray | None
    perturbed_probabilities: np.ndarray | None
    model: str
    perturbation: str
    eps: float | None
    success: bool
    clean_prediction: np.ndarray | None = None
    perturbed_prediction: np.ndarray | None = None
    record: int | None = None


def parts(evaluation: Evaluation, groups: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Returns the parts of every score: the recall of each class, the Dice of each structure.

    Args:
      evaluation: What `run` found.
      groups: The group of record i at place i, as for `rows`.

    Returns:
      One dictionary a row of `rows`, in the same order: `model`, `source`, `access`,
      `perturbation`, `eps`, `metric`, `parts`, a list with None where a part is undefined, and
      `undefined`, how many values each part leaves out: the subjects, say, in which a structure is
      not there; without groups of its own, 1 for a part that is undefined.

    Raises:
      ValueError: `groups` is too short.
    """
    own = members(evaluation, groups)
    found = []
    for place, (crossing, _) in enumerate(evaluation.cells):
        for judge in crossing.judges:
            for metric in evaluation.metrics:
                whole, outcomes, _ = read(evaluation, place, judge, metric, own)
                weights = np.ones(len(outcomes))
                values = whole.parts(outcomes, weights)
                found.append(
                    dict(
                        model=judge,
                        source=crossing.source,
                        access=crossing.access(judge),
                        perturbation=crossing.perturbation,
                        eps=crossing.eps,
                        metric=metric.name,
                        parts=[None if np.isnan(value) else float(value) for value in values],
                        undefined=whole.undefined(outcomes, weights).tolist(),
                    )
                )
    return found


def examples(evaluation: Evaluation, access: Collection[str] = ("noise", "white")) -> list[Picture]:
    """Returns the pictures that the cells keep: the gallery's records under every perturbation.

    Args:
      evaluation: What `run` found.
      access: Which rows to show, of "noise", "white" and "black".
    """
    found = []
    for place, (crossing, _) in enumerate(evaluation.cells[1:], start=1):
        for judge in crossing.judges:
            if crossing.access(judge) in access:
                shown = range(len(evaluation.gallery))
                found += [_picture(evaluation, place, judge, number) for number in shown]
    return found


def _picture(evaluation: Evaluation, place: int, judge: str, number: int) -> Picture:
    """Returns one entry of the gallery, as one model sees it before and after."""
    (everyone, clean), (crossing, cell) = evaluation.cells[0], evaluation.cells[place]
    before, after = everyone.judges.index(judge), crossing.judges.index(judge)
    row = int(np.flatnonzero(cell.records == evaluation.gallery[number])[0])
    right = not evaluation.misclassified(judge, place)[row]
    label = clean.labels[number]
    return Picture(
        clean=clean.images[number],
        perturbed=cell.images[number],
        label=label.item() if np.ndim(label) == 0 else label,
        clean_probabilities=_entry(clean.probabilities, before, number),
        perturbed_probabilities=_entry(cell.probabilities, after, number),
        model=judge,
        perturbation=crossing.perturbation,
        eps=crossing.eps,
        success=bool(right and cell.fooled[after, row]),
        clean_prediction=_entry(clean.predictions, before, number),
        perturbed_prediction=_entry(cell.predictions, after, number),
        record=evaluation.gallery[number],
    )


def _entry(values: np.ndarray | None, judge: int, number: int) -> np.ndarray | None:
    return None if values is None else values[judge, number]
