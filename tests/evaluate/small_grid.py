"""A tiny grid: linear models, twenty images of 12 pixels a side."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

from medadv_jax import attacks, evaluate, metrics
from medadv_jax.types import Batch, attack, static

CLASSES, SIDE, RECORDS = 3, 12, 20


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Linear:
    """Logits linear in the pixels: results do not depend on the size of a batch."""

    weights: Any

    def __call__(self, images):
        return jnp.einsum("bhwc,hwck->bk", images, self.weights)


class ShiftState(NamedTuple):
    image: Any
    done: Any
    flat: Any


@attack
class Shift:
    """A test's attack: brightens an image by eps and a random part of it, in one step."""

    eps: Any
    spread: Any = 0.0
    name: str = static(default="shift")
    size = "eps"

    def check(self, shape, num_classes):
        pass

    def max_steps(self, shape):
        return 1

    def init(self, key, predict, image, label, target=None):
        factor = 1 + self.spread * jax.random.uniform(key)
        return ShiftState(jnp.clip(image + self.eps * factor, 0, 1), False, False)

    def step(self, predict, state):
        return state._replace(done=jnp.array(True))


def batches(size, seed=0, records=RECORDS):
    """Returns the records of a seed in batches, the last one padded."""
    rng = np.random.default_rng(seed)
    images = np.float32(rng.uniform(0.2, 0.8, (records, SIDE, SIDE, 1)))
    labels = rng.integers(0, CLASSES, records).astype(np.int32)
    found = []
    for start in range(0, records, size):
        index = np.arange(start, start + size)
        mask = index < records
        kept = np.where(mask, index, 0)
        masked = np.where(mask[:, None, None, None], images[kept], 0)
        found.append(
            Batch(masked, np.where(mask, labels[kept], 0), mask, np.where(mask, index, -1))
        )
    return found


def models(number=3):
    """Returns linear models by name, more right than wrong on the records of seed 0."""
    (batch,) = batches(RECORDS)
    codes = np.eye(CLASSES)[batch.labels] - 1 / CLASSES
    taught = np.einsum("bhwc,bk->hwck", batch.images - 0.5, codes)
    rng = np.random.default_rng(1)
    noisy = lambda: taught + rng.normal(0, 0.6, taught.shape)
    return {f"m{i}": Linear(jnp.asarray(noisy(), jnp.float32)) for i in range(number)}


def perturbations():
    """Returns two attacks under one label and a noise."""
    return {
        "shift": [Shift(eps=0.05, spread=2.0), Shift(eps=0.2, spread=2.0)],
        "noise": attacks.GaussianNoise(sigma=0.2),
    }


def evaluate_grid(given, cache=None, **options):
    """Evaluates three models; `options` replace those of `evaluate.run`."""
    settings = dict(metric=metrics.accuracy(CLASSES), cache=cache) | options
    return evaluate.run(jax.random.key(0), models(), perturbations(), given, **settings)


class Stuck:
    """Batches that stop for ever before the second batch of one of their iterations."""

    def __init__(self, given, iteration):
        self.given, self.left = given, iteration

    def __iter__(self):
        self.left -= 1
        for number, batch in enumerate(self.given):
            if number and not self.left:
                print("stuck", flush=True)
                time.sleep(600)
            yield batch


def run_until_killed(cache):
    """Evaluates the grid into a folder up to the middle of a cell, and waits there."""
    jax.config.update("jax_disable_most_optimizations", True)  # as in the tests
    evaluate_grid(Stuck(batches(8), 5), cache)
