"""Segmentation networks: how they are trained and validated."""

import dataclasses
import functools
import pathlib
import warnings

import flax.linen as nn
import numpy as np

from experiments import trained
from medadv_jax import data, losses, metrics, train
from medadv_jax.data.maps import centred


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(trained.Settings):
    """All that decides a trained segmentation network, besides its data.

    Attributes:
      image_size: Height and width that slices are cut and padded to; None leaves them as they are.
      least_weight: Smallest weight of a class. By its frequency the background would weigh less
        than a thousandth: its pixels could then be given to any structure at no cost, and are.
      edges: Further weight of the pixels at an edge between structures; a pixel of the structure
        of median size has the weight 1.
    """

    image_size: tuple[int, int] | None
    batch_size: int = 8
    least_weight: float = 0.1
    edges: float = 2.0


def segmenter(
    settings: Settings,
    training: data.Source,
    validation: data.Source,
    directory: pathlib.Path,
    *,
    progress: bool = True,
) -> trained.Trained:
    """Trains a segmentation network, or reads it; the mean Dice in validation chooses the step.

    Args:
      settings: What to train and how.
      training: Slices to train on; those without a structure are left out.
      validation: Slices to choose the step by; those without a structure are left out.
      directory: Where the folder of its checkpoints lies.
      progress: Whether a progress bar is shown.

    Returns:
      The network.
    """
    training, validation = filled(training), filled(validation)
    height, width, channels = training[0]["image"].shape
    height, width = settings.image_size or (height, width)
    return trained.network(
        settings,
        training,
        validation,
        directory,
        image_shape=(height, width, channels),
        objective=functools.partial(_objective, settings, training),
        batches=lambda start: data.batches(
            training,
            settings.batch_size,
            image_size=settings.image_size,
            seed=settings.seed,
            epochs=None,
            start=start,
            augment=data.augment.mri(settings.strength),
        ),
        score=trained.score(
            metrics.dice(validation.num_classes),
            validation,
            data.batches(validation, settings.batch_size, image_size=settings.image_size),
        ),
        progress=progress,
    )


def filled(source: data.Source) -> data.Source:
    """Returns the slices with a structure."""
    return source.select(source.column("foreground") > 0)


def class_counts(source: data.Source, image_size: tuple[int, int] | None) -> np.ndarray:
    """Returns the pixels of each class `(k,)`; warns if slices lose labelled pixels by being cut.

    Args:
      source: The slices.
      image_size: Height and width that they are cut and padded to; None leaves them as they are.
    """
    counts, labelled = np.zeros(source.num_classes, np.int64), 0
    for number in range(len(source)):
        label = source[number]["label"]
        labelled += np.count_nonzero(label > 0)
        label = label if image_size is None else centred(label, image_size)
        counts += np.bincount(label[label >= 0], minlength=source.num_classes)
    if image_size is not None and counts[1:].sum() < labelled:
        warnings.warn(
            f"--image-size {image_size[0]} {image_size[1]} cuts off "
            f"{1 - counts[1:].sum() / labelled:.2%} of the labelled pixels of {source.name} "
            f"{source.split}: they count nowhere.",
            stacklevel=2,
        )
    return counts


def warn_of_cuts(source: data.Source, image_size: tuple[int, int] | None) -> None:
    """Warns as `class_counts` does; slices that are not cut are not read."""
    if image_size is not None:
        class_counts(source, image_size)


def _objective(settings: Settings, training: data.Source, model: nn.Module) -> train.Objective:
    weights = losses.median_frequency_weights(class_counts(training, settings.image_size))
    return train.supervised(
        model,
        loss=losses.weighted_logistic_dice,
        class_weights=np.maximum(weights, settings.least_weight),
        edge_weight=settings.edges,
    )
