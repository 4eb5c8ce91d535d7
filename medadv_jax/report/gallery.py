"""Examples as pictures: an image before and after, and the difference enlarged."""

import io
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medadv_jax.evaluate import Picture
from medadv_jax.report import colors, dense, formats
from medadv_jax.report.images import blend, enlarged, unit
from medadv_jax.report.rows import Setting, headline
from medadv_jax.report.svg import MUTED

BUDGET = 3_000_000
"""Bytes of pictures in a page, so that a page stays below 5 MB."""
LIMIT = 24
"""Pictures in a page; of more, the most telling are chosen."""
_ROWS = 8


def check(examples: Sequence[Picture], class_names: Sequence[str]) -> None:
    """Refuses examples that cannot be drawn.

    Raises:
      ValueError: if the two images differ in shape, or the probabilities, the label or a label map
        do not fit the classes.
    """
    for number, example in enumerate(examples):
        if dense.is_dense(example):
            dense.check(number, example, len(class_names))
            continue
        clean, perturbed = np.shape(example.clean), np.shape(example.perturbed)
        if clean != perturbed or not (len(clean) == 2 or (len(clean) == 3 and clean[2] in (1, 3))):
            raise ValueError(
                f"Example {number}: clean and perturbed are (h, w), (h, w, 1) or (h, w, 3) and "
                f"alike, got {clean} and {perturbed}."
            )
        for name in ("clean_probabilities", "perturbed_probabilities"):
            if np.shape(getattr(example, name)) != (len(class_names),):
                raise ValueError(
                    f"Example {number}: {name} has one entry for each of the {len(class_names)} "
                    f"classes, got shape {np.shape(getattr(example, name))}."
                )
        if not 0 <= int(example.label) < len(class_names):
            raise ValueError(
                f"Example {number}: label is in 0 .. {len(class_names) - 1}, got {example.label}."
            )


def said(probabilities: Any, class_names: Sequence[str]) -> str:
    """Returns a prediction with its confidence.

    >>> said([0.2, 0.8], ("nevus", "melanoma"))
    'melanoma 80 %'
    """
    best = likeliest(probabilities)
    return f"{class_names[best]} {formats.percent(float(np.asarray(probabilities)[best]))}"


def likeliest(probabilities: Any) -> int:
    """Returns the class of the largest probability."""
    return int(np.argmax(probabilities))


def setting(example: Picture) -> Setting:
    """Returns the perturbation of an example."""
    return Setting(example.perturbation, example.eps, None)


def select(
    examples: Sequence[Picture], eps: float | None, class_names: Sequence[str]
) -> list[Picture]:
    """Returns the most telling examples, if there are more than `LIMIT`.

    Each perturbation of each model gets its turn, first with an image that it fooled the model on,
    else with one that the model has right, and, of those, one that is not shown yet. Of segmented
    images it is one with structures, not shown yet, and of several the one that loses most.

    Args:
      examples: All examples.
      eps: The size to show of perturbations of several sizes; None for any.
      class_names: Names of the classes.
    """
    if len(examples) <= LIMIT:
        return list(examples)
    wanted = headline(map(setting, examples), eps)
    groups: dict[tuple[Setting, str], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        if setting(example) in wanted:
            groups[setting(example), example.model].append(number)
    names = [hash(np.asarray(example.clean).tobytes()) for example in examples]
    ranks = [_rank(example, class_names) for example in examples]
    chosen, seen = [], Counter()
    for group in itertools.islice(_turns(list(groups.values())), max(LIMIT, len(groups))):
        best = min(group, key=lambda n: (ranks[n][:2], seen[names[n]], ranks[n][2], n))
        group.remove(best)
        seen[names[best]] += 1
        chosen.append(best)
    return [examples[number] for number in sorted(chosen)]


def _rank(example: Picture, class_names: Sequence[str]) -> tuple[bool, bool, float]:
    """Returns how telling an example is, the most telling first."""
    if not dense.is_dense(example):
        right = likeliest(example.clean_probabilities) == int(example.label)
        return not example.success, not right, 0.0
    before, after = dense.scores(dense.planar(example), class_names)
    empty = bool(np.isnan(after - before))
    return False, empty, 0.0 if empty else after - before


def _turns(groups: list[list[int]]) -> Iterator[list[int]]:
    while any(groups):
        yield from (group for group in groups if group)


def sheet(examples: Sequence[Picture], class_names: Sequence[str]) -> bytes:
    """Returns a PNG file with a row an example: the images and, of segmented ones, label maps.

    Args:
      examples: What to show; the first eight are drawn, more would be too small to see.
      class_names: Names of the classes.
    """
    rows = [
        (_segmented if dense.is_dense(example) else _classified)(example, class_names)
        for example in examples[:_ROWS]
    ]
    figure = Figure(figsize=(2.4 * len(rows[0]), 2.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, drawings in zip(grid, rows, strict=True):
        for axes, (image, title, below) in zip(line, drawings, strict=True):
            _draw(axes, image, title)
            axes.set_xlabel(below, fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _classified(example: Picture, class_names: Sequence[str]) -> list[tuple[Any, str, str]]:
    """Returns image, title and note of each drawing of an example."""
    change, factor = enlarged(example.clean, example.perturbed)
    before = said(example.clean_probabilities, class_names)
    after = said(example.perturbed_probabilities, class_names)
    truth = class_names[int(example.label)]
    return [
        (example.clean, f"clean: {truth}", f"{example.model}: {before}"),
        (change, f"{setting(example).label}, × {factor}", ""),
        (example.perturbed, "perturbed", f"{example.model}: {after}"),
    ]


def _segmented(example: Picture, class_names: Sequence[str]) -> list[tuple[Any, str, str]]:
    """Returns image, title and note of each drawing of a segmented example."""
    example = dense.planar(example)
    table = colors.table(class_names)
    before, after = dense.scores(example, class_names)
    notes = {2: f"{example.model}: Dice {formats.score(before)}"}
    notes |= {3: f"{setting(example).label}: Dice {formats.score(after)}"}
    return [
        (
            panel.image if panel.labels is None else blend(panel.image, panel.labels, table),
            panel.caption,
            notes.get(place, ""),
        )
        for place, panel in enumerate(dense.panels(example))
    ]


def _draw(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(unit(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8, color=MUTED, fontweight="normal")
