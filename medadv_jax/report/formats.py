"""Numbers as a reader wants them: the same everywhere in the table, the figures and the page."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

from medadv_jax.report import measures

Number: TypeAlias = float | int | None
MISSING = "–"


def _there(value: Number) -> TypeGuard[float | int]:
    return value is not None and math.isfinite(value)


def score(value: Number) -> str:
    """Returns a score with three decimals.

    >>> score(0.71249), score(None)
    ('0.712', '–')
    """
    return f"{value:.3f}" if _there(value) else MISSING


def interval(low: Number, high: Number) -> str:
    """Returns a confidence interval, or nothing where there is none.

    >>> interval(0.65, 0.7601), interval(None, None)
    ('[0.650, 0.760]', '')
    """
    return f"[{low:.3f}, {high:.3f}]" if _there(low) and _there(high) else ""


def stated(row: dict[str, Any]) -> str:
    """Returns the score of a row with its unit and its interval."""
    unit = measures.of(row["metric"]).unit if _there(row["score"]) else ""
    ends = interval(row["score_low"], row["score_high"])
    return " ".join(filter(None, (score(row["score"]), unit, ends)))


def ssim(value: Number) -> str:
    """Returns a structural similarity with four decimals: the last ones tell small eps apart.

    >>> ssim(0.99987)
    '0.9999'
    """
    return f"{value:.4f}" if _there(value) else MISSING


def size(value: Number, digits: int = 3) -> str:
    """Returns the size of a perturbation with three significant digits, or as many as given.

    >>> size(0.0005), size(0.010000001), size(3), size(0.000796, 2)
    ('0.0005', '0.01', '3', '0.0008')
    """
    return f"{value:.{digits}g}" if _there(value) else MISSING


def percent(value: Number) -> str:
    """Returns a rate in [0, 1] as a percentage.

    >>> percent(0.934)
    '93 %'
    """
    return f"{100 * value:.0f} %" if _there(value) else MISSING


def points(value: Number) -> str:
    """Returns a difference of two scores in hundredths, the unit of "percentage points".

    >>> points(0.213)
    '21.3'
    """
    return f"{100 * value:.1f}" if _there(value) else MISSING


def signed(value: Number) -> str:
    """Returns a difference of scores with its sign.

    >>> signed(-0.2134), signed(0.05)
    ('−0.213', '+0.050')
    """
    return f"{value:+.3f}".replace("-", "−") if _there(value) else MISSING


def change(value: Number, metric: str) -> str:
    """Returns a difference of two scores of a metric with its unit.

    >>> change(0.213, "dice"), change(2.5, "hd95")
    ('21.3 points', '2.500 mm')
    """
    measure = measures.of(metric)
    if measure.share:
        return f"{points(value)} points"
    return f"{score(value)} {measure.unit}".strip()


def ratio(part: Number, whole: Number) -> str:
    """Returns a quotient with two decimals; nothing is a fraction of zero.

    >>> ratio(0.2, 0.8), ratio(0.2, 0.0)
    ('0.25', '–')
    """
    return f"{part / whole:.2f}" if _there(part) and _there(whole) and whole else MISSING


def words(name: str) -> str:
    """Returns the name of a key or a class as words.

    >>> words("image_size"), words("left-thalamus")
    ('image size', 'left-thalamus')
    """
    return name.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Returns names as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def metric(name: str, *, axis: bool = False) -> str:
    """Returns the name of a metric for a reader; for an axis with unit and direction.

    >>> metric("balanced_accuracy"), metric("hd95"), metric("hd95", axis=True)
    ('balanced accuracy', 'HD95', 'HD95 (mm, less is better)')
    """
    measure = measures.of(name)
    known = [measure.unit, "less is better" if measure.lower else ""]
    told = ", ".join(filter(None, known)) if axis else ""
    return f"{measure.title} ({told})" if told else measure.title


def title(text: str) -> str:
    """Returns a text that begins with a capital, its other letters as they are.

    >>> title("balanced accuracy"), title("HD95")
    ('Balanced accuracy', 'HD95')
    """
    return text[:1].upper() + text[1:]


def plain(value: Any) -> str:
    """Returns any value of a row, a configuration or a table of facts as text.

    >>> plain(23834568), plain(0.123456), plain(("a", 1)), plain(None), plain(True)
    ('23,834,568', '0.123', 'a, 1', '–', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return size(value) if not _there(value) or abs(value) < 1 else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or MISSING
    return MISSING if value is None or value == "" else str(value)
