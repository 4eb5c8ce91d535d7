"""Examples as pictures: an image before and after, and the difference enlarged."""

import base64
import io
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medadv_jax.evaluate import Picture
from medadv_jax.report import formats
from medadv_jax.report.rows import Setting, headline
from medadv_jax.report.svg import MUTED

BUDGET = 3_000_000
"""Bytes of pictures in a page, so that a page stays below 5 MB."""
LIMIT = 24
"""Pictures in a page; of more, the most telling are chosen."""
_NICE = (1, 2, 5)
_SMALL = 128
_ROWS = 8


def check(examples: Sequence[Picture], class_names: Sequence[str]) -> None:
    """Refuses examples that cannot be drawn.

    Raises:
      ValueError: if the two images differ in shape, or the probabilities or the label do not fit
        the classes.
    """
    for number, example in enumerate(examples):
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


def unit(image: Any) -> np.ndarray:
    """Returns an image as float64 `(h, w)` or `(h, w, 3)` in [0, 1]."""
    array = np.asarray(image)
    scaled = array / 255 if array.dtype == np.uint8 else array.astype(np.float64)
    return scaled[..., 0] if scaled.ndim == 3 and scaled.shape[-1] == 1 else scaled


def gain(difference: np.ndarray) -> int:
    """Returns the factor of 1, 2, 5, 10, 20, ... that enlarges a difference to at most 0.5.

    >>> gain(np.array([0.004, -0.001])), gain(np.zeros(2)), gain(np.array([0.9]))
    (100, 1, 1)
    """
    largest = float(np.max(np.abs(difference), initial=0.0))
    if largest < 1e-9:
        return 1
    room = 0.5 / largest * (1 + 1e-6)
    power = 10 ** math.floor(math.log10(max(room, 1.0)))
    return max(factor * power for factor in _NICE if factor * power <= max(room, 1.0))


def enlarged(clean: Any, perturbed: Any) -> tuple[np.ndarray, int]:
    """Returns the perturbation on mid-grey, times a round factor, and that factor."""
    difference = unit(perturbed) - unit(clean)
    factor = gain(difference)
    return np.clip(0.5 + factor * difference, 0, 1), factor


def encode(image: Any) -> tuple[bytes, str]:
    """Returns an image in [0, 1] as the bytes of a file and its media type.

    Small images are kept as they are (8-bit PNG). Large ones are compressed for display (WebP),
    with a loss that the eye does not see; scores never come from these files.
    """
    pixels = np.round(np.clip(unit(image), 0, 1) * 255).astype(np.uint8)
    file, small = io.BytesIO(), max(pixels.shape[:2]) <= _SMALL
    options = {"format": "PNG", "optimize": True} if small else {"format": "WEBP", "quality": 90}
    PIL.Image.fromarray(pixels).save(file, **options)
    return file.getvalue(), "image/png" if small else "image/webp"


def data_uri(content: bytes, kind: str) -> str:
    """Returns a file as a `data:` address, so that a page needs no other file.

    >>> data_uri(b"a", "text/csv")
    'data:text/csv;base64,YQ=='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def said(probabilities: Any, class_names: Sequence[str]) -> str:
    """Returns a prediction with its confidence.

    >>> said([0.2, 0.8], ("nevus", "melanoma"))
    'melanoma 80 %'
    """
    best = int(np.argmax(probabilities))
    return f"{class_names[best]} {formats.percent(float(np.asarray(probabilities)[best]))}"


def setting(example: Picture) -> Setting:
    """Returns the perturbation of an example."""
    return Setting(example.perturbation, example.eps, None)


def select(examples: Sequence[Picture], eps: float | None) -> list[Picture]:
    """Returns the most telling examples, if there are more than `LIMIT`.

    Each perturbation of each model gets its turn, first with an image that it fooled the model on,
    else with one that the model has right, and, of those, one that is not shown yet.

    Args:
      examples: All examples.
      eps: The size to show of perturbations of several sizes; None for any.
    """
    if len(examples) <= LIMIT:
        return list(examples)
    wanted = headline(map(setting, examples), eps)
    groups: dict[tuple[Setting, str], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        if setting(example) in wanted:
            groups[setting(example), example.model].append(number)
    names = [hash(np.asarray(example.clean).tobytes()) for example in examples]
    chosen, seen = [], Counter()
    for group in itertools.islice(_turns(list(groups.values())), LIMIT):
        rank = lambda n: (not examples[n].success, not _right(examples[n]), seen[names[n]], n)
        best = min(group, key=rank)
        group.remove(best)
        seen[names[best]] += 1
        chosen.append(best)
    return [examples[number] for number in sorted(chosen)]


def _right(example: Picture) -> bool:
    return int(np.argmax(example.clean_probabilities)) == int(example.label)


def _turns(groups: list[list[int]]) -> Iterator[list[int]]:
    while any(groups):
        yield from (group for group in groups if group)


def sheet(examples: Sequence[Picture], class_names: Sequence[str]) -> bytes:
    """Returns a PNG file with a row an example: clean, perturbation enlarged, perturbed.

    Args:
      examples: What to show; the first eight are drawn, more would be too small to see.
      class_names: Names of the classes.
    """
    shown = examples[:_ROWS]
    figure = Figure(figsize=(7.2, 2.5 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 3, squeeze=False)
    for axes, example in zip(grid, shown, strict=True):
        change, factor = enlarged(example.clean, example.perturbed)
        before = said(example.clean_probabilities, class_names)
        after = said(example.perturbed_probabilities, class_names)
        _draw(axes[0], example.clean, f"clean: {class_names[int(example.label)]}")
        _draw(axes[1], change, f"{setting(example).label}, × {factor}")
        _draw(axes[2], example.perturbed, "perturbed")
        axes[0].set_xlabel(f"{example.model}: {before}", fontsize=8)
        axes[2].set_xlabel(f"{example.model}: {after}", fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _draw(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(unit(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8, color=MUTED, fontweight="normal")
