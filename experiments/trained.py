"""Trained networks: trained once, then reused while the settings and the data stay the same."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from experiments import command
from medadv_jax import data, metrics, models, train
from medadv_jax.types import Batch, Predict

RECIPE = 1
"""Raised when code changes what is trained (a loss, an augmentation, a network), so that no network
of before is taken for one of now."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides a trained network besides its data; a task adds its own.

    Attributes:
      model: Name of the network, as in `models.create`.
      options: Its options, such as `width`.
      epochs: Passes over the training split.
      batch_size: Images in a step.
      learning_rate: Its peak; warmed up, then decayed by a cosine.
      optimizer: See `train.optimizer`.
      weight_decay: See `train.optimizer`.
      averaging: Decay of the moving average of the weights that is evaluated.
      strength: Strength of the augmentation.
      patience: Validations (20 a training) without a better score after which training stops.
      seed: Seed of the initialisation, the order of the data, and the augmentation.
    """

    model: str
    options: dict
    epochs: int
    batch_size: int
    learning_rate: float = 2e-3
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    averaging: float = 0.999
    strength: float = 1.0
    patience: int | None = None
    seed: int = 0


class Trained(NamedTuple):
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


def networks(
    config: Any,
    source: Callable[[Any, str], data.Source],
    train_one: Callable[[str, data.Source, data.Source, pathlib.Path], Trained],
) -> dict[str, Trained]:
    """Returns the networks of a configuration by name, trained now or before.

    Args:
      config: Of an experiment: its `models` and its `workdir`.
      source: Returns a split of the data of a configuration.
      train_one: Trains the network of a name on the training and the validation split; the
        checkpoints go to a folder.
    """
    command.keep_memory()
    command.use_compilation_cache(config.workdir)
    training, validation = (source(config, split) for split in ("train", "validation"))
    folder = config.workdir / "checkpoints"
    return {name: train_one(name, training, validation, folder) for name in config.models}


def facts(nets: Mapping[str, Trained], **shared: Any) -> list[dict[str, Any]]:
    """Returns what a report tells of networks; `shared` is told of each of them."""
    return [
        dict(
            name=name,
            parameters=network.parameters,
            **shared,
            training_steps=network.steps,
            best_step=network.step,
        )
        for name, network in nets.items()
    ]


def network(
    settings: Settings,
    training: data.Source,
    validation: data.Source,
    directory: pathlib.Path,
    *,
    image_shape: tuple[int, ...],
    objective: Callable[[nn.Module], train.Objective],
    batches: Callable[[int], Iterable[Batch]],
    score: Callable[[Predict], float],
    progress: bool = True,
) -> Trained:
    """Trains a network, goes on with its training, or reads it when it was trained before.

    Args:
      settings: What to train and how.
      training: Records to train on.
      validation: Records whose score chooses the step.
      directory: The checkpoints go to a folder in it, named by the network and a hash of the
        settings and the data.
      image_shape: `(h, w, c)` of the images that it is initialised for.
      objective: Makes the objective of the network.
      batches: `batches(n)` iterates over the endless training batches from the n-th on.
      score: Score on the validation records, the higher the better.
      progress: Whether a progress bar is shown.

    Returns:
      The trained network.

    Raises:
      ValueError: A batch is larger than the training split.
    """
    if settings.batch_size > len(training):
        raise ValueError(
            f"--batch-size is at most the number of training images, {len(training)} in "
            f"{training.name}; got {settings.batch_size}"
        )
    model = models.create(settings.model, training.num_classes, **settings.options)
    folder = directory / f"{settings.model}-{_hash(settings, training, validation)}"
    steps = max(1, settings.epochs * len(training) // settings.batch_size)
    fit = train.fit(
        jax.random.key(settings.seed),
        lambda key: models.init(key, model, image_shape),
        # Made as the first step is traced: it may read all labels, which a network that is trained
        # does not need.
        lambda *step: objective(model)(*step),
        train.optimizer(
            settings.optimizer,
            settings.learning_rate,
            steps,
            weight_decay=settings.weight_decay,
        ),
        batches,
        steps=steps,
        every=-(-steps // 20),
        validate=lambda variables: score(models.bind(model, variables)),
        patience=settings.patience,
        averaging=settings.averaging,
        directory=folder,
        progress=f"training {settings.model}" if progress else None,
    )
    predict = models.bind(model, fit.variables)
    return Trained(
        settings.model, predict, models.count(fit.variables), fit.step, len(fit.losses), folder
    )


def score(
    metric: metrics.Metric, validation: data.Source, batches: Iterable[Batch]
) -> Callable[[Predict], float]:
    """Makes the score of `network`, of the records or, where the metric pools, of their groups.

    Args:
      metric: What is scored.
      validation: The records.
      batches: Their batches, in stored order.
    """
    groups = validation.column(validation.group)
    outcome = jax.jit(
        lambda predict, batch: jax.vmap(metric.outcome)(predict(batch.images), batch.labels)
    )

    def of(predict: Predict) -> float:
        outcomes = np.concatenate([np.asarray(outcome(predict, b))[b.mask] for b in batches])
        whole = metrics.pooled(metric, outcomes, groups)
        return float(whole.metric.score(whole.outcomes, np.ones(len(whole.outcomes))))

    return of


def _hash(settings: Settings, *sources: data.Source) -> str:
    """Names what decides the trained weights: recipe, settings, and the records trained on."""
    decided = [RECIPE, dataclasses.asdict(settings)]
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode())
    for source in sources:
        numbers = None if source.numbers is None else source.numbers.tolist()
        digest.update(repr((source.name, source.split, source.fingerprint, numbers)).encode())
    return digest.hexdigest()[:10]
