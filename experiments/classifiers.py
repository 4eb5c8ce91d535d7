"""Trained classifiers: trained once, then reused while the settings and the data stay the same."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from medadv_jax import data, losses, metrics, models, train
from medadv_jax.types import Predict, Variables


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides a trained classifier, besides its data.

    Attributes:
      model: Name of the network, as in `models.create`.
      options: Its options, such as `width`.
      image_size: Side of the images in pixels.
      epochs: Passes over the training split.
      batch_size: Images in a step.
      learning_rate: Its peak; warmed up, then decayed by a cosine.
      optimizer: See `train.optimizer`.
      weight_decay: See `train.optimizer`.
      averaging: Decay of the moving average of the weights that is evaluated.
      balance: Classes are drawn in proportion to their count to the power of 1 - balance; the
        logits are adjusted for what remains, so that all classes count alike.
      smoothing: Label smoothing.
      strength: Strength of the augmentation.
      patience: Validations (20 a training) without a better score after which training stops.
      seed: Seed of the initialisation, the order of the data, and the augmentation.
    """

    model: str
    options: dict
    image_size: int
    epochs: int
    batch_size: int = 64
    learning_rate: float = 2e-3
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    averaging: float = 0.999
    balance: float = 0.5
    smoothing: float = 0.05
    strength: float = 1.0
    patience: int | None = None
    seed: int = 0


class Classifier(NamedTuple):
    """A trained network.

    Attributes:
      name: Name of the network.
      predict: The network in evaluation mode.
      parameters: How many parameters it has.
      step: The training step that its weights are from, the best by validation.
      steps: Training steps taken.
      directory: Where its checkpoints lie.
    """

    name: str
    predict: Predict
    parameters: int
    step: int
    steps: int
    directory: pathlib.Path


def classifier(
    settings: Settings,
    training: data.Source,
    validation: data.Source,
    directory: pathlib.Path,
    *,
    progress: bool = True,
) -> Classifier:
    """Trains a classifier, goes on with its training, or reads it when it was trained before.

    Args:
      settings: What to train and how.
      training: Records to train on.
      validation: Records whose balanced accuracy chooses the step.
      directory: The checkpoints go to a folder in it, named by the network and a hash of the
        settings and the data.
      progress: Whether a progress bar is shown.

    Returns:
      The classifier.
    """
    model = models.create(settings.model, training.num_classes, **settings.options)
    shape = (settings.image_size, settings.image_size, 3)
    folder = directory / f"{settings.model}-{_hash(settings, training, validation)}"
    steps = max(1, settings.epochs * len(training) // settings.batch_size)
    fit = train.fit(
        jax.random.key(settings.seed),
        lambda key: models.init(key, model, shape),
        _objective(settings, model, training),
        train.optimizer(
            settings.optimizer,
            settings.learning_rate,
            steps,
            weight_decay=settings.weight_decay,
        ),
        lambda start: data.batches(
            training,
            settings.batch_size,
            image_size=settings.image_size,
            seed=settings.seed,
            epochs=None,
            start=start,
            augment=data.augment.dermoscopy(settings.image_size, settings.strength),
            balance=settings.balance,
        ),
        steps=steps,
        every=-(-steps // 20),
        validate=_validate(settings, model, validation),
        patience=settings.patience,
        averaging=settings.averaging,
        directory=folder,
        progress=f"training {settings.model}" if progress else None,
    )
    predict = models.bind(model, fit.variables)
    return Classifier(
        settings.model, predict, models.count(fit.variables), fit.step, len(fit.losses), folder
    )


def _objective(settings: Settings, model: nn.Module, training: data.Source) -> train.Objective:
    counts = np.bincount(training.column("label"), minlength=training.num_classes)
    drawn = counts.astype(float) ** (1 - settings.balance) * (counts > 0)
    return train.supervised(
        model,
        loss=functools.partial(losses.cross_entropy, smoothing=settings.smoothing),
        logit_adjustment=np.log(np.maximum(drawn / drawn.sum(), 1e-9)),
    )


def _validate(settings: Settings, model: nn.Module, validation: data.Source):
    batches = data.batches(validation, settings.batch_size, image_size=settings.image_size)
    metric = metrics.balanced_accuracy(validation.num_classes)
    outcome = jax.jit(
        lambda predict, batch: jax.vmap(metric.outcome)(predict(batch.images), batch.labels)
    )

    def score(variables: Variables) -> float:
        predict = models.bind(model, variables)
        outcomes = np.concatenate([np.asarray(outcome(predict, b))[b.mask] for b in batches])
        return float(metric.score(outcomes, np.ones(len(outcomes))))

    return score


def _hash(settings: Settings, *sources: data.Source) -> str:
    """Names what decides the trained weights: the settings, and the records trained on."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode())
    for source in sources:
        numbers = None if source.numbers is None else source.numbers.tolist()
        digest.update(repr((source.name, source.split, source.fingerprint, numbers)).encode())
    return digest.hexdigest()[:10]
