"""A colour for each structure: left and right of a pair in one hue, the left one lighter."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medadv_jax.report.rows import unique

_SIDE = re.compile(r"(^|[\s_-])(left|right)([\s_-]|$)", re.IGNORECASE)
# Chosen by search for the largest of the smallest distances between the 27 structures.
_LEVELS = (0.71, 0.87, 0.79)
_DARKER = 0.256
_FIRST_HUE = math.radians(6.4)
_CHROMA = 0.2


class Entry(NamedTuple):
    """A line of the legend.

    Attributes:
      name: Name of a structure, without its side.
      swatches: Its side ("left", "right" or "") and its colour as hex; two for a pair.
    """

    name: str
    swatches: list[tuple[str, str]]


def side(name: str) -> tuple[str, str]:
    """Returns the name of a structure in words, without its side, and its side.

    The ventral diencephalon is known as DC.

    >>> side("left-cerebral-cortex"), side("Brain_stem"), side("thalamus right")
    (('cerebral cortex', 'left'), ('Brain stem', ''), ('thalamus', 'right'))
    """
    found = _SIDE.search(name)
    bare = _SIDE.sub(" ", name)
    spaced = re.sub(r"[\s_-]+", " ", bare).strip()
    return re.sub(r"\bdc\b", "DC", spaced), found[2].lower() if found else ""


def words(name: str) -> str:
    """Returns the name of a structure for a reader.

    >>> words("left-cerebral-cortex")
    'left cerebral cortex'
    """
    return " ".join(reversed(side(name))).strip()


def table(names: Sequence[str]) -> np.ndarray:
    """Returns the colour of each class, `(k, 3)` uint8; the background, class 0, is drawn nowhere.

    Structures are spread over the hues and three levels of lightness, next ones far apart.

    Args:
      names: Names of the classes, the background first.
    """
    bases = unique(side(name)[0] for name in names[1:])
    stride = next(step for step in range(max(1, len(bases) // 2), 999) if _coprime(step, bases))
    colors = [(0, 0, 0)]
    for name in names[1:]:
        base, hand = side(name)
        place = bases.index(base) * stride % len(bases)
        lightness = _LEVELS[place % len(_LEVELS)] - _DARKER * (hand == "right")
        hue = _FIRST_HUE + 2 * math.pi * place / len(bases)
        colors.append(_color(lightness, hue))
    return np.array(colors, np.uint8)


def legend(names: Sequence[str]) -> list[Entry]:
    """Returns the lines of the legend, a pair of structures in one.

    Args:
      names: Names of the classes, the background first.
    """
    lines: dict[str, list[tuple[str, str]]] = {}
    for name, color in zip(names[1:], table(names)[1:], strict=True):
        base, hand = side(name)
        lines.setdefault(base, []).append((hand, "#" + bytes(color).hex()))
    return [Entry(base, swatches) for base, swatches in lines.items()]


def _coprime(step: int, bases: Sequence[str]) -> bool:
    return math.gcd(step, len(bases)) == 1


def _color(lightness: float, hue: float) -> tuple[int, int, int]:
    """Returns the most colourful sRGB, up to a limit, of a lightness and hue of OKLCH."""
    for chroma in np.arange(_CHROMA, 0, -0.002):
        linear = _linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if linear.min() >= 0 and linear.max() <= 1:
            break
    else:
        linear = _linear(lightness, 0.0, 0.0)
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.round(255 * curved).astype(int).tolist()
    return red, green, blue


def _linear(lightness: float, a: float, b: float) -> np.ndarray:
    """Returns linear sRGB of a colour of OKLab (Ottosson, "A perceptual color space", 2020)."""
    to_cones = [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
    to_rgb = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
    return np.array(to_rgb) @ (np.array(to_cones) @ [lightness, a, b]) ** 3
