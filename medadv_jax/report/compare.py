"""When two scores differ, and how a change of score is put into words."""

from medadv_jax.report import formats, measures
from medadv_jax.report.rows import Row, known, setting


def above(row: Row, other: Row) -> bool:
    """Returns whether a score is higher than another by more than their intervals explain.

    Each score must lie outside the interval of the other. An interval that is unknown explains
    nothing; a score that is unknown is above nothing.
    """
    if not known(row["score"]) or not known(other["score"]):
        return False
    high = other["score_high"] if known(other["score_high"]) else other["score"]
    low = row["score_low"] if known(row["score_low"]) else row["score"]
    return row["score"] > high and other["score"] < low


def better(row: Row, other: Row) -> bool:
    """Returns whether a score is better than another by more than their intervals explain."""
    return above(other, row) if measures.of(row["metric"]).lower else above(row, other)


def goodness(row: Row) -> float:
    """Returns a number that is larger for a better score of the same metric."""
    return -row["score"] if measures.of(row["metric"]).lower else row["score"]


def loss(clean: Row, row: Row) -> float:
    """Returns by how much a score is worse than the clean one, in the metric's own unit."""
    return goodness(clean) - goodness(row)


def low(row: Row, floor: float) -> bool:
    """Returns whether a score is next to nothing; a distance has no worst value to be near to."""
    return not measures.of(row["metric"]).lower and row["score"] <= floor


def alike(row: Row, other: Row) -> bool:
    """Returns whether each of two scores lies inside the interval of the other.

    Without both intervals nothing is said to be alike.
    """
    pairs = ((row, other), (other, row))
    return all(
        known(a["score_low"])
        and known(a["score_high"])
        and known(b["score"])
        and a["score_low"] <= b["score"] <= a["score_high"]
        for a, b in pairs
    )


def no_larger(row: Row, other: Row) -> bool:
    """Returns whether a perturbation is at most as large as another, in pixels or by mean L2."""
    sizes = ("eps", "l2") if setting(row).bounded and setting(other).bounded else ("l2",)
    for size in sizes:
        if known(row[size]) and known(other[size]):
            return row[size] <= other[size] * (1 + 1e-6)
    return False


def fall(clean: Row, row: Row) -> str:
    """Returns a change of score with both parts of its ratio and both intervals.

    For example "from 0.910 [0.880, 0.940] to 0.455 [0.425, 0.485] (ratio 0.50)".
    """
    quotient = formats.ratio(row["score"], clean["score"])
    return f"from {formats.stated(clean)} to {formats.stated(row)} (ratio {quotient})"
