"""Who fools whom: examples made on one model and judged by another."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from medadv_jax.report import formats, measures
from medadv_jax.report.figures import Panel, file_name, panel, wrapped
from medadv_jax.report.rows import Row, Setting, known, model, setting, unique
from medadv_jax.report.svg import INK, PAPER, style

HEAT = matplotlib.colormaps["cividis"]
"""Colours of a score: even steps of lightness, also to the colour-blind and in print."""


class Matrix(NamedTuple):
    """Who fools whom, under one perturbation.

    Attributes:
      setting: The perturbation.
      sources: Models that examples were made on, the rows.
      targets: Models that judged them, the columns.
      cells: The row of each (source, target); None where it was not measured.
      standing: Maps a score to 0 (worst) .. 1 (best), alike in all matrices of a metric.
    """

    setting: Setting
    sources: list[str]
    targets: list[str]
    cells: list[list[Row | None]]
    standing: Callable[[float], float]


def matrices(rows: Sequence[Row]) -> list[Matrix]:
    """Returns a matrix for each perturbation that was judged across models.

    Args:
      rows: Rows of one metric.
    """
    crossed = [row for row in rows if row["access"] in ("white", "black")]
    targets = unique(map(model, crossed))
    _, standing = scale(rows)
    found = []
    for spot in unique(setting(row) for row in crossed if row["access"] == "black"):
        here = {(r["source"], model(r)): r for r in crossed if setting(r) == spot}
        # Sources in the order of the targets, so that the diagonal is the white box.
        seen = unique(source for source, _ in here)
        sources = sorted(seen, key=lambda s: targets.index(s) if s in targets else len(targets))
        cells = [[here.get((source, name)) for name in targets] for source in sources]
        found.append(Matrix(spot, sources, targets, cells, standing))
    return found


def scale(rows: Sequence[Row]) -> tuple[float, Callable[[float], float]]:
    """Returns the end of the scale of crossed scores and a function to their standing on it."""
    crossed = [row for row in rows if row["access"] in ("white", "black") and known(row["score"])]
    return measures.standing(rows[0]["metric"], [row["score"] for row in crossed])


def heat(standing: float) -> tuple[str, str]:
    """Returns the colour of a score's cell and the colour of text upon it, as hex.

    Args:
      standing: From 0, the worst score, to 1, the best.

    >>> heat(0.0)[1], heat(1.0)[1]
    ('#ffffff', '#000000')
    """
    red, green, blue, _ = HEAT(min(max(standing, 0.0), 1.0))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # WCAG's contrast to white and to black is equal at 0.179.
    background = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
    return background, "#ffffff" if luminance < 0.179 else "#000000"


def look(standing: float) -> str:
    """Returns the style of a score's cell in a page."""
    background, ink = heat(standing)
    return f"background:{background};color:{ink}"


@style()
def heat_map(matrix: Matrix) -> Panel:
    """Returns a matrix as a figure, for a file; the page has it as a table."""
    wide, high = len(matrix.targets), len(matrix.sources)
    figure = Figure(figsize=(1.6 + 1.1 * wide, 1.0 + 0.55 * high), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    axes.set(xlim=(0, wide), ylim=(high, 0), title=wrapped(matrix.setting.label, 30))
    axes.set_xticks(
        np.arange(wide) + 0.5,
        [wrapped(name, 16) for name in matrix.targets],
        rotation=20,
        ha="right",
    )
    axes.set_yticks(np.arange(high) + 0.5, [wrapped(name, 16) for name in matrix.sources])
    axes.set(xlabel="judged by", ylabel="made on")
    axes.tick_params(length=0)
    for y, line in enumerate(matrix.cells):
        for x, row in enumerate(line):
            _cell(axes, x, y, row, matrix.standing)
    label = matrix.setting.label
    return panel(file_name("matrix", label), f"Matrix under {label}", figure)


def _cell(axes: Axes, x: int, y: int, row: Row | None, standing: Callable[[float], float]) -> None:
    score = row["score"] if row and known(row["score"]) else None
    background, ink = heat(standing(score)) if score is not None else (PAPER, INK)
    axes.add_patch(Rectangle((x, y), 1, 1, color=background, linewidth=0))
    white = row is not None and row["access"] == "white"
    weight = "bold" if white else "normal"
    axes.text(
        x + 0.5, y + 0.5, formats.score(score), color=ink, ha="center", va="center", weight=weight
    )
