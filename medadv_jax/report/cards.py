"""The examples of a page: pictures as addresses, with what stands beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from medadv_jax.evaluate import Picture
from medadv_jax.report import colors, dense, formats, gallery, images


def cards(examples: Sequence[Picture], names: Sequence[str]) -> tuple[list[dict[str, Any]], int]:
    """Returns the examples as long as they fit the page, and how many did not.

    Args:
      examples: What to show.
      names: Names of the classes.
    """
    shown, used = [], 0
    for example in examples:
        made = (_segmented if dense.is_dense(example) else _classified)(example, names)
        used += sum(len(uri) for picture in made["pictures"] for uri in picture["uris"])
        if used > gallery.BUDGET:
            break
        height, width = np.shape(dense.planar(example).clean)[:2]
        common = {"title": gallery.setting(example).label, "model": example.model}
        shown.append(common | {"height": height, "width": width} | made)
    return shown, len(examples) - len(shown)


def _classified(example: Picture, names: Sequence[str]) -> dict[str, Any]:
    """Returns an example with one label: three pictures, two predictions."""
    change, factor = images.enlarged(example.clean, example.perturbed)
    label = names[int(example.label)]
    drawn = (
        (example.clean, "clean", "The clean image"),
        (change, f"× {factor}", f"The perturbation, enlarged {factor} times"),
        (example.perturbed, "perturbed", "The perturbed image"),
    )
    before = _prediction(example.clean_probabilities, example.label, names)
    verdict = "fooled" if example.success else "held" if before["right"] else "wrong before"
    return {
        "dense": False,
        "pictures": [
            {"caption": caption, "alt": f"{alt} of a {label}", "uris": [_uri(image)]}
            for image, caption, alt in drawn
        ],
        "label": label,
        "before": before,
        "after": _prediction(example.perturbed_probabilities, example.label, names),
        "verdict": verdict,
        "harmed": bool(example.success),
    }


def _prediction(probabilities: Any, label: Any, names: Sequence[str]) -> dict[str, Any]:
    best = gallery.likeliest(probabilities)
    return {
        "name": names[best],
        "confidence": float(np.asarray(probabilities)[best]),
        "right": best == int(label),
    }


def _segmented(example: Picture, names: Sequence[str]) -> dict[str, Any]:
    """Returns a segmented example: five pictures, Dice before and after, and visibility."""
    example = dense.planar(example)
    table = colors.table(names)
    before, after = dense.scores(example, names)
    size = dense.distances(example)
    return {
        "dense": True,
        "pictures": [
            {"caption": panel.caption, "alt": panel.alt, "uris": _layers(panel, table)}
            for panel in dense.panels(example)
        ],
        "before": formats.score(before),
        "after": formats.score(after),
        "facts": {
            "SSIM": formats.ssim(size["ssim"]),
            "L2": formats.size(size["l2"], 2),
            "Linf": formats.size(size["linf"], 2),
        },
        "verdict": f"Dice {formats.signed(after - before)}",
        "harmed": after < before,
    }


def _layers(panel: dense.Panel, table: np.ndarray) -> list[str]:
    """Returns the image, and the label map to lay over it."""
    below = [_uri(panel.image)]
    if panel.labels is None:
        return below
    return [*below, images.data_uri(images.overlay(panel.labels, table), "image/png")]


def _uri(image: Any) -> str:
    return images.data_uri(*images.encode(image))
