"""A segmented image before and after a perturbation: label maps over images, and their overlap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from medadv_jax import metrics
from medadv_jax.evaluate import Picture
from medadv_jax.metrics.images import WINDOW
from medadv_jax.report import images

MOST = 256
"""Most classes of a label map that fit the palette of a picture."""


class Panel(NamedTuple):
    """One of the pictures of an example.

    Attributes:
      caption: What stands under it.
      alt: What it shows, for who cannot see it.
      image: `(h, w)` or `(h, w, 3)` in [0, 1].
      labels: `(h, w)`, the label map over it; None for a bare image.
    """

    caption: str
    alt: str
    image: np.ndarray
    labels: np.ndarray | None = None


def is_dense(example: Picture) -> bool:
    """Returns whether an example has a label map and not one label."""
    return np.ndim(example.label) > 1


def check(number: int, example: Picture, num_classes: int) -> None:
    """Refuses a segmented example that cannot be drawn.

    Raises:
      ValueError: if its images are not `(h, w, 1)` or `(d, h, w, 1)`, or its label maps do not fit
        them or the classes.
    """
    check_palette(num_classes)
    shape = np.shape(example.clean)
    if np.shape(example.perturbed) != shape or len(shape) not in (3, 4) or shape[-1] not in (1, 3):
        raise ValueError(
            f"Example {number}: clean and perturbed of a label map are (h, w, c) or (d, h, w, c) "
            f"and alike, got {shape} and {np.shape(example.perturbed)}."
        )
    for name in ("label", "clean_prediction", "perturbed_prediction"):
        labels = getattr(example, name)
        if np.shape(labels) != shape[:-1]:
            raise ValueError(
                f"Example {number}: {name} is a label map of shape {shape[:-1]}, "
                f"got {np.shape(labels)}."
            )
        lowest = -1 if name == "label" else 0
        check_labels(f"Example {number}: {name}", labels, lowest, num_classes)


def check_palette(num_classes: int) -> None:
    """Raises ValueError if there are more classes than a picture has colours."""
    if num_classes > MOST:
        raise ValueError(f"A picture shows at most {MOST} classes, got {num_classes}.")


def check_labels(name: str, labels: Any, lowest: int, num_classes: int) -> None:
    """Raises ValueError if a label is neither a class nor, where `lowest` is -1, unknown."""
    if not lowest <= np.min(labels) <= np.max(labels) < num_classes:
        raise ValueError(
            f"{name} lies in {lowest} .. {num_classes - 1}, "
            f"got {np.min(labels)} .. {np.max(labels)}."
        )


def fullest(labels: Any) -> int:
    """Returns the number of the slice of `(n, h, w)` that has most of the structures."""
    return int(np.argmax((np.asarray(labels) > 0).sum(axis=(1, 2))))


def planar(example: Picture) -> Picture:
    """Returns an example as it is, but of a volume the slice that has most of the structures."""
    if np.ndim(example.label) < 3:
        return example
    place = fullest(example.label)
    names = ("clean", "perturbed", "label", "clean_prediction", "perturbed_prediction")
    return example._replace(**{name: getattr(example, name)[place] for name in names})


def mean_dice(prediction: Any, truth: Any, num_classes: int) -> float:
    """Returns the mean Dice of one slice over the structures that it shows, NaN if there is none.

    The score of a subject is over all its slices together and thus another number.

    >>> mean_dice(np.array([[1, 1, 2, 3]]), np.array([[1, 0, 0, 3]]), 4)
    0.8333333333333333
    """
    found = metrics.segmentation.dice(np.asarray(prediction), np.asarray(truth), num_classes)
    found = found[~np.isnan(found)]
    return float(found.mean()) if found.size else float("nan")


def distances(example: Picture) -> dict[str, float]:
    """Returns how far the perturbed image is from the clean one: SSIM, L2 and Linf."""
    clean, perturbed = (
        np.asarray(image, np.float32) for image in (example.clean, example.perturbed)
    )
    small = min(clean.shape[:-1]) < WINDOW
    return {
        "ssim": float("nan") if small else float(metrics.ssim(clean, perturbed)),
        "l2": float(metrics.l2(clean, perturbed)),
        "linf": float(metrics.linf(clean, perturbed)),
    }


def panels(example: Picture) -> list[Panel]:
    """Returns the pictures of a segmented slice, from the clean image to the perturbation."""
    clean, perturbed = images.unit(example.clean), images.unit(example.perturbed)
    change, factor = images.enlarged(example.clean, example.perturbed)
    before, after = (
        np.asarray(labels) for labels in (example.clean_prediction, example.perturbed_prediction)
    )
    return [
        Panel("clean", "The clean image", clean),
        Panel(
            "truth", "The true structures over the clean image", clean, np.asarray(example.label)
        ),
        Panel("prediction", "The predicted structures over the clean image", clean, before),
        Panel(
            "prediction, perturbed",
            "The predicted structures over the perturbed image",
            perturbed,
            after,
        ),
        Panel(
            f"perturbation × {factor}",
            f"The perturbation on grey, enlarged {factor} times",
            change,
        ),
    ]


def scores(example: Picture, class_names: Sequence[str]) -> tuple[float, float]:
    """Returns the mean Dice of a slice before and after the perturbation."""
    before, after = example.clean_prediction, example.perturbed_prediction
    return (
        mean_dice(before, example.label, len(class_names)),
        mean_dice(after, example.label, len(class_names)),
    )
