"""Attacks that stop when they have fooled beside those that use all of their size."""

from collections.abc import Collection, Sequence

from medadv_jax.report import formats, measures
from medadv_jax.report.rows import Row, unique


def check(early: Collection[str], rows: Sequence[Row]) -> None:
    """Refuses labels that no row has, which would be misspelt.

    Raises:
      ValueError: if no row has such a perturbation.
    """
    if isinstance(early, str):
        raise ValueError(f"early is a collection of labels, got the text {early!r}.")
    labels = unique(row["perturbation"] for row in rows)
    for label in early:
        if label not in labels:
            raise ValueError(f"early names {label!r}; the rows have the perturbations {labels}.")


def caution(rows: Sequence[Row], early: Collection[str]) -> str | None:
    """Returns what cannot be compared between the two kinds; None if there is only one.

    Args:
      rows: Rows of an evaluation, of one or more metrics.
      early: Labels of the perturbations that stop as soon as they have fooled, and leave alone
        what was misclassified before.
    """
    perturbed = unique(row["perturbation"] for row in rows if row["access"] != "clean")
    stop, others = ([p for p in perturbed if (p in early) == inside] for inside in (True, False))
    if not stop or not others:
        return None
    one = len(stop) == 1
    alone = (
        f"{formats.listed(stop)} stop{'s' if one else ''} at the first change that meets "
        f"{'its' if one else 'their'} goal and leave{'s' if one else ''} alone what was wrong "
        f"before; {formats.listed(others)} change{'s' if len(others) == 1 else ''} every image as "
        "far as the size allows."
    )
    told = [measures.of(name) for name in unique(row["metric"] for row in rows)]
    if any(measure.dense for measure in told):
        return f"{alone} So between the two kinds neither score nor size means much by itself."
    unlike = ["SSIM", "L2", "Linf", *(measure.title for measure in told if measure.graded)]
    if any(row["access"] == "black" for row in rows):
        unlike.append("black-box scores")
    return (
        f"{alone} So between the two kinds white-box accuracies can be compared, but "
        f"{formats.listed(unlike)} cannot."
    )
