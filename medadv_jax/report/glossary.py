"""What the attacks are, in a line each, for readers of a report."""

from collections.abc import Sequence

from medadv_jax.report.rows import Row, letters, setting, unique

LINES = {
    "fgsm": "One step of size ε along the sign of the gradient of the loss.",
    "bim": "Small steps along the sign of the gradient, kept within ε.",
    "pgd": "BIM from a random start within ε.",
    "mim": "BIM with momentum.",
    "apgd": "PGD that chooses its step by its progress.",
    "pgddice": "PGD on the Dice loss, of which each structure is an equal part.",
    "segpgd": "PGD that looks at the pixels that are right first, and at all of them in the end.",
    "cospgd": "PGD in which a pixel weighs as much as its prediction still agrees with its label.",
    "sea": "Three PGDs of many steps with losses that look away from fallen pixels; the worst of "
    "them counts.",
    "dag": "Dense Adversarial Generation: steps that turn the pixels of structures away from their "
    "label, until 1 % of them are left.",
    "daga": "DAG towards background everywhere.",
    "dagb": "DAG towards the two largest structures of the slice swapped.",
    "dagc": "DAG towards one structure of the slice, drawn at random, grown by six pixels.",
    "asma": "Adaptive steps towards a target map, as small as will do.",
    "deepfool": "The shortest way to the nearest class, by linearising the model again and again.",
    "saliencymap": "Sets the few values that matter most to their extreme.",
    "universal": "One perturbation for all images, fitted to a network on other images than these.",
    "riciannoise": "The noise of magnitude MR images. What is black turns grey, in air most of "
    "all: where an image is mostly background, SSIM falls much faster under it than under Gaussian "
    "noise of the same σ.",
}
"""By the letters of a perturbation's name; see `rows.letters`."""


def terms(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Returns the perturbations of some rows that a line is known of, with the line."""
    names = unique(setting(row).family for row in rows if row["access"] != "clean")
    return [(name, LINES[letters(name)]) for name in names if letters(name) in LINES]
