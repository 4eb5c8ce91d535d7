"""Clean against perturbed performance of whole-brain segmentation networks.

    python -m experiments.brain --eps=0.01

trains UNet, SegNet and FC-DenseNet, makes noise and adversarial examples, and writes a report into
runs/brain/. By default the data are warped variants of one brain template and the networks are
small, so that it takes minutes on two CPU cores and needs no download (the extra `brain` brings the
template). On real images:

    python -m experiments.brain --data=bids --data-dir=PATH --epochs=30 --width=0.5
"""

from typing import Any

import jax
import numpy as np
import rich

from experiments import brain_report, command, segmenters, trained
from experiments.brain_config import PRESETS, Config
from medadv_jax import attacks, data, evaluate, losses, metrics, report

SHALLOW: dict[str, dict[str, Any]] = {
    "unet": dict(depth=4),
    "segnet": dict(repeats=(2, 2, 2, 2)),
    "fc_densenet": dict(layers=(2, 2, 2, 2, 2), growth=24, first=32),
}
"""Options of the networks at --depth=shallow: all see the whole slice, without which left and right
are not told apart."""


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, attacks and reports.

    Args:
      config: What to do.

    Returns:
      The rows of the report.
    """
    nets = networks(config)
    test = slices(config)
    segmenters.warn_of_cuts(test, config.image_size)
    found = evaluate.run(
        jax.random.key(config.seed),
        {name: network.predict for name, network in nets.items()},
        perturbations(config),
        data.batches(test, config.batch_size, image_size=config.image_size),
        metric=scores(config, test),
        gallery=brain_report.gallery(test, config.seed),
        cache=config.workdir / "cells",
        progress=True,
    )
    rows = evaluate.rows(
        found,
        groups=test.column(test.group),
        info=dict(task="brain", data=config.data, seed=config.seed),
    )
    splits = {split: source(config, split) for split in data.SPLITS}
    for split in ("train", "validation"):
        splits[split] = segmenters.filled(splits[split])
    page = brain_report.write(command.run_folder(config), config, nets, test, splits, found, rows)
    rich.print(report.table(rows, eps=config.eps))
    rich.print(f"Report: {page}")
    return rows


def networks(config: Config) -> dict[str, trained.Trained]:
    """Returns the networks of a configuration by name, trained now or before."""
    train_one = lambda name, *rest: segmenters.segmenter(settings(config, name), *rest)
    return trained.networks(config, source, train_one)


def source(config: Config, split: str) -> data.Source:
    """Returns a split of the data of a configuration, slice by slice."""
    options: dict[str, Any] = dict(plane=config.plane)
    coarse = 3.0 if config.data == "brain_template" else None
    if (spacing := config.spacing or coarse) is not None:
        options["spacing"] = spacing
    return data.load(config.data, split, config.data_dir, **options)


def slices(config: Config) -> data.Source:
    """Returns the test slices to evaluate: all, or some, evenly over the subjects.

    Some are drawn from the half that shows most: the others hold few structures, or none.
    """
    test = source(config, "test")
    if config.limit is None:
        return test
    shown, subject = test.column("foreground"), test.column("subject")
    full = np.flatnonzero(shown >= np.median(shown[shown > 0]))
    drawn = np.random.default_rng(config.seed).permutation(full)
    turn = [np.sum(subject[drawn[:place]] == subject[drawn[place]]) for place in range(len(drawn))]
    return test.select(np.sort(drawn[np.argsort(turn, kind="stable")][: config.limit]))


def settings(config: Config, name: str) -> segmenters.Settings:
    """Returns how one of the networks is trained."""
    options: dict[str, Any] = dict(width=config.width)
    if config.depth == "shallow":
        options |= SHALLOW[name]
    return segmenters.Settings(
        model=name,
        options=options,
        image_size=config.image_size,
        epochs=command.epochs(config, name),
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )


def perturbations(config: Config) -> dict[str, list[Any]]:
    """Returns the attacks and the noise by name, each with its sizes."""
    sizes, steps = sorted({config.eps, *config.sweep}), config.steps
    dag = attacks.DAG(step_norm=config.dag_norm, steps=config.dag_steps)
    asma = attacks.ASMA(steps=config.asma_steps, until_fooled=True)
    toward = lambda attack, kind: [attacks.Targeted(attack=attack, kind=kind)]
    made = {
        "rician_noise": [attacks.RicianNoise(sigma=eps) for eps in sizes],
        "gaussian_noise": [attacks.GaussianNoise(sigma=eps) for eps in sizes],
        "fgsm": [attacks.FGSM(eps=eps) for eps in sizes],
        "pgd": [attacks.PGD(eps=eps, steps=steps) for eps in sizes],
        "pgd_dice": [attacks.PGD(eps=eps, steps=steps, loss=losses.dice_loss) for eps in sizes],
        "segpgd": [attacks.SegPGD(eps=eps, steps=steps, step_size=eps / 4) for eps in sizes],
        "cospgd": [attacks.CosPGD(eps=eps, steps=steps, step_size=eps / 4) for eps in sizes],
        "dag": [dag],
        "dag_a": toward(dag, "a"),
        "dag_b": toward(dag, "b"),
        "dag_c": toward(dag, "c"),
        "sea": [attacks.sea(config.eps, steps=config.sea_steps)],
        "asma": toward(asma, "c"),
    }
    return {name: made[name] for name in config.attacks}


def scores(config: Config, test: data.Source) -> tuple[metrics.Metric, ...]:
    """Returns the scores of a row; the first is the one that figures and words are about.

    Distances between surfaces need whole volumes, and so all slices.
    """
    number = test.num_classes
    overlap = (metrics.dice(number), metrics.iou(number), metrics.absolute_volume_error(number))
    if config.limit is not None:
        return overlap
    spacing = np.stack([test.column(f"spacing_{axis}") for axis in range(3)], axis=1)
    place, scan = test.column("slice"), test.column("scan")
    return (
        *overlap,
        metrics.hd95(number, spacing, place, scan),
        metrics.average_surface_distance(number, spacing, place, scan),
    )


if __name__ == "__main__":
    command.run(main, PRESETS, "experiments.brain")
