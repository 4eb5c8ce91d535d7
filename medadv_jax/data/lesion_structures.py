"""The dermoscopic structures of a synthetic lesion, each painted by one function onto its layer.

A layer is a square picture of the lesion alone, upright and centred. Lengths are in radii of the
lesion (`u`, `v`, from -SPAN to SPAN) or, where a structure has a size of its own whatever the
lesion's, in half widths of the field of view divided by `layer.radius`.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from medadv_jax.data.lesion_attributes import Lesion, generator

SPAN = 1.5
ANGLES = 1024
Draw = Callable[[ImageDraw.ImageDraw], None]


@functools.lru_cache(8)
def grid(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns u, v, the radius and the number of the angle (of ANGLES) of n x n pixels."""
    line = ((np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1) * SPAN
    u, v = np.meshgrid(line, line)
    turn = np.arctan2(v, u) / (2 * np.pi) % 1
    return u, v, np.hypot(u, v), (turn * ANGLES).astype(np.int32) % ANGLES


def pixel(values: Sequence[int] | Sequence[float]) -> np.ndarray:
    """Returns red, green and blue as one float32 pixel (1, 1, 3)."""
    return np.asarray(values, np.float32)[None, None]


def smooth(rng: np.random.Generator, n: int, cells: int) -> np.ndarray:
    """Returns n x n pixels of smooth noise, `cells` bumps wide, the same picture for every n."""
    knots = rng.standard_normal((cells + 1, cells + 1), dtype=np.float32)
    return np.asarray(Image.fromarray(knots).resize((n, n), Image.Resampling.BICUBIC))


@dataclasses.dataclass
class Layer:
    """A lesion under the brush: colour and opacity of its pixels.

    Attributes:
      rgb: float32 (n, n, 3) in grey levels of 255.
      alpha: float32 (n, n) in [0, 1].
      outline: The outline's radius at each of ANGLES angles.
      radius: The lesion's radius in half widths of the field of view.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    outline: np.ndarray
    radius: float

    def __post_init__(self):
        self.n = self.alpha.shape[0]
        self.u, self.v, rho, turn = grid(self.n)
        self.depth = rho / self.outline[turn]  # 0 in the centre, 1 on the outline

    def paint(self, mask: np.ndarray, colour: tuple[int, int, int], beyond: bool = False) -> None:
        """Covers the pixels under a mask in [0, 1], `beyond` the outline too."""
        self.rgb += mask[..., None] * (pixel(colour) - self.rgb)
        if beyond:
            np.maximum(self.alpha, mask, out=self.alpha)

    def darken(self, mask: np.ndarray, factors: tuple[float, float, float]) -> None:
        """Multiplies the pixels under a mask by factors of red, green and blue."""
        self.rgb *= 1 - mask[..., None] * (1 - pixel(factors))

    def stencil(self, draw: Draw, blur: float = 0.0) -> np.ndarray:
        """Returns the mask of what is drawn on a canvas of twice the pixels, blurred (in radii)."""
        canvas = Image.new("L", (2 * self.n, 2 * self.n))
        draw(ImageDraw.Draw(canvas))
        small = canvas.reduce(2)
        if blur:
            small = small.filter(ImageFilter.GaussianBlur(blur * self.n / (2 * SPAN)))
        return np.asarray(small, np.float32) / 255

    def on_canvas(self, lengths: np.ndarray) -> np.ndarray:
        """Converts coordinates in radii to those of a stencil's canvas."""
        return (np.asarray(lengths) / SPAN + 1) * self.n

    def at(self, turns: np.ndarray, depths: np.ndarray) -> np.ndarray:
        """Returns the points (k, 2) at angles in turns and depths (1 is on the outline)."""
        reach = depths * self.outline[(turns * ANGLES).astype(int) % ANGLES]
        angles = 2 * np.pi * turns
        return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=-1)

    def blobs(self, centres: np.ndarray, sizes: np.ndarray, blur: float = 0.0) -> np.ndarray:
        """Returns the mask of discs (or ellipses, sizes (k, 2)) at points (k, 2), all in radii."""
        half = np.broadcast_to(sizes.reshape(len(sizes), -1), centres.shape)
        boxes = self.on_canvas(np.concatenate([centres - half, centres + half], axis=-1)).tolist()

        def draw(canvas: ImageDraw.ImageDraw) -> None:
            for box in boxes:
                canvas.ellipse(box, fill=255)

        return self.stencil(draw, blur)

    def lines(self, lines: list[tuple[np.ndarray, float]]) -> np.ndarray:
        """Returns the mask of polylines, each with its width, in radii."""
        scale = self.n / SPAN

        def draw(canvas: ImageDraw.ImageDraw) -> None:
            for points, width in lines:
                path = [tuple(point) for point in self.on_canvas(points).tolist()]
                canvas.line(path, fill=255, width=max(1, round(width * scale)))

        return self.stencil(draw)


def scatter(
    rng: np.random.Generator, layer: Layer, count: int, *, depth: float = 0.9, clump: float = 0.0
) -> np.ndarray:
    """Returns points (count, 2) inside the outline, drawn together round one of them by `clump`."""
    points = layer.at(rng.random(count), depth * np.sqrt(rng.random(count)))
    return points + clump * (points[:1] - points)


def pigment_network(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """A honeycomb of brown lines: even and fading, or (atypical) bent, thick, in patches."""
    atypical = lesion.pigment_network == "atypical"
    n, unit = layer.n, 1 / layer.radius
    turn, period, patch = rng.uniform((0, 0.09, 0), (1, 0.125, 1))
    bend = (0.05 if atypical else 0.028) * unit
    u, v = layer.u + bend * smooth(rng, n, 7), layer.v + bend * smooth(rng, n, 7)
    waves = np.zeros_like(u)
    for angle in (turn + np.arange(3) / 3) * np.pi:
        k = 2 * np.pi / (0.866 * period * unit)
        waves += np.cos(np.float32(k * np.cos(angle)) * u + np.float32(k * np.sin(angle)) * v)
    thick = (0.35 + 0.5 * smooth(rng, n, 5)) if atypical else 0.1
    mask = np.clip((thick - 0.25 - waves) / 0.8, 0, 1)
    mask *= np.clip((1.08 - layer.depth) / 0.25, 0, 1)
    if atypical:
        mask *= np.clip(0.7 + 0.9 * smooth(rng, n, 3) + (patch - 0.5) * layer.u, 0, 1)
    layer.darken(mask, (0.40, 0.34, 0.32) if atypical else (0.60, 0.53, 0.50))


def globules(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """Round brown clods: of one size and in rings, or (irregular) of many sizes and clumped."""
    unit = 1 / layer.radius
    if lesion.globules == "irregular":
        centres = scatter(rng, layer, int(rng.integers(9, 26)), clump=rng.uniform(0.2, 0.5))
        sizes = unit * rng.uniform(0.016, 0.062, len(centres))
        factors = (0.34, 0.28, 0.30)
    else:
        rings = ((0.84, 20), (0.56, 13), (0.28, 7))[: int(rng.integers(1, 4))]
        turns = np.concatenate([(np.arange(k) + 0.6 * rng.random(k)) / k for _, k in rings])
        depths = np.concatenate([rng.normal(depth, 0.03, k) for depth, k in rings])
        centres = layer.at(turns, depths)
        sizes = np.full(len(centres), unit * rng.uniform(0.026, 0.036))
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
    width = 0.03 / layer.radius
    mask = layer.lines([(np.stack(pair), width) for pair in zip(inner, tips, strict=True)])
    mask = np.maximum(mask, layer.blobs(tips, np.full(len(tips), 0.8 * width)))
    layer.paint(0.8 * mask, (70, 46, 38), beyond=True)


def _tree(rng: np.random.Generator, start: np.ndarray, heading: float, unit: float) -> list:
    branches, growing = [], [(start, heading, 0.03, 0)]
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
        layer.paint(0.66 * reach * layer.lines(branches), (172, 40, 52), beyond=True)
    elif lesion.vessels == "dotted":
        centres = scatter(rng, layer, int(rng.integers(24, 60)), clump=rng.uniform(0, 0.25))
        sizes = unit * rng.uniform(0.016, 0.026, len(centres))
        layer.paint(0.75 * layer.blobs(centres, sizes), (166, 34, 50))
    else:
        for colour in ((160, 26, 48), (96, 20, 50)):
            centres = scatter(rng, layer, int(rng.integers(3, 7)), depth=0.8)
            sizes = unit * rng.uniform(0.05, 0.12, (len(centres), 2))
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
    sizes = rng.uniform(0.045, 0.11, (len(centres), 2)) / layer.radius
    layer.paint(0.8 * layer.blobs(centres, sizes, blur=0.015 / layer.radius), (82, 90, 122))


def scale(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """White and yellow flakes and crusts on the surface."""
    cells = max(6, round(2 * SPAN * layer.radius / 0.11))
    flakes = np.clip((smooth(rng, layer.n, cells) - rng.uniform(0.25, 0.6)) / 0.5, 0, 1)
    flakes *= np.clip((1.05 - layer.depth) / 0.1, 0, 1)
    layer.paint(0.6 * flakes, (238, 226, 194), beyond=True)


def milia_cysts(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """White-yellow dots that shine, and now and then dark plugs beside them."""
    unit = 1 / layer.radius
    centres = scatter(rng, layer, int(rng.integers(5, 16)))
    sizes = unit * rng.uniform(0.02, 0.036, len(centres))
    plugs = scatter(rng, layer, int(rng.integers(1, 8)))
    if rng.random() < 0.6:
        layer.darken(layer.blobs(plugs, np.full(len(plugs), 0.036 * unit)), (0.4, 0.34, 0.3))
    layer.paint(0.8 * layer.blobs(centres, sizes, blur=0.006 * unit), (248, 236, 204))


def white_patch(rng: np.random.Generator, layer: Layer, lesion: Lesion) -> None:
    """A scar-like white centre with a frayed edge."""
    (x, y), extent = scatter(rng, layer, 1, depth=0.2)[0], rng.uniform(0.3, 0.5)
    distance = np.hypot(layer.u - np.float32(x), layer.v - np.float32(y))
    mask = np.clip((extent - distance + 0.12 * smooth(rng, layer.n, 10)) / 0.2 + 0.5, 0, 1)
    layer.paint(0.66 * mask, (230, 208, 200))


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
