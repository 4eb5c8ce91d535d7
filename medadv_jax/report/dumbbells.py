"""Figures of a score by structure: from the clean score to the perturbed ones."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medadv_jax.report import breakdown, colors, formats, measures
from medadv_jax.report.breakdown import Breakdown
from medadv_jax.report.figures import Panel, file_name, panel, title, wrapped
from medadv_jax.report.svg import INK, LINE, MARKERS, MUTED, SERIES, style

MOST = 4
"""Perturbations in a figure; of more, the worst noise and the worst attacks are drawn."""


@style()
def dumbbells(
    entries: Sequence[Breakdown], names: Sequence[str], eps: float | None = None
) -> list[Panel]:
    """Returns one figure a model: a line a structure, from the clean score to the lowest.

    Args:
      entries: Parts of one metric.
      names: Names of the parts.
      eps: The size to show of perturbations of several sizes; None shows all.
    """
    panels = []
    for table in breakdown.tables(entries, eps):
        whole = [entry for entry in table.entries if entry.setting is None][:1]
        drawn = whole + shown([entry for entry in table.entries if entry.setting is not None])
        metric = formats.metric(drawn[0].metric)
        said = "; ".join(f"{entry.label} {formats.score(entry.mean)}" for entry in drawn)
        alt = (
            f"{formats.title(metric)} of each structure of {table.model}; the means are: {said}. "
            f"The table that follows has all numbers."
        )
        figure = _dumbbells(table.model, drawn, names)
        panels.append(panel(file_name("structures", table.model), alt, figure))
    return panels


def shown(perturbed: Sequence[Breakdown]) -> list[Breakdown]:
    """Returns the perturbations that a figure has room for, in their order.

    All of a few; of many the worst noise and, for the rest, the worst attacks by their mean.
    """
    if len(perturbed) <= MOST:
        return list(perturbed)
    noise = sorted((e for e in perturbed if e.access == "noise"), key=_badness)[:1]
    attacks = sorted((e for e in perturbed if e.access != "noise"), key=_badness)
    chosen = [*noise, *attacks[: MOST - len(noise)]]
    return [entry for entry in perturbed if any(entry is one for one in chosen)]


def _badness(entry: Breakdown) -> float:
    if math.isnan(entry.mean):
        return math.inf
    return -entry.mean if measures.of(entry.metric).lower else entry.mean


def _dumbbells(name: str, drawn: Sequence[Breakdown], names: Sequence[str]) -> Figure:
    figure = Figure(figsize=(4.1, 1.5 + 0.19 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(names))
    values = np.array([entry.values for entry in drawn], float)
    known = np.isfinite(values).any(axis=0)
    low, high = (np.full(len(names), np.nan) for _ in range(2))
    low[known], high[known] = np.nanmin(values[:, known], 0), np.nanmax(values[:, known], 0)
    axes.hlines(places, low, high, color=LINE, linewidth=2.2)
    for place, (entry, line) in enumerate(zip(drawn, values, strict=True)):
        _dots(axes, entry, line, place)
    title(figure, name)
    measure = measures.of(drawn[0].metric)
    end = np.nanmax(high) if known.any() else 1.0
    axes.set_xlim(0, 1.02 if measure.share else 1.05 * max(end, 1e-3))
    axes.set_xlabel(formats.metric(drawn[0].metric, axis=True))
    axes.set_yticks(places, [wrapped(colors.words(one), 30) for one in names], fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(length=0)
    figure.legend(loc="outside lower left", ncols=2, labelcolor=INK, fontsize=8)
    return figure


def _dots(axes: Axes, entry: Breakdown, values: np.ndarray, place: int) -> None:
    look = place - 1  # the first is the clean one
    axes.plot(
        values,
        np.arange(len(values)),
        linestyle="none",
        marker="|" if entry.setting is None else MARKERS[look],
        markersize=8 if entry.setting is None else 4.5,
        markeredgewidth=2 if entry.setting is None else 0.5,
        color=MUTED if entry.setting is None else SERIES[look],
        label=wrapped(entry.label, 26),
    )
