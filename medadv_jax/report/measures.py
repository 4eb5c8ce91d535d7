"""What a metric means to a reader: its name, its unit, and whether less of it is better."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Measure(NamedTuple):
    """How the scores of a metric are read.

    Attributes:
      title: Its name in a sentence.
      lower: Whether less is better.
      signed: Whether a score errs to both sides of zero, so that neither more nor less is better.
      unit: What a score is counted in; empty for a number without unit.
      share: Whether scores lie in [0, 1], so that differences are told in hundredths.
      poor: The clean score below which a ratio of scores says little; None where none is known.
      dense: Whether it compares label maps, whose parts are structures.
      graded: Whether it depends on how sure a model is, not on its decisions alone.
      meaning: A sentence for who does not know it; empty where the name says it.
    """

    title: str
    lower: bool = False
    signed: bool = False
    unit: str = ""
    share: bool = True
    poor: float | None = None
    dense: bool = False
    graded: bool = False
    meaning: str = ""


_MEASURES = {
    "accuracy": Measure("accuracy", poor=0.5),
    "balanced_accuracy": Measure("balanced accuracy", poor=0.5),
    # Guessing has an AUC of 0.5, whatever the number of classes.
    "auc": Measure("AUC", poor=0.7, graded=True),
    "dice": Measure(
        "Dice",
        poor=0.5,
        dense=True,
        meaning="Overlap of the predicted and the true structure, twice what they share divided "
        "by the sum of their sizes: 1 is equal, 0 apart. That of all slices of a subject that "
        "were evaluated, then the mean over subjects and structures; a structure that is not there "
        "is left out, whatever is predicted.",
    ),
    # The IoU of a Dice of 0.5.
    "iou": Measure(
        "IoU",
        poor=1 / 3,
        dense=True,
        meaning="Overlap of the predicted and the true structure, what they share divided by what "
        "they cover together: 1 is equal, 0 apart.",
    ),
    "hd95": Measure(
        "HD95",
        lower=True,
        unit="mm",
        share=False,
        dense=True,
        meaning="95th percentile of the distances between the surfaces of the predicted and the "
        "true structure, in mm; less is better. A structure that only one of the two has counts "
        "as the diagonal of the volume, so that it does not pay to lose one.",
    ),
    "average_surface_distance": Measure(
        "average surface distance",
        lower=True,
        unit="mm",
        share=False,
        dense=True,
        meaning="Mean distance between the surfaces of the predicted and the true structure, in "
        "mm; less is better. A structure that only one of the two has counts as for HD95.",
    ),
    "volume_error": Measure(
        "volume error",
        lower=True,
        signed=True,
        share=False,
        dense=True,
        meaning="Predicted minus true volume, divided by the true one: 0 is equal, more than 0 "
        "too large. Errors of two subjects may cancel in its mean.",
    ),
    "absolute_volume_error": Measure(
        "absolute volume error",
        lower=True,
        share=False,
        dense=True,
        meaning="Difference of the predicted and the true volume without its sign, divided by the "
        "true volume; less is better.",
    ),
}


def of(metric: str) -> Measure:
    """Returns how a metric is read; one that is not known has scores in [0, 1], more is better.

    >>> of("hd95").lower, of("balanced accuracy").poor, of("bleu_4").title
    (True, 0.5, 'bleu 4')
    """
    return _MEASURES.get(metric.replace(" ", "_"), Measure(metric.replace("_", " ")))


def standing(metric: str, scores: Iterable[float]) -> tuple[float, Callable[[float], float]]:
    """Returns the end of a metric's scale and a function from scores to 0 (worst) .. 1 (best).

    Scores in [0, 1] are their own standing; of others the largest of those shown is the end.

    >>> end, place = standing("hd95", [2.0, 8.0])
    >>> end, place(8.0), place(2.0)
    (8.0, 0.0, 0.75)
    """
    measure = of(metric)
    end = 1.0 if measure.share else max(scores, default=0.0) or 1.0
    return end, (lambda score: 1 - score / end) if measure.lower else (lambda score: score / end)


def meanings(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """Returns title and meaning of the metrics that need one."""
    told = (of(metric) for metric in metrics)
    return [(measure.title, measure.meaning) for measure in told if measure.meaning]
