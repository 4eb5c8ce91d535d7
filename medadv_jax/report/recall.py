"""The recall of each class: an attack seldom costs all classes the same."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.data import Source
from medadv_jax.report import formats, matrix
from medadv_jax.report.rows import Setting, headline, setting, unique


class Recall(NamedTuple):
    """The recall of each class by one model under one perturbation.

    Attributes:
      model: Name of the model.
      setting: The perturbation; None for clean images.
      recall: `(k,)` in [0, 1]; None or NaN for a class without examples.
      counts: `(k,)`, examples of each class; None if not known.
    """

    model: str
    setting: Setting | None
    recall: Sequence[float | None]
    counts: Sequence[int] | None = None


def recalls(
    parts: Sequence[Mapping[str, Any]], source: Source, metric: str = "balanced_accuracy"
) -> list[Recall]:
    """Returns the recalls that an evaluation measured, black box left out.

    Args:
      parts: What `evaluate.parts` returned.
      source: The records that were evaluated, for their labels.
      metric: The metric whose parts are the recalls of the classes.
    """
    counts = np.bincount(source.column("label"), minlength=source.num_classes).tolist()
    return [
        Recall(
            entry["model"],
            None if entry["access"] == "clean" else setting({"ssim_target": None, **entry}),
            entry["parts"],
            counts,
        )
        for entry in parts
        if entry["metric"] == metric and entry["access"] != "black"
    ]


def check(entries: Sequence[Recall], class_names: Sequence[str]) -> None:
    """Refuses recalls that do not fit the classes.

    Raises:
      ValueError: if a recall or its counts have not one entry a class.
    """
    for entry in entries:
        for values in (entry.recall, entry.counts):
            if values is not None and len(values) != len(class_names):
                raise ValueError(
                    f"The recall of {entry.model} under {_label(entry)} has one entry for each of "
                    f"the {len(class_names)} classes, got {len(values)}."
                )


def tables(
    entries: Sequence[Recall], eps: float | None
) -> list[tuple[str, Any, list[tuple[str, list[Any]]]]]:
    """Returns for each model its counts and, a line a perturbation, the recall of each class."""
    spots = headline((entry.setting for entry in entries if entry.setting), eps)
    shown = [entry for entry in entries if entry.setting is None or entry.setting in spots]
    found = []
    for name in unique(entry.model for entry in shown):
        own = [entry for entry in shown if entry.model == name]
        counts = next((list(e.counts) for e in own if e.counts is not None), None)
        lines = [(_label(e), [_cell(value) for value in e.recall]) for e in own]
        found.append((name, counts, lines))
    return found


def _label(entry: Recall) -> str:
    return "clean" if entry.setting is None else entry.setting.label


def _cell(value: float | None) -> tuple[str, str]:
    text = formats.score(value)
    return text, "" if text == formats.MISSING or value is None else matrix.look(value)
