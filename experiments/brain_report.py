"""The report of the brain experiment: what it shows besides the rows."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import command, provenance, trained
from experiments.brain_config import PRESETS, Config
from medadv_jax import attacks, data, evaluate, losses, report

KINDS = {"dag_a": "targeted"}
"""What the alarms of a report would not know of an attack by its name."""
DRAWN = ", drawn evenly over the subjects from the half of the slices that shows most structure"
"""What the page says of the slices where not all are evaluated."""
EARLY = ("dag", "dag_a", "dag_b", "dag_c", "asma")
"""Attacks that stop when they have what they want."""


def gallery(test: data.Source, seed: int) -> list[int]:
    """Returns the numbers of the test slices to show: some of those with a structure."""
    filled = np.flatnonzero(test.column("foreground") > 0)
    drawn = np.random.default_rng(seed).permutation(filled)[: evaluate.GALLERY]
    return np.sort(drawn).tolist()


def slider(config: Config, network: trained.Trained, whole: data.Source) -> report.Slider:
    """Attacks all slices of one test subject, for the slider of the report."""
    subject = whole.column("subject")[0]
    own = (whole.column("subject") == subject) & (whole.column("foreground") > 0)
    batches = data.batches(whole.select(own), config.batch_size, image_size=config.image_size)
    attack = attacks.PGD(eps=config.eps, steps=config.steps, loss=losses.dice_loss)
    key = jax.random.key(config.seed)
    predicted = jax.jit(lambda predict, images: predict(images).argmax(axis=-1))
    shown = []
    for batch in batches:
        keys = evaluate.record_keys(key, batch.index)
        images, labels = jnp.asarray(batch.images), batch.labels
        result = attacks.run(
            attack, keys, network.predict, images, labels, mask=jnp.asarray(batch.mask)
        )
        before, after = (predicted(network.predict, x) for x in (images, result.images))
        found = (images, result.images, labels, before, after)
        shown.append([np.asarray(array)[batch.mask] for array in found])
    title = f"{subject}, {network.name}, PGD on the Dice loss with eps {config.eps:g}"
    return report.slider(*map(np.concatenate, zip(*shown, strict=True)), title=title)


def write(
    folder: pathlib.Path,
    config: Config,
    nets: dict[str, trained.Trained],
    test: data.Source,
    splits: dict[str, data.Source],
    found: evaluate.Evaluation,
    rows: list[dict[str, Any]],
) -> pathlib.Path:
    """Writes the report.

    Args:
      folder: Where it goes.
      config: What was done.
      nets: The networks.
      test: The slices that were evaluated.
      splits: The slices of each split: those that were trained on and validated with, and all test
        slices, of which those of the first subject are shown.
      found: What the evaluation found.
      rows: Its rows.

    Returns:
      The path of its page.
    """
    groups = test.column(test.group)
    return report.write(
        folder,
        config,
        rows,
        title="Whole brain: generalizability and robustness",
        data=f"{test.description} {len(test)} {config.plane} test slices of "
        f"{len(set(groups))} subjects were evaluated{DRAWN if config.limit else ''}.",
        models=trained.facts(nets, plane=config.plane, width=config.width),
        class_names=test.class_names,
        examples=evaluate.examples(found),
        structures=report.structures(evaluate.parts(found, groups), subjects=len(set(groups))),
        splits=report.sizes(splits | dict(test=test)),
        early=[name for name in EARLY if name in config.attacks],
        slider=slider(config, next(iter(nets.values())), splits["test"]),
        kinds={name: kind for name, kind in KINDS.items() if name in config.attacks},
        eps=config.eps,
        reproduce=provenance.facts(
            ["-m", "experiments.brain", *command.words(config, PRESETS)], config.seed
        ),
    )
