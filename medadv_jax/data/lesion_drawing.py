"""Draws a synthetic lesion as a dermatoscope would see it.

The lesion is painted upright on a layer of its own, laid onto skin under the camera's angle, and
photographed: hair and ruler over it, light, vignette, lens and sensor. Every random draw is made
before the size is used (but for the sensor's noise), so one lesion looks alike at every size.
"""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from medadv_jax.data.lesion_attributes import PALETTE, Lesion, View, generator
from medadv_jax.data.lesion_layer import ANGLES, SPAN, Layer, grid, pixel, smooth
from medadv_jax.data.lesion_structures import paint_structures

SKIN = np.array(  # Fitzpatrick types I to VI
    [
        (238, 206, 194),
        (226, 186, 166),
        (206, 160, 134),
        (174, 124, 96),
        (134, 92, 70),
        (98, 68, 54),
    ],
    np.float32,
)
SMALLEST = 16
# Parts of a stream; of a lesion's, those below are taken by its attributes and structures.
BODY, SKIN_SHADE = 100, 101
SURFACE, HAIR, RULER, VIGNETTE, SENSOR = 1, 2, 3, 4, 5


@functools.lru_cache(8)
def _field(n: int) -> tuple[np.ndarray, np.ndarray]:
    line = (np.arange(n, dtype=np.float32) + 0.5) * 2 / n - 1
    x, y = np.meshgrid(line, line)
    return x, y


def check_size(size: int) -> None:
    """Raises ValueError for a size that leaves nothing to see."""
    if size < SMALLEST:
        raise ValueError(
            f"A lesion phantom has at least {SMALLEST} pixels a side, got size {size}."
        )


def canvas_size(size: int) -> int:
    """Returns the pixels a side on which lines are drawn before they are averaged: 2x up to 256."""
    return max(size, min(2 * size, 256))


def _shrink(canvas: Image.Image, size: int) -> np.ndarray:
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX), np.float32)


def _outline(rng: np.random.Generator, lesion: Lesion) -> np.ndarray:
    """Radius of the outline at each angle: a Fourier series whose high orders make it ragged."""
    orders = np.arange(2, 13)
    broad = (0.04 + 0.15 * lesion.asymmetry) / (orders - 1)
    ragged = 0.22 * lesion.border_irregularity / orders
    amplitudes = np.where(orders < 4, broad, ragged) * rng.normal(0, 0.8, len(orders))
    phases = rng.random(len(orders))
    turns = np.arange(ANGLES) / ANGLES
    waves = np.cos(2 * np.pi * (turns[:, None] * orders[None] + phases[None]))
    return np.clip(1 + waves @ amplitudes, 0.55, 1.35).astype(np.float32)


def _colours(rng: np.random.Generator, layer: Layer, lesion: Lesion, skin: np.ndarray) -> None:
    """Fills the layer with the lesion's colours, in rings if it is symmetric, else in sectors."""
    tint = 0.55 + 0.45 * skin / SKIN[0]
    jitter = rng.normal(0, 9, (len(lesion.colours), 1)) + rng.normal(0, 3, (len(lesion.colours), 3))
    shades = np.array([PALETTE[name][0] for name in lesion.colours]) * tint[None] + jitter
    shares = np.array([1.4] + [1.0] * (len(shades) - 1)) * rng.uniform(0.6, 1.4, len(shades))
    order = rng.permutation(len(shades))
    angle, skew = rng.uniform(0, 2 * np.pi), lesion.asymmetry
    across = np.float32(np.cos(angle)) * layer.u + np.float32(np.sin(angle)) * layer.v
    level = (1 - skew) * layer.depth + skew * across + (0.2 + 0.3 * skew) * smooth(rng, layer.n, 5)
    inside = level[::4, ::4][layer.depth[::4, ::4] < 1]
    cuts = np.quantile(inside, np.cumsum(shares[order])[:-1] / shares.sum())
    # One table from level to colour, so that each further colour costs no pass over the pixels.
    levels = np.linspace(-3, 3, 512)
    table = np.tile(shades[order[0]], (512, 1))
    for cut, i in zip(cuts, order[1:], strict=True):
        weight = np.clip((levels - cut) / 0.3 + 0.5, 0, 1)[:, None]
        table += weight * (shades[i] - table)
    entries = np.clip((level + 3) * (511 / 6), 0, 511).astype(np.int32)
    layer.rgb[:] = np.take(table.astype(np.float32), entries, axis=0)
    layer.rgb *= (1 + 0.07 * smooth(rng, layer.n, 14))[..., None]


def _paint(lesion: Lesion, n: int, skin: np.ndarray) -> Image.Image:
    """The lesion alone, upright, on n x n pixels: colour times opacity, and opacity as a fourth."""
    rng = generator(lesion.stream, BODY)
    outline = _outline(rng, lesion)
    depth = grid(n)[2] / outline[grid(n)[3]]
    depth += (0.04 + 0.14 * lesion.border_irregularity) * smooth(rng, n, 9)
    softness = 0.08 + 0.5 * (1 - lesion.border_sharpness)
    opacity = rng.uniform(0.82, 0.98)
    alpha = opacity * np.clip((1 - depth) / softness + 0.5, 0, 1)
    layer = Layer(np.empty((n, n, 3), np.float32), alpha, outline, lesion.radius)
    _colours(rng, layer, lesion, skin)
    paint_structures(layer, lesion)
    cover = layer.alpha[..., None]
    pixels = np.concatenate([np.clip(layer.rgb, 0, 255) * cover, 255 * cover], axis=-1)
    # Not as RGBA: Pillow would multiply by the opacity once more, and divide after each step.
    return Image.frombytes("RGBX", (n, n), np.round(pixels).astype(np.uint8).tobytes())


def _place(layer: Image.Image, lesion: Lesion, view: View, size: int) -> np.ndarray:
    """The layer as it lies in the field of view, float32 (size, size, 4)."""
    m, n = layer.width, canvas_size(size)
    step = m / (2 * SPAN * lesion.radius)  # pixels of the layer in a half width of the field
    cos, sin = step * np.cos(view.rotation), step * np.sin(view.rotation)
    x, y = 1 + view.shift[0], 1 + view.shift[1]
    across = (cos * 2 / n, sin * 2 / n, m / 2 - cos * x - sin * y)
    down = (-sin * 2 / n, cos * 2 / n, m / 2 + sin * x - cos * y)
    placed = layer.transform(
        (n, n), Image.Transform.AFFINE, (*across, *down), Image.Resampling.BILINEAR
    )
    return _shrink(placed, size)


def _surface(view: View, size: int, skin: np.ndarray) -> np.ndarray:
    """Bare skin: shades, redness and fine relief, float32 (size, size, 3)."""
    rng = generator(view.stream, SURFACE)
    shade = 1 + 0.035 * smooth(rng, size, 4) + 0.022 * smooth(rng, size, 40)
    red = 0.8 * smooth(rng, size, 7) + 0.5 * smooth(rng, size, 16)
    return shade[..., None] * skin + red[..., None] * pixel((2, -5, -4))


def _hair(view: View, size: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    rng = generator(view.stream, HAIR)
    n = canvas_size(size)
    canvas = Image.new("L", (n, n))
    pen = ImageDraw.Draw(canvas)
    colour = ((38, 28, 26), (70, 48, 36), (120, 92, 66))[int(rng.choice(3, p=(0.5, 0.35, 0.15)))]
    t = np.linspace(0, 1, 10)[:, None]
    main = rng.uniform(0, 2 * np.pi)
    for _ in range(view.hair):
        start, bow = rng.uniform(-1.1, 1.1, 2), rng.normal(0, 0.2, 2)
        angle, length = main + rng.normal(0, 0.5), rng.uniform(0.5, 1.5)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        path = (1 - t) * start[None] + t * end[None] + 4 * t * (1 - t) * bow[None]
        width = max(1, round(rng.uniform(0.008, 0.019) * n / 2))
        pen.line([tuple(point) for point in ((path + 1) * n / 2).tolist()], fill=230, width=width)
    return _shrink(canvas, size), colour


def _ruler(view: View, size: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    rng = generator(view.stream, RULER)
    n = canvas_size(size)
    canvas = Image.new("L", (n, n))
    pen = ImageDraw.Draw(canvas)
    offset, start, spacing = rng.uniform((0.78, 0, 0.09), (0.94, 0.1, 0.13))
    side, upright = rng.choice((-1, 1)), rng.random() < 0.5
    colour = (36, 36, 42) if rng.random() < 0.7 else (236, 236, 232)
    for i, along in enumerate(np.arange(start - 1, 1, spacing)):
        tip = offset - (0.13 if i % 5 == 0 else 0.06)
        ends = np.array([[along, side * offset], [along, side * tip]])
        path = ((ends[:, ::-1] if upright else ends) + 1) * n / 2
        pen.line([tuple(p) for p in path.tolist()], fill=230, width=max(1, round(0.012 * n)))
    return _shrink(canvas, size), colour


def _photograph(pixels: np.ndarray, view: View) -> Image.Image:
    """Lens, light, vignette and sensor."""
    size = len(pixels)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(view.blur / 1000 * size))
    x, y = _field(size)
    lamp = 1 + np.float32(view.slope[0]) * x + np.float32(view.slope[1]) * y
    if view.vignette:
        rng = generator(view.stream, VIGNETTE)
        edge, dark = rng.uniform((0.98, 0.05), (1.2, 0.25))
        rim = np.clip((np.hypot(x, y) - np.float32(edge)) / 0.1 + 0.5, 0, 1)
        lamp *= 1 - np.float32(1 - dark) * rim
    noise = generator(view.stream, SENSOR).standard_normal((size, size, 3), np.float32)
    lit = np.asarray(image, np.float32) * lamp[..., None] * pixel(view.light)
    return Image.fromarray(
        np.clip(lit + np.float32(view.noise) * noise + 0.5, 0, 255).astype(np.uint8)
    )


def draw(lesion: Lesion, view: View, size: int) -> Image.Image:
    """Returns the picture of a lesion, RGB, size x size.

    The lesion, hair and ruler are drawn on more pixels (see `canvas_size`), then averaged.

    Args:
      lesion: What is seen.
      view: How it is seen.
      size: Width and height in pixels, at least 16.

    Raises:
      ValueError: for a smaller size.
    """
    check_size(size)
    skin = SKIN[lesion.skin_tone - 1] + np.float32(
        generator(lesion.stream, SKIN_SHADE).normal(0, 5)
    )
    layer = _paint(lesion, round(0.75 * canvas_size(size)), skin)
    placed = _place(layer, lesion, view, size)
    pixels = _surface(view, size, skin)
    pixels = pixels * (1 - placed[..., 3:] / 255) + placed[..., :3]
    for present, brush in ((view.hair, _hair), (view.ruler_marks, _ruler)):
        if present:
            mask, colour = brush(view, size)
            pixels += mask[..., None] / 255 * (pixel(colour) - pixels)
    return _photograph(pixels, view)
