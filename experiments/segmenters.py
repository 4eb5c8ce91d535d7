"""Segmentation networks: how they are trained and validated."""

import dataclasses
import functools
import pathlib

import flax.linen as nn
import numpy as np

from experiments import trained
from medadv_jax import data, losses, metrics, train


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
    training, validation = (
        source.select(source.column("foreground") > 0) for source in (training, validation)
    )
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


def _objective(settings: Settings, training: data.Source, model: nn.Module) -> train.Objective:
    labels = (training[number]["label"] for number in range(len(training)))
    counts = sum(np.bincount(label.ravel(), minlength=training.num_classes) for label in labels)
    weights = losses.median_frequency_weights(np.asarray(counts))
    return train.supervised(
        model,
        loss=losses.weighted_logistic_dice,
        class_weights=np.maximum(weights, settings.least_weight),
        edge_weight=settings.edges,
    )
