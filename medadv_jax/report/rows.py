"""The rows of an evaluation: their keys, their names, and how to pick among them.

A row is one score: a model under one perturbation (or none) by one metric. What is unknown is None.
Scores are better when larger, but for the errors and distances that `measures` knows; rates
(`success`, `misclassified`, `flat`) are in [0, 1].
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from medadv_jax.report import measures
from medadv_jax.report.files import jsonable
from medadv_jax.report.formats import size

Row: TypeAlias = dict[str, Any]

KEYS = (
    "task",
    "data",
    "data_size",
    "model",
    "defense",
    "source",
    "access",
    "perturbation",
    "eps",
    "ssim_target",
    "metric",
    "score",
    "score_low",
    "score_high",
    "clean_score",
    "drop",
    "ssim",
    "l2",
    "linf",
    "success",
    "misclassified",
    "flat",
    "gradients",
    "forwards",
    "seconds",
    "compile_seconds",
    "seed",
)
"""The keys of a row, exactly and in the order of the CSV file."""
ACCESS = ("clean", "noise", "white", "black")
"""What the perturbation knew: nothing was perturbed, no model, the model itself, another model."""

_STRENGTH = re.compile(
    r"[\s_@:,(=-]*(?:eps|epsilon|sigma)?[\s_@:=]*(\d*\.?\d+(?:e[-+]?\d+)?)\)?$", re.IGNORECASE
)


_SYMBOLS = {"gaussiannoise": "σ", "riciannoise": "σ"} | dict.fromkeys(
    ("saliencymap", "saliencymapattack", "jsma", "sma"), "γ"
)


class Setting(NamedTuple):
    """A perturbation at one strength, the same for all models.

    Attributes:
      family: Name of the perturbation, without its strength.
      eps: Its size; None where the perturbation has no such knob. In pixel units of [0, 1], but
        for the saliency map attack, whose knob is the share of the features that it may change.
      ssim_target: The mean SSIM it was matched to, None if it was not.
    """

    family: str
    eps: float | None
    ssim_target: float | None

    @property
    def symbol(self) -> str:
        """What the size is called: ε, σ of a normal distribution, or γ, a share of features."""
        return _SYMBOLS.get(letters(self.family), "ε")

    @property
    def bounded(self) -> bool:
        """Whether its size in pixels is given, so that models meet perturbations alike in size."""
        return self.ssim_target is not None or (self.eps is not None and self.symbol != "γ")

    @property
    def strength(self) -> str:
        """Its size for a reader, such as "ε 0.01", with a space that no line breaks at."""
        return "" if self.eps is None else f"{self.symbol}\u00a0{size(self.eps)}"

    @property
    def label(self) -> str:
        """Its name for a reader, such as "PGD ε 0.01"."""
        parts = [self.family, *filter(None, [self.strength])]
        if self.ssim_target is not None:
            parts.append(f"at SSIM {size(self.ssim_target)}")
        return " ".join(parts)


def check(rows: Sequence[Row]) -> list[Row]:
    """Refuses rows that a reader of `rows.json` would misread.

    Args:
      rows: Rows of an evaluation.

    Returns:
      The same rows with Python's own numbers, and None for what is not a finite number.

    Raises:
      ValueError: if there is no row, a row lacks a key or has another one, or its `access` is
        unknown.
    """
    if not rows:
        raise ValueError("A report needs at least one row, got none.")
    for number, row in enumerate(rows):
        missing, surplus = sorted(set(KEYS) - set(row)), sorted(set(row) - set(KEYS))
        if missing or surplus:
            raise ValueError(
                f"Row {number}: a row has exactly the keys of report.KEYS; "
                f"missing {missing}, unknown {surplus}."
            )
        if row["access"] not in ACCESS:
            raise ValueError(f"Row {number}: access is one of {ACCESS}, got {row['access']!r}.")
    return [{key: jsonable(row[key]) for key in KEYS} for row in rows]


def letters(name: str) -> str:
    """Returns the letters of a name in lower case, to recognise it however it is written.

    >>> letters("Gaussian_noise"), letters("PGD-10")
    ('gaussiannoise', 'pgd')
    """
    return "".join(letter for letter in name.lower() if letter.isalpha())


def known(value: Any) -> bool:
    """Returns whether a value of a row is there: neither None nor NaN.

    >>> known(0.0), known(None), known(float("nan"))
    (True, False, False)
    """
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def model(row: Row) -> str:
    """Returns the name of the judged model, with its defence if it has one."""
    defended = row["defense"] not in (None, "", "none")
    return f"{row['model']} + {row['defense']}" if defended else row["model"]


def setting(row: Row) -> Setting:
    """Returns the perturbation of a row; a strength that its name repeats is taken off the name."""
    name, eps = row["perturbation"], row["eps"] if known(row["eps"]) else None
    repeated = _STRENGTH.search(name)
    if repeated and eps is not None and math.isclose(float(repeated[1]), eps, rel_tol=1e-6):
        name = name[: repeated.start()] or name
    return Setting(name, eps, row["ssim_target"] if known(row["ssim_target"]) else None)


def knob(row: Row) -> str:
    """Returns the size of a perturbation, with the name of its knob where that is not ε."""
    spot = setting(row)
    return spot.strength if spot.eps is not None and spot.symbol != "ε" else size(spot.eps)


def success(row: Row) -> float | None:
    """Returns the success rate of an attack where it has a meaning.

    A label map counts as wrong when no pixel of it is right, which says nothing of an attack of a
    given size or of noise. Those of no size have a rule of their own.
    """
    lost = measures.of(row["metric"]).dense and (row["access"] == "noise" or known(row["eps"]))
    return None if lost or not known(row["success"]) else row["success"]


def headline(settings: Iterable[Setting], eps: float | None) -> set[Setting]:
    """Returns the settings that a figure shows which has room for one strength of each family.

    Args:
      settings: Perturbations at all their strengths.
      eps: The strength to show; None shows all.

    Returns:
      Those of this size, and all of a family that has none of this size.
    """
    every = set(settings)
    sized = {spot.family for spot in every if spot.eps == eps and spot.bounded}
    return {s for s in every if eps is None or s.eps == eps or s.family not in sized}


def unique(values: Iterable[Any]) -> list[Any]:
    """Returns the distinct values in the order of their first appearance.

    >>> unique("abca")
    ['a', 'b', 'c']
    """
    return list(dict.fromkeys(values))


def of_metric(rows: Sequence[Row], metric: str | None = None) -> list[Row]:
    """Returns the rows of one metric; of the first row's metric if none is named.

    Raises:
      ValueError: if no row has the metric, or it errs to both sides and so cannot be the one that
        words and figures are about.
    """
    names = unique(row["metric"] for row in rows)
    chosen: Any = names[0] if metric is None and names else metric
    if chosen not in names:
        raise ValueError(f"No row has the metric {metric!r}; the rows have {names}.")
    if measures.of(chosen).signed:
        raise ValueError(
            f"{chosen!r} errs to both sides of zero, so that no score of it is better than "
            f"another; give another metric of {names} first, or name it."
        )
    return [row for row in rows if row["metric"] == chosen]


def clean(rows: Sequence[Row]) -> dict[str, Row]:
    """Returns the unperturbed row of each model."""
    return {model(row): row for row in rows if row["access"] == "clean"}


def direct(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows of noise and of white-box attacks: what each model meets by itself."""
    return [row for row in rows if row["access"] in ("noise", "white")]


def black(rows: Sequence[Row]) -> list[Row]:
    """Returns the black-box rows: examples made on one model, judged by another."""
    return [row for row in rows if row["access"] == "black"]
