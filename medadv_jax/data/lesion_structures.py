"""The dermoscopic structures of a synthetic lesion, each painted by one function onto its layer.

Lengths are in radii of the lesion; what has a size of its own whatever the lesion's (a vessel, the
mesh of a network) is given in half widths of the field of view and divided by `layer.radius`.
"""

from collections.abc import Callable

import numpy as np

from medadv_jax.data.lesion_attributes import Lesion, generator
from medadv_jax.data.lesion_layer import SPAN, Layer, scatter, smooth


def pigment_network(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """A honeycomb of brown lines: even and fading, or (atypical) bent, thick, in patches."""
    atypical = lesion.pigment_network == "atypical"
    n, unit = layer.n, 1 / layer.radius
    turn, period, patch = rng.uniform((0, 0.105, 0), (1, 0.14, 1))
    bend = (0.06 if atypical else 0.028) * unit
    u, v = layer.u + bend * smooth(rng, n, 7), layer.v + bend * smooth(rng, n, 7)
    waves = np.zeros_like(u)
    for angle in (turn + np.arange(3) / 3) * np.pi:
        k = 2 * np.pi / (0.866 * period * unit)
        waves += np.cos(np.float32(k * np.cos(angle)) * u + np.float32(k * np.sin(angle)) * v)
    thick = (0.5 + 0.6 * smooth(rng, n, 5)) if atypical else 0.1
    mask = np.clip((thick - 0.25 - waves) / 0.8, 0, 1)
    mask *= np.clip((1.08 - layer.depth) / 0.25, 0, 1)
    if atypical:
        mask *= np.clip(0.7 + 0.9 * smooth(rng, n, 3) + (patch - 0.5) * layer.u, 0, 1)
    layer.darken(mask, (0.34, 0.28, 0.27) if atypical else (0.55, 0.47, 0.45))


def globules(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """Round brown clods: of one size and in rings, or (irregular) of many sizes and clumped."""
    unit = 1 / layer.radius
    if lesion.globules == "irregular":
        centres = scatter(rng, layer, int(rng.integers(9, 26)), clump=rng.uniform(0.2, 0.5))
        sizes = unit * rng.uniform(0.02, 0.075, len(centres))
        factors = (0.34, 0.28, 0.30)
    else:
        rings = ((0.84, 18), (0.56, 11), (0.28, 6))[: int(rng.integers(1, 4))]
        turns = np.concatenate([(np.arange(k) + 0.6 * rng.random(k)) / k for _, k in rings])
        depths = np.concatenate([rng.normal(depth, 0.03, k) for depth, k in rings])
        centres = layer.at(turns, depths)
        sizes = np.full(len(centres), unit * rng.uniform(0.034, 0.046))
        factors = (0.50, 0.42, 0.40)
    layer.darken(layer.blobs(centres, sizes), factors)


def streaks(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """Dark lines that leave the border: all round, or (irregular) in one or two sectors."""
    if lesion.streaks == "regular":
        count = int(rng.integers(18, 27))
        turns = (np.arange(count) + 0.3 * rng.random(count)) / count
    else:
        starts = rng.random(int(rng.integers(1, 3)))
        turns = np.concatenate(
            [start + np.linspace(0, rng.uniform(0.12, 0.3), 8) for start in starts]
        )
        turns = (turns + rng.normal(0, 0.008, len(turns))) % 1
    inner, outer = layer.at(turns, np.full(len(turns), 0.8)), rng.uniform(1.12, 1.32, len(turns))
    tips = layer.at(turns + rng.normal(0, 0.006, len(turns)), outer)
    width = 0.036 / layer.radius
    mask = layer.lines([(np.stack(pair), width) for pair in zip(inner, tips, strict=True)])
    mask = np.maximum(mask, layer.blobs(tips, np.full(len(tips), 0.8 * width)))
    layer.paint(0.8 * mask, (70, 46, 38), beyond=True)


def _tree(rng: np.random.Generator, start: np.ndarray, heading: float, unit: float) -> list:
    branches, growing = [], [(start, heading, 0.042, 0)]
    while growing:
        point, heading, width, order = growing.pop()
        turns = heading + np.cumsum(rng.normal(0, 0.28, 5))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=-1) * rng.uniform(0.035, 0.06) * unit
        path = np.concatenate([point[None], point + np.cumsum(steps, axis=0)])
        branches.append((path, width * unit))
        if order < 3:
            for side in (-0.55, 0.55):
                growing.append((path[-1], turns[-1] + side, 0.72 * width, order + 1))
            if rng.random() < 0.4:
                growing.append((path[2], turns[2] + rng.choice((-0.8, 0.8)), 0.6 * width, 2))
    return branches


def vessels(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """Branching trees, clusters of red dots, or the large red and maroon lakes of a haemangioma."""
    unit = 1 / layer.radius
    if lesion.vessels == "arborising":
        branches = []
        for turn in rng.random() + np.arange(int(rng.integers(2, 4))) / 3:
            start = layer.at(np.array([turn]), np.array([1.0]))[0]
            heading = 2 * np.pi * turn + np.pi + rng.normal(0, 0.4)
            branches += _tree(rng, start, heading, unit)
        reach = np.clip((1.4 - layer.depth) / 0.3, 0, 1)
        layer.paint(0.75 * reach * layer.lines(branches), (172, 40, 52), beyond=True)
    elif lesion.vessels == "dotted":
        centres = scatter(rng, layer, int(rng.integers(24, 60)), clump=rng.uniform(0, 0.25))
        sizes = unit * rng.uniform(0.022, 0.034, len(centres))
        layer.paint(0.8 * layer.blobs(centres, sizes), (166, 34, 50))
    else:
        for colour in ((160, 26, 48), (96, 20, 50)):
            centres = scatter(rng, layer, int(rng.integers(3, 7)), depth=0.8)
            sizes = unit * rng.uniform(0.06, 0.14, (len(centres), 2))
            layer.paint(0.8 * layer.blobs(centres, sizes, blur=0.02 * unit), colour)


def blue_white_veil(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """A blue-white haze without structure over a part of the lesion."""
    (x, y), extent = scatter(rng, layer, 1, depth=0.45)[0], rng.uniform(0.5, 0.75)
    distance = np.hypot(layer.u - np.float32(x), layer.v - np.float32(y))
    mask = np.clip((extent - distance + 0.14 * smooth(rng, layer.n, 6)) / 0.2 + 0.5, 0, 1)
    layer.paint(0.7 * mask, (136, 150, 178))


def ovoid_nests(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """Blue-grey ovals with a soft edge."""
    centres = scatter(rng, layer, int(rng.integers(2, 7)), depth=0.8)
    sizes = rng.uniform(0.055, 0.13, (len(centres), 2)) / layer.radius
    layer.paint(0.8 * layer.blobs(centres, sizes, blur=0.015 / layer.radius), (82, 90, 122))


def scale(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """White and yellow flakes and crusts on the surface."""
    cells = max(6, round(2 * SPAN * layer.radius / 0.11))
    flakes = np.clip((smooth(rng, layer.n, cells) - rng.uniform(0.25, 0.6)) / 0.5, 0, 1)
    flakes *= np.clip((1.05 - layer.depth) / 0.1, 0, 1)
    layer.paint(0.7 * flakes, (238, 226, 194), beyond=True)


def milia_cysts(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """White-yellow dots that shine, and now and then dark plugs beside them."""
    unit = 1 / layer.radius
    centres = scatter(rng, layer, int(rng.integers(5, 16)))
    sizes = unit * rng.uniform(0.028, 0.046, len(centres))
    plugs = scatter(rng, layer, int(rng.integers(1, 8)))
    if rng.random() < 0.6:
        layer.darken(layer.blobs(plugs, np.full(len(plugs), 0.044 * unit)), (0.4, 0.34, 0.3))
    layer.paint(0.88 * layer.blobs(centres, sizes, blur=0.006 * unit), (252, 242, 214))


def white_patch(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """A scar-like white centre with a frayed edge."""
    (x, y), extent = scatter(rng, layer, 1, depth=0.2)[0], rng.uniform(0.3, 0.5)
    distance = np.hypot(layer.u - np.float32(x), layer.v - np.float32(y))
    mask = np.clip((extent - distance + 0.12 * smooth(rng, layer.n, 10)) / 0.2 + 0.5, 0, 1)
    layer.paint(0.75 * mask, (232, 208, 200))


BRUSHES: tuple[Callable[[np.random.Generator, Layer, Lesion], None], ...] = (
    pigment_network,
    globules,
    ovoid_nests,
    white_patch,
    blue_white_veil,
    streaks,
    milia_cysts,
    vessels,
    scale,
)
"""In the order of depth, each named as its attribute."""


def paint_structures(layer: Layer, lesion: Lesion) -> None:
    """Paints what the lesion has; a structure looks the same whichever others are present."""
    for part, brush in enumerate(BRUSHES, start=1):
        if getattr(lesion, brush.__name__) not in (False, "absent"):
            brush(generator(lesion.stream, part), layer, lesion)
