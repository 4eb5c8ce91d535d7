"""Our attacks against those of other libraries, on one network, the same images and one budget.

    python -m experiments.bench

trains the MobileNet of experiments.skin (or takes it from there), gives every attack the test
images that it classifies correctly, and prints of each attack and of its rival in another library
what they found and what that took. The other libraries are in the extra `peers`; an attack whose
rival is not installed is measured alone.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import rich
import rich.markup
import rich.table

from experiments import command, skin
from experiments.contests import CONTESTS, Budget, Contest
from experiments.cost import Cost
from medadv_jax import attacks, data
from medadv_jax.attacks import judge
from medadv_jax.evaluate.clock import Clock
from medadv_jax.report import files


@dataclasses.dataclass(frozen=True)
class Config:
    """Compares attacks with those of other libraries."""

    attacks: tuple[str, ...] = tuple(CONTESTS)
    """Attacks to measure; all by default."""
    eps: float = 0.0005
    """Radius of the Linf balls, in units of the pixel range [0, 1]."""
    eps_l2: float = 0.05
    """Radius of the L2 balls."""
    steps: int = 200
    """Steps of one search of carlini_wagner and ead; 1000 as published."""
    walk: int = 10
    """Iterations of hop_skip_jump; 64 as published."""
    queries: int = 1000
    """Queries of square; 5000 as published. autoattack has its own 5000."""
    limit: int = 32
    """Images that are attacked, the first of a random order that the network classifies right."""
    model: skin.Model = "mobilenet"
    """Network to attack."""
    data: skin.DataSet = "lesion_phantom"
    """Data set, as for experiments.skin."""
    data_dir: pathlib.Path | None = None
    """Folder of the data set."""
    image_size: int = 75
    """Side of the images in pixels."""
    width: float = 0.25
    """As for experiments.skin."""
    depth: Literal["shallow", "full"] = "shallow"
    """As for experiments.skin."""
    epochs: int = 8
    """As for experiments.skin."""
    batch_size: int = 64
    """As for experiments.skin; attacks meet all images at once."""
    seed: int = 0
    """Of the network, of the choice of images, and of our attacks."""
    workdir: pathlib.Path = pathlib.Path("runs/skin")
    """Where the networks of experiments.skin lie; results go to the folder bench in it."""
    preset: Literal["quick"] = "quick"
    """quick: minutes on two CPU cores."""

    def __post_init__(self):
        """Refuses values that no run could use."""
        command.require(
            (0 < self.eps <= 1, f"--eps is in (0, 1]; got {self.eps}"),
            (self.eps_l2 > 0, f"--eps-l2 is positive; got {self.eps_l2}"),
            (self.steps >= 1, f"--steps is at least 1; got {self.steps}"),
            (self.walk >= 1, f"--walk is at least 1; got {self.walk}"),
            (self.queries >= 1, f"--queries is at least 1; got {self.queries}"),
            (self.limit >= 1, f"--limit is at least 1; got {self.limit}"),
            (
                0 < len(self.attacks) and set(self.attacks) <= set(CONTESTS),
                f"--attacks are of {', '.join(CONTESTS)}; got {', '.join(self.attacks)}",
            ),
        )
        self.trained()  # refuses what concerns the network

    def trained(self) -> skin.Config:
        """Returns the configuration of experiments.skin that trains the network."""
        return skin.Config(
            models=(self.model,),
            data=self.data,
            data_dir=self.data_dir,
            image_size=self.image_size,
            width=self.width,
            depth=self.depth,
            epochs=(self.epochs,),
            batch_size=self.batch_size,
            seed=self.seed,
            workdir=self.workdir,
        )


PRESETS = {"quick": Config()}


def main(config: Config) -> list[dict[str, Any]]:
    """Runs every contest that has not been run before.

    Args:
      config: What to do.

    Returns:
      Two rows a contest, ours and theirs, or one.
    """
    predict = skin.networks(config.trained())[config.model].predict
    images, labels, num_classes = chosen(config, predict)
    budget = Budget(
        config.eps, config.eps_l2, config.steps, config.walk, config.queries, num_classes
    )
    folder = config.workdir / "bench" / identity(config)
    rows = []
    for name in config.attacks:
        path = folder / f"{name}.json"
        contest = available(CONTESTS[name](budget))
        found = json.loads(path.read_text()) if path.exists() else None
        if found is None or (len(found) == 1 and contest.peer):
            found = measure(name, contest, predict, images, labels, config.seed)
            files.replace(path, files.as_json(found))
        alone = "" if contest.peer else f" (alone: {contest.why})"
        rich.print(rich.markup.escape(f"{name} is measured{alone}"))
        rows += found
    rich.print(table(rows, len(images)))
    rich.print(f"Rows: {files.replace(folder / 'rows.json', files.as_json(rows))}")
    return rows


def available(contest: Contest) -> Contest:
    """Returns a contest without its peer, and why, where the peer is not installed."""
    missing = contest.peer.missing() if contest.peer else ""
    if not missing:
        return contest
    # torchattacks asks for a version of requests that others do not bear
    options = "--no-deps torchattacks" if "torchattacks" in missing else "-e '.[peers]'"
    why = f"{missing} is not installed: pip install {options}"
    return contest._replace(peer=None, why=why)


def identity(config: Config) -> str:
    """Returns the name of the folder for all that changes a number, save the list of attacks."""
    facts = dataclasses.asdict(config)
    for name in ("attacks", "workdir", "preset"):
        del facts[name]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    return f"{config.model}-{config.data}-{digest.hexdigest()[:8]}"


def chosen(config: Config, predict: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns test images that the network is right on, their labels, and how many classes."""
    test = skin.source(config.trained(), "test")
    test = test.take(len(test), seed=config.seed)
    images, labels = [], []
    for batch in data.batches(test, 64, image_size=config.image_size):
        right = np.asarray(predict(jnp.asarray(batch.images)).argmax(axis=-1)) == batch.labels
        keep = right & np.asarray(batch.mask)
        images.append(np.asarray(batch.images)[keep])
        labels.append(np.asarray(batch.labels)[keep])
        if sum(map(len, images)) >= config.limit:
            break
    images, labels = np.concatenate(images), np.concatenate(labels)
    if not len(images):
        raise ValueError(f"{config.model} is wrong on every test image: train it for longer.")
    return images[: config.limit], labels[: config.limit].astype(np.int32), test.num_classes


def measure(
    name: str, contest: Contest, predict: Any, images: np.ndarray, labels: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Runs both sides of a contest and returns a row of each.

    The median norm is over the images that both fool.
    """

    def ours(cost: Cost) -> np.ndarray:
        key = jax.random.key(seed)
        result = attacks.run(contest.attack, key, predict, images, labels)
        cost.gradients, cost.forwards = int(result.gradients.sum()), int(result.forwards.sum())
        return np.asarray(result.images)

    sides = [("medadv_jax", *timed(ours))]
    if contest.peer:
        theirs = functools.partial(contest.peer.run, predict, images, labels)
        sides.append((contest.peer.library, *timed(theirs)))
    allowed, norm = contest.eps, contest.norm
    sizes = [_length(found - images, norm) for _, found, _, _ in sides]
    fooled = [
        _fooled(predict, found, labels) & (allowed is None or size <= allowed * (1 + 1e-4))
        for (_, found, _, _), size in zip(sides, sizes, strict=True)
    ]
    both = np.logical_and.reduce(fooled)
    return [
        dict(
            attack=name,
            library=library,
            norm=norm,
            eps=allowed,
            images=len(images),
            fooled=int(hit.sum()),
            median_norm=float(np.median(size[both])) if allowed is None and both.any() else None,
            gradients=cost.gradients / len(images),
            forwards=cost.forwards / len(images),
            seconds=clock.seconds,
            compile_seconds=clock.compile_seconds,
        )
        for (library, _, cost, clock), size, hit in zip(sides, sizes, fooled, strict=True)
    ]


def timed(run: Callable[[Cost], np.ndarray]) -> tuple[np.ndarray, Cost, Clock]:
    """Runs an attack, and again if it is over in 5 s: what a first run costs once is not its."""
    clock, cost = Clock(), Cost()
    with clock.running():
        found = run(cost)
    if clock.seconds < 5:
        again, cost = Clock(), Cost()
        with again.running():
            found = run(cost)
        clock.seconds = again.seconds
    return found, cost, clock


def _length(changes: np.ndarray, norm: str) -> np.ndarray:
    """Returns the norm of each change, of "l0" how many values are changed."""
    order = {"linf": np.inf, "l2": 2, "l1": 1, "l0": 0}[norm]
    return np.linalg.norm(changes.reshape(len(changes), -1), ord=order, axis=1)


def _fooled(predict: Any, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether images that lie in [0, 1] are taken for another class."""
    inside = (images >= 0) & (images <= 1)
    logits = judge.evaluate(predict, jnp.asarray(images))
    return (np.asarray(logits).argmax(axis=-1) != labels) & inside.reshape(len(images), -1).all(1)


def table(rows: list[dict[str, Any]], count: int) -> rich.table.Table:
    """Returns the rows as a table for the console."""
    caption = (
        "grads, looks: gradients, and forward passes without one, per image; ours without the two "
        "looks by which an attack, and each part of one, is judged. Ours stop at the first image "
        "that fools. s: seconds for all images; + s: of compiling."
    )
    made = rich.table.Table(title=f"{count} images", caption=caption, box=None)
    for name in ("attack", "library"):
        made.add_column(name, no_wrap=True)
    for name in ("fooled", "median", "in", "grads", "looks", "s", "+ s"):
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        size = row["median_norm"]
        made.add_row(
            row["attack"] if row["library"] == "medadv_jax" else "",
            row["library"],
            f"{row['fooled']}",
            "" if size is None else f"{size:.4g}",
            row["norm"],
            *(f"{row[key]:,.4g}" for key in ("gradients", "forwards")),
            *(f"{row[key]:.1f}" for key in ("seconds", "compile_seconds")),
        )
    return made


if __name__ == "__main__":
    command.run(main, PRESETS, "experiments.bench")
