"""Classifiers of images: how they are trained and validated."""

import dataclasses
import functools
import pathlib

import flax.linen as nn
import numpy as np

from experiments import trained
from medadv_jax import data, losses, metrics, train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(trained.Settings):
    """All that decides a trained classifier, besides its data.

    Attributes:
      image_size: Side of the images in pixels.
      balance: Classes are drawn in proportion to their count to the power of 1 - balance; the
        logits are adjusted for what remains, so that all classes count alike.
      smoothing: Label smoothing.
    """

    image_size: int
    batch_size: int = 64
    balance: float = 0.5
    smoothing: float = 0.05


def classifier(
    settings: Settings,
    training: data.Source,
    validation: data.Source,
    directory: pathlib.Path,
    *,
    progress: bool = True,
) -> trained.Trained:
    """Trains a classifier, or reads it; the balanced accuracy in validation chooses the step.

    Args:
      settings: What to train and how.
      training: Records to train on.
      validation: Records to choose the step by.
      directory: Where the folder of its checkpoints lies.
      progress: Whether a progress bar is shown.

    Returns:
      The classifier.
    """
    return trained.network(
        settings,
        training,
        validation,
        directory,
        image_shape=(settings.image_size, settings.image_size, 3),
        objective=functools.partial(_objective, settings, training),
        batches=lambda start: data.batches(
            training,
            settings.batch_size,
            image_size=settings.image_size,
            seed=settings.seed,
            epochs=None,
            start=start,
            augment=data.augment.dermoscopy(settings.image_size, settings.strength),
            balance=settings.balance,
        ),
        score=trained.score(
            metrics.balanced_accuracy(validation.num_classes),
            validation,
            data.batches(validation, settings.batch_size, image_size=settings.image_size),
        ),
        progress=progress,
    )


def _objective(settings: Settings, training: data.Source, model: nn.Module) -> train.Objective:
    counts = np.bincount(training.column("label"), minlength=training.num_classes)
    drawn = counts.astype(float) ** (1 - settings.balance) * (counts > 0)
    return train.supervised(
        model,
        loss=functools.partial(losses.cross_entropy, smoothing=settings.smoothing),
        logit_adjustment=np.log(np.maximum(drawn / drawn.sum(), 1e-9)),
    )
