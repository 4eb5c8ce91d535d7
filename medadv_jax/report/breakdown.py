"""A score part by part, the recall of a class or the Dice of a structure.

An attack seldom costs all parts the same.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.data import Source
from medadv_jax.report import formats, matrix, measures
from medadv_jax.report.rows import Setting, headline, setting, unique


class Breakdown(NamedTuple):
    """The parts of a score of one model under one perturbation.

    Attributes:
      model: Name of the model.
      setting: The perturbation; None for clean images.
      values: One a part; None or NaN where it is undefined, as for a class without examples.
      counts: Images of each class, or subjects with each structure; None if not known.
      metric: The metric whose parts they are.
      access: What the perturbation knew: "clean", "noise" or "white".
    """

    model: str
    setting: Setting | None
    values: Sequence[float | None]
    counts: Sequence[int] | None = None
    metric: str = "balanced_accuracy"
    access: str = "white"

    @property
    def label(self) -> str:
        """Name of the perturbation for a reader."""
        return "clean" if self.setting is None else self.setting.label

    @property
    def mean(self) -> float:
        """The mean of the defined parts, NaN if there is none."""
        defined = [v for v in self.values if v is not None and not math.isnan(v)]
        return sum(defined) / len(defined) if defined else math.nan


class Table(NamedTuple):
    """The parts of the scores of one model under several perturbations.

    Attributes:
      model: Name of the model.
      counts: Examples of each part, None if not known.
      entries: The clean one and one a perturbation.
      cells: For each entry, for each part, a text and the style of its cell.
    """

    model: str
    counts: Sequence[int] | None
    entries: list[Breakdown]
    cells: list[list[tuple[str, str]]]


def recalls(
    parts: Sequence[Mapping[str, Any]], source: Source, metric: str = "balanced_accuracy"
) -> list[Breakdown]:
    """Returns the recall of each class that an evaluation measured, black box left out.

    Args:
      parts: What `evaluate.parts` returned.
      source: The records that were evaluated, for their labels.
      metric: The metric whose parts are the recalls of the classes.
    """
    counts = np.bincount(source.column("label"), minlength=source.num_classes).tolist()
    return _breakdowns(parts, metric, lambda entry: counts)


def structures(
    parts: Sequence[Mapping[str, Any]],
    metric: str = "dice",
    perturbations: Collection[str] | None = None,
    subjects: int | None = None,
) -> list[Breakdown]:
    """Returns the score of each structure that an evaluation measured, black box left out.

    Args:
      parts: What `evaluate.parts` returned.
      metric: The metric whose parts are the structures, such as "dice" or "hd95".
      perturbations: Labels of the noise and the attacks to show; None for all.
      subjects: How many subjects were evaluated, to tell how many of them have each structure; of
        `evaluate.parts` without groups, how many records. None if that shall not be told.
    """
    chosen = [
        entry
        for entry in parts
        if perturbations is None
        or entry["access"] == "clean"
        or entry["perturbation"] in perturbations
    ]
    if subjects is None:
        return _breakdowns(chosen, metric, lambda entry: None)
    counts = lambda entry: [subjects - number for number in entry["undefined"]]
    return _breakdowns(chosen, metric, counts)


def _breakdowns(
    parts: Sequence[Mapping[str, Any]],
    metric: str,
    counts: Callable[[Mapping[str, Any]], Sequence[int] | None],
) -> list[Breakdown]:
    """Returns what is shown of a metric; `counts` tells of each entry how many have each part."""
    return [
        Breakdown(
            model=entry["model"],
            setting=(
                None if entry["access"] == "clean" else setting({"ssim_target": None, **entry})
            ),
            values=entry["parts"],
            counts=counts(entry),
            metric=metric,
            access=entry["access"],
        )
        for entry in parts
        if entry["metric"] == metric and entry["access"] != "black"
    ]


def check(entries: Sequence[Breakdown], names: Sequence[str], what: str = "classes") -> None:
    """Refuses parts that do not fit their names, and two metrics in one section.

    Raises:
      ValueError: if an entry or its counts have not one value a name, or metrics differ.
    """
    kinds = unique(entry.metric for entry in entries)
    if len(kinds) > 1:
        raise ValueError(f"The parts of one metric stand in one section, got those of {kinds}.")
    for entry in entries:
        for values in (entry.values, entry.counts):
            if values is not None and len(values) != len(names):
                raise ValueError(
                    f"The {formats.metric(entry.metric)} of {entry.model} under {entry.label} has "
                    f"one entry for each of the {len(names)} {what}, got {len(values)}."
                )


def tables(entries: Sequence[Breakdown], eps: float | None) -> list[Table]:
    """Returns for each model its parts, clean and under each perturbation.

    Args:
      entries: Parts of one metric.
      eps: The size to show of perturbations of several sizes; None shows all.
    """
    spots = headline((entry.setting for entry in entries if entry.setting), eps)
    shown = [entry for entry in entries if entry.setting is None or entry.setting in spots]
    known = [v for entry in shown for v in entry.values if v is not None and math.isfinite(v)]
    _, standing = measures.standing(shown[0].metric if shown else "", known)
    found = []
    for name in unique(entry.model for entry in shown):
        own = [entry for entry in shown if entry.model == name]
        counts = next((list(e.counts) for e in own if e.counts is not None), None)
        cells = [[_cell(value, standing) for value in entry.values] for entry in own]
        found.append(Table(name, counts, own, cells))
    return found


def _cell(value: float | None, standing: Callable[[float], float]) -> tuple[str, str]:
    look = matrix.look(standing(value)) if value is not None and math.isfinite(value) else ""
    return formats.score(value), look
