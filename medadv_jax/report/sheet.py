"""The first examples on one sheet, as a picture file for a talk or a notebook."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medadv_jax.evaluate import Picture
from medadv_jax.report.gallery import enlarged, said, setting, unit
from medadv_jax.report.svg import MUTED

LARGEST = 8
"""Rows of a sheet; more would be too small to see."""


def png(examples: Sequence[Picture], class_names: Sequence[str]) -> bytes:
    """Returns a PNG file with a row an example: clean, perturbation enlarged, perturbed.

    Args:
      examples: What to show; the first eight are drawn.
      class_names: Names of the classes.
    """
    shown = examples[:LARGEST]
    figure = Figure(figsize=(7.2, 2.5 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False)
    for axes, example in zip(grid, shown, strict=True):
        change, factor = enlarged(example.clean, example.perturbed)
        before = said(example.clean_probabilities, class_names)
        after = said(example.perturbed_probabilities, class_names)
        _picture(axes[0], example.clean, f"clean: {class_names[int(example.label)]}")
        _picture(axes[1], change, f"{setting(example).label}, × {factor}")
        _picture(axes[2], example.perturbed, "perturbed")
        axes[0].set_xlabel(f"{example.model}: {before}", fontsize=8)
        axes[2].set_xlabel(f"{example.model}: {after}", fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(unit(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8, color=MUTED, fontweight="normal")
