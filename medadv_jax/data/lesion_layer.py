"""The layer on which a synthetic lesion is painted: its coordinates, masks and smooth noise.

A layer is a square picture of the lesion alone, upright and centred. Lengths are in radii of the
lesion (`u`, `v`, from -SPAN to SPAN).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

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
