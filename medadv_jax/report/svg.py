"""Matplotlib figures as SVG: with fixed colours in a file, with those of the page in a page."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1b2128", "#5b6672", "#d5dae0", "#fefefe"
SERIES = ("#0068a8", "#c44e00", "#00825f", "#a3457f", "#8a6100", "#3c5a99", "#6b6f76")
"""Okabe and Ito's colours for the colour-blind, darkened to a contrast of 4.5 on white."""
THEME = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--surface"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES)
}
"""The colour of each role in a file, and the variable of the style sheet that replaces it."""
MARKERS = "osD^vPX"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), "--", ":", "-.")


@contextmanager
def style() -> Iterator[None]:
    """Sets the look of the figures that are made and written inside, and nothing outside.

    Text stays text (it can be searched, and takes the page's font), and equal figures give equal
    bytes.
    """
    looks: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "medadv_jax",
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": LINE,
        "axes.facecolor": PAPER,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
    }
    with matplotlib.rc_context(looks):
        yield


def text(figure: Figure) -> str:
    """Returns a figure as the text of an SVG file; call it inside `style()`."""
    file = io.StringIO()
    figure.savefig(file, format="svg", facecolor=PAPER, metadata={"Date": None})
    return file.getvalue()


def inline(svg: str, name: str, alt: str) -> str:
    """Returns an SVG file as an element for a page.

    Its colours become the page's variables, so that they follow light and dark; its ids get a
    prefix, because a page may hold each id once; what is only for a file goes.

    Args:
      svg: Text of a file, as `text` makes it.
      name: Prefix of the ids, different for each figure of a page.
      alt: What the figure shows, for who cannot see it.

    Returns:
      A `<svg role="img">` element.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # Its rule for all elements would hold for the whole page; the page's style sheet repeats it.
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)(?=[\")])", body))
    keep = lambda match: f' id="{name}-{match[1]}"' if match[1] in used else ""
    body = re.sub(r' id="([^"]+)"', keep, body)
    body = re.sub(r"((?:href=\"|url\()#)([\w-]+)", rf"\g<1>{name}-\g<2>", body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    for color, variable in THEME.items():
        body = body.replace(color, f"var({variable})")
    body = re.sub(r"\s*\n\s*", "\n", body)
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return body.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
