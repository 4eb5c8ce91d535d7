"""Clean against perturbed performance of skin-lesion classifiers.

    python -m experiments.skin --eps=0.01

trains Inception V3, Inception V4 and MobileNet, makes noise and adversarial examples, and writes a
report into runs/skin/. By default the images are synthetic lesions and the networks are narrow, so
that it takes minutes on two CPU cores and needs no download. On real images:

    python -m experiments.skin --data=ham10000 --data-dir=PATH --epochs=60
"""

import dataclasses
import pathlib
from typing import Any, Literal

import jax
import rich

from experiments import classifiers, command, provenance, skin_attacks, trained
from medadv_jax import data, evaluate, metrics, report

Model = Literal["inception_v3", "inception_v4", "mobilenet"]
DataSet = Literal["lesion_phantom", "ham10000", "isic2017", "isic2019", "dermofit", "folder"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains skin-lesion classifiers, perturbs their test images, and reports what is left."""

    eps: float = 0.01
    """Size of the perturbations: the largest change of a pixel, of gaussian noise its standard
    deviation; in units of the pixel range [0, 1]. deepfool, carlini_wagner, ead, lbfgs, fab and
    hop_skip_jump take what they need, saliency_map changes few pixels by any amount."""
    sweep: tuple[float, ...] = (0.0005, 0.001, 0.002, 0.004)
    """Further sizes, for the curves of score against eps."""
    models: tuple[Model, ...] = ("inception_v3", "inception_v4", "mobilenet")
    """Networks to train and to attack; each is also attacked with the examples of the others."""
    attacks: tuple[skin_attacks.Perturbation, ...] = (
        "gaussian_noise",
        "uniform_noise",
        "sign_noise",
        "fgsm",
        "pgd",
        "deepfool",
        "saliency_map",
    )
    """Noise and attacks. autoattack is the field's standard estimate of robust accuracy; universal
    is one perturbation for all images, fitted to each network on the validation images."""
    data: DataSet = "lesion_phantom"
    """Data set; lesion_phantom is synthetic and needs no folder."""
    data_dir: pathlib.Path | None = None
    """Folder of the data set, in its published layout; it is only read."""
    csv: str | None = None
    """Table of --data=folder, a file in --data-dir: columns image and label and, where known,
    group (the lesion) and split. Without it each subfolder is a class."""
    image_size: int = 75
    """Side of the images in pixels, at least 75 (what the Inception networks need; 32 for mobilenet
    alone)."""
    width: float = 0.25
    """Factor of the number of channels in each layer; 1 is the network as published."""
    depth: Literal["shallow", "full"] = "shallow"
    """full repeats the blocks as published; shallow has one block in each stage."""
    epochs: tuple[int, ...] = (8,)
    """Passes over the training images: one number, or one for each network of --models."""
    batch_size: int = 64
    """Images in a training step and in a step of an attack."""
    learning_rate: float = 2e-3
    """Peak of the learning rate (AdamW, linear warm-up, cosine decay)."""
    limit: int | None = 128
    """Most test images to evaluate, drawn at random; None for all."""
    pgd_steps: int = 10
    """Steps of pgd and bim, each eps/4 long, and of mim."""
    saliency_pairs: int = 4
    """Pairs of features that saliency_map changes by one look at the gradients; 1 as published."""
    seed: int = 0
    """Seed of the initialisation, the order of the data, the augmentation and the attacks."""
    workdir: pathlib.Path = pathlib.Path("runs/skin")
    """Receives everything: a folder a run, and what runs share (checkpoints, cells, caches)."""
    name: str | None = None
    """Name of the run's folder in workdir; by default data and eps."""
    preset: Literal["quick", "paper"] = "quick"
    """quick: narrow networks on small images, minutes on two CPU cores. paper: the networks as
    published at 299 px, for an accelerator. Every other flag overrides its preset."""

    def __post_init__(self):
        """Refuses values that no run could use."""
        command.require(
            *command.common_rules(self),
            *command.folder_rules(self, ("lesion_phantom",)),
            (
                self.image_size >= 75 or (self.models == ("mobilenet",) and self.image_size >= 32),
                f"--image-size is at least 75, or 32 for mobilenet alone; got {self.image_size}",
            ),
            (self.pgd_steps >= 1, f"--pgd-steps is at least 1; got {self.pgd_steps}"),
            (
                self.saliency_pairs >= 1,
                f"--saliency-pairs is at least 1; got {self.saliency_pairs}",
            ),
            (
                self.csv is None or self.data == "folder",
                f"--csv is the table of --data=folder; got --data={self.data}",
            ),
        )


SUBJECTS = {
    "lesion_phantom": "Synthetic skin lesions",
    "ham10000": "Skin lesions of HAM10000",
    "isic2017": "Skin lesions of ISIC 2017",
    "isic2019": "Skin lesions of ISIC 2019",
    "dermofit": "Skin lesions of Dermofit",
}
"""What the images of a data set are of, for the title of the report."""

PRESETS = {
    "quick": Config(),
    "paper": Config(
        image_size=299,
        width=1.0,
        depth="full",
        epochs=(90,),
        limit=None,
        pgd_steps=40,
        saliency_pairs=1,
        preset="paper",
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, attacks and reports.

    Args:
      config: What to do.

    Returns:
      The rows of the report.
    """
    nets = networks(config)
    test = source(config, "test")
    # Drawn at random even when all are taken: the report shows the first, of many classes then.
    test = test.take(config.limit or len(test), seed=config.seed)
    predicts = {name: network.predict for name, network in nets.items()}
    validation = lambda: data.batches(
        source(config, "validation"), config.batch_size, image_size=config.image_size
    )
    found = evaluate.run(
        jax.random.key(config.seed),
        predicts,
        skin_attacks.perturbations(config, predicts, validation),
        data.batches(test, config.batch_size, image_size=config.image_size),
        metric=scores(test.num_classes),
        cache=config.workdir / "cells",
        progress=True,
    )
    rows = evaluate.rows(
        found,
        groups=test.column(test.group),
        info=dict(task="skin", data=config.data, seed=config.seed),
    )
    page = _report(config, nets, test, found, rows)
    rich.print(report.table(rows, eps=config.eps))
    rich.print(f"Report: {page}")
    return rows


def networks(config: Config) -> dict[str, trained.Trained]:
    """Returns the networks of a configuration by name, trained now or before."""
    train_one = lambda name, *rest: classifiers.classifier(settings(config, name), *rest)
    return trained.networks(config, source, train_one)


def source(config: Config, split: str) -> data.Source:
    """Returns a split of the data of a configuration."""
    options: dict[str, Any] = {}
    if config.data == "lesion_phantom":
        options["size"] = max(96, config.image_size)
    if config.data == "folder":
        options["csv"] = config.csv
    return data.load(config.data, split, config.data_dir, **options)


def settings(config: Config, name: str) -> classifiers.Settings:
    """Returns how one of the networks is trained."""
    options: dict[str, Any] = dict(width=config.width)
    if config.depth == "shallow":
        options["repeats"] = (1,) * (5 if name == "mobilenet" else 3)
    return classifiers.Settings(
        model=name,
        options=options,
        image_size=config.image_size,
        epochs=command.epochs(config, name),
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )


def scores(num_classes: int) -> tuple[metrics.Metric, ...]:
    """Returns the scores of a row; the first is the one that figures and words are about."""
    return (
        metrics.balanced_accuracy(num_classes),
        metrics.accuracy(num_classes),
        metrics.auc(num_classes),
    )


def _subject(config: Config) -> str:
    """Returns what the images are of, for the title; of a folder its name."""
    if config.data == "folder" and config.data_dir is not None:
        return config.data_dir.resolve().name
    return SUBJECTS[config.data]


def _report(
    config: Config,
    nets: dict[str, trained.Trained],
    test: data.Source,
    found: evaluate.Evaluation,
    rows: list[dict[str, Any]],
) -> pathlib.Path:
    sources = {split: source(config, split) for split in data.SPLITS}
    sources |= {"evaluated": test} if len(test) < len(sources["test"]) else {}
    return report.write(
        command.run_folder(config),
        config,
        rows,
        title=f"{_subject(config)}: generalizability and robustness",
        data=f"{test.description} {len(test)} test images were evaluated.",
        models=trained.facts(
            nets, image_size=config.image_size, width=config.width, depth=config.depth
        ),
        class_names=test.class_names,
        examples=evaluate.examples(found),
        recalls=report.recalls(evaluate.parts(found), test),
        splits=report.sizes(sources),
        early=[name for name in skin_attacks.EARLY if name in config.attacks],
        eps=config.eps,
        reproduce=provenance.facts(
            ["-m", "experiments.skin", *command.words(config, PRESETS)], config.seed
        ),
    )


if __name__ == "__main__":
    command.run(main, PRESETS, "experiments.skin")
