"""Figures of an evaluation: bars for each model, and curves over eps."""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medadv_jax.report import formats
from medadv_jax.report.rows import (
    Row,
    clean,
    direct,
    headline,
    known,
    model,
    setting,
    unique,
)
from medadv_jax.report.svg import DASHES, INK, LINE, MARKERS, MUTED, SERIES, style, text

ACCESS_COLOR = {"clean": MUTED, "noise": SERIES[0], "white": SERIES[1]}


class Panel(NamedTuple):
    """A figure of a report.

    Attributes:
      name: Name of its file, without suffix.
      alt: What it shows, with its numbers, for who cannot see it.
      figure: The figure itself.
      svg: The figure as the text of an SVG file.
    """

    name: str
    alt: str
    figure: Figure
    svg: str


def file_name(*parts: str) -> str:
    """Returns a name for a file from names of models and perturbations.

    >>> file_name("bars", "Inception v3 + JPEG")
    'bars-inception_v3_jpeg'
    """
    return "-".join(re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") for part in parts)


def wrapped(name: str, width: int) -> str:
    """Returns a name in lines of at most so many characters, so that a long one leaves room.

    >>> wrapped("inception_v3", 9)
    'inception\\n_v3'
    """
    return "\n".join(textwrap.wrap(name, width))


def panel(name: str, alt: str, figure: Figure) -> Panel:
    """Returns a figure with its SVG; call it inside `svg.style()`."""
    return Panel(name, alt, figure, text(figure))


@style()
def bars(rows: Sequence[Row], eps: float | None = None) -> list[Panel]:
    """Returns one figure a model: its clean score and its score under each noise and attack.

    Args:
      rows: Rows of one metric.
      eps: The size to show of perturbations of several sizes; None shows all.

    Returns:
      Figures with the 95 % interval of each score as a whisker, where there is one.
    """
    spots = headline(map(setting, direct(rows)), eps)
    drawn = [
        row
        for row in rows
        if known(row["score"])
        and (row["access"] == "clean" or (row["access"] in ACCESS_COLOR and setting(row) in spots))
    ]
    panels = []
    for name in unique(map(model, drawn)):
        shown = [row for row in drawn if model(row) == name]
        said = "; ".join(f"{_label(row)} {formats.score(row['score'])}" for row in shown)
        alt = f"Bars of the {formats.metric(shown[0]['metric'])} of {name}: {said}."
        panels.append(panel(file_name("bars", name), alt, _bars(name, shown)))
    return panels


def _label(row: Row) -> str:
    return "clean" if row["access"] == "clean" else setting(row).label


def _bars(name: str, shown: list[Row]) -> Figure:
    figure = Figure(figsize=(4.1, 0.9 + 0.23 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    scores = np.array([row["score"] for row in shown])
    places = np.arange(len(shown))
    axes.barh(places, scores, 0.66, color=[ACCESS_COLOR[row["access"]] for row in shown])
    axes.hlines(
        places,
        [row["score_low"] if known(row["score_low"]) else row["score"] for row in shown],
        [row["score_high"] if known(row["score_high"]) else row["score"] for row in shown],
        color=INK,
        linewidth=1.6,
    )
    # The column of numbers stands outside the axes, where no bar or whisker reaches.
    for place, row in enumerate(shown):
        axes.text(
            1.02,
            place,
            formats.score(row["score"]),
            transform=axes.get_yaxis_transform(),
            verticalalignment="center",
        )
    for row in clean(shown).values():
        axes.axvline(row["score"], color=MUTED, linewidth=0.8, linestyle=":")
    title(figure, name)
    axes.set(xlim=(0, max(1.0, scores.max())), xlabel=formats.metric(shown[0]["metric"], axis=True))
    axes.set_yticks(places, [wrapped(_label(row), 24) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(length=0)
    return figure


def title(figure: Figure, name: str) -> None:
    """Sets a title over the whole width of the figure, where a long name has room."""
    figure.suptitle(
        wrapped(name, 42), x=0.01, horizontalalignment="left", fontsize=10, fontweight="bold"
    )


@style()
def curves(rows: Sequence[Row]) -> list[Panel]:
    """Returns one figure a perturbation of several strengths: score against eps, a line a model.

    Args:
      rows: Rows of one metric.

    Returns:
      Figures with 95 % intervals as bands; a family with fewer than two strengths has none.
    """
    panels = []
    sized = [r for r in direct(rows) if setting(r).eps is not None and known(r["score"])]
    for family in unique(setting(row).family for row in sized):
        shown = [row for row in sized if setting(row).family == family]
        if len({row["eps"] for row in shown}) > 1:
            lines = [
                f"{name} "
                + ", ".join(f"{formats.stated(r)} at {formats.size(r['eps'])}" for r in own)
                for name, own in _lines(shown).items()
            ]
            metric, symbol = formats.metric(shown[0]["metric"]), setting(shown[0]).symbol
            alt = f"The {metric} against {symbol} under {family}: {'; '.join(lines)}."
            figure = _curves(family, shown, clean(rows))
            panels.append(panel(file_name("curves", family), alt, figure))
    return panels


def _lines(shown: Sequence[Row]) -> dict[str, list[Row]]:
    ordered = sorted(shown, key=lambda row: row["eps"])
    return {n: [r for r in ordered if model(r) == n] for n in unique(map(model, shown))}


def _curves(family: str, shown: Sequence[Row], whole: dict[str, Row]) -> Figure:
    figure = Figure(figsize=(4.1, 3.1), layout="constrained")
    axes = figure.add_subplot()
    eps = sorted({row["eps"] for row in shown} - {0.0})
    zero = _eps_axis(axes, eps)
    names = list(dict.fromkeys([*whole, *map(model, shown)]))
    for name, own in _lines(shown).items():
        look = names.index(name) % len(SERIES)
        start = [whole[name]] if name in whole and own[0]["eps"] > 0 else []
        line = start + own
        x = [zero if row["access"] == "clean" or not row["eps"] else row["eps"] for row in line]
        axes.fill_between(x, *_band(line), color=SERIES[look], alpha=0.15, linewidth=0)
        axes.plot(
            x,
            [row["score"] for row in line],
            color=SERIES[look],
            linestyle=DASHES[look],
            marker=MARKERS[look],
            markersize=5,
            linewidth=1.8,
            label=wrapped(name, 24),
        )
    title(figure, family)
    axes.set(xlabel=setting(shown[0]).symbol, ylabel=formats.metric(shown[0]["metric"], axis=True))
    axes.set_ylim(0, max(1.0, max(row["score"] for row in shown)) + 0.02)
    axes.tick_params(length=0)
    figure.legend(loc="outside lower left", ncols=2, labelcolor=INK)
    return figure


def _band(line: Sequence[Row]) -> tuple[list[float], list[float]]:
    ends = ("score_low", "score_high")
    low, high = ([r[end] if known(r[end]) else r["score"] for r in line] for end in ends)
    return low, high


def _eps_axis(axes: Axes, eps: Sequence[float]) -> float:
    """Scales the axis, logarithmic for a wide grid, and returns where eps 0 stands on it."""
    wide = eps[-1] / eps[0] >= 8
    zero = eps[0] / 2.5 if wide else 0.0
    if wide:
        axes.set_xscale("log")
        axes.axvline(math.sqrt(zero * eps[0]), color=LINE, linewidth=3, linestyle=(0, (0.6, 0.6)))
    axes.set_xticks([zero, *eps], ["clean", *map(formats.size, eps)], rotation=30, ha="right")
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", visible=False)
    return zero
