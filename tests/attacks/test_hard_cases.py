"""Inputs at the edge of what makes sense, for every kind of attack or for each path through one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tables
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks, losses

KINDS = {type(row.attack): name for name, row in reversed(tables.ATTACKS.items())}
"""One row for each kind of attack, the first."""
TOO_SMALL = {"saliency_map": "more features than"}
"""Attacks that cannot attack one pixel, and what they say."""


@pytest.mark.parametrize("name", sorted(KINDS.values()))
def test_images_of_one_pixel_three_of_them_and_the_whole_range(name, key):
    """Black, grey and white; three is no multiple of anything that the engine likes."""
    row = tables.ATTACKS[name]
    model = toy.segmenter(0) if row.dense else toy.mlp(0, (1, 1, 1))
    images = jnp.array([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)
    labels = toy.predictions(model, images)
    targets = (labels + 1) % 4 if row.targeted else None
    attack = toy.fitted(row.attack, (1, 1, 1))
    if attack.size == "eps":
        attack = dataclasses.replace(attack, eps=1.0)
    if name in TOO_SMALL:
        with pytest.raises(ValueError, match=TOO_SMALL[name]):
            attacks.run(attack, key, model, images, labels, targets)
        return
    result = attacks.run(attack, key, model, images, labels, targets)
    assert result.images.shape == images.shape and jnp.isfinite(result.images).all()
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert not result.misclassified.any()


def good(dense):
    model = toy.segmenter(0) if dense else toy.mlp(0)
    images = toy.images(1, 5, (6, 6, 1) if dense else (4, 3, 3))
    return dict(predict=model, images=images, labels=toy.predictions(model, images))


def uint8(given):
    return dict(images=np.zeros(given["images"].shape, np.uint8))


def empty(given):
    return dict(images=given["images"][:0], labels=given["labels"][:0])


def beyond(given):
    return dict(labels=given["labels"] + 4)


def infinite(given):
    model = given["predict"]
    return dict(predict=dataclasses.replace(model, output=model.output * jnp.inf))


@pytest.mark.parametrize("name", ["pgd", "deepfool", "dag", "restarts", "transfer", "eot"])
@pytest.mark.parametrize(
    "bad, message",
    [
        (uint8, r"float32 with pixels in \[0, 1\], got uint8; divide uint8 images by 255"),
        (empty, r"no axis empty, got \(0, "),
        (beyond, r"Labels lie in 0 .. 3, got"),
        (infinite, "logits are not finite on 5 clean images, the first is number 0"),
    ],
)
def test_what_breaks_a_convention_is_refused_by_name(name, bad, message, key):
    row = tables.ATTACKS[name]
    given = good(row.dense)
    with pytest.raises(ValueError, match=message):
        attacks.run(row.attack, key, **given | bad(given))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Cliff:
    """Its gradient becomes NaN where (the mean of) the pixels falls below 0.4; its logits do not.

    Attributes:
      scale: Of the logits of class 0.
      dense: Whether each pixel is classified by itself.
    """

    scale: jax.Array
    dense: bool = dataclasses.field(metadata=dict(static=True))

    def __call__(self, images):
        x = images[..., 0] if self.dense else images.mean(axis=(1, 2, 3))
        return jnp.stack([self.scale * jnp.sqrt(jnp.maximum(x - 0.4, 0)), -x], axis=-1)


BIM = attacks.BIM(eps=0.3, step_size=0.05, loss=losses.margin)


@pytest.mark.parametrize(
    "attack",
    [
        attacks.MIM(eps=0.3, loss=losses.margin),
        attacks.APGD(eps=0.12, steps=8, loss=losses.margin, random_start=False),
        attacks.EOT(attack=BIM, transform=lambda key, image: image, samples=2),
        attacks.Restarts(attack=BIM, n=2),
        attacks.DAG(gamma=0.03, steps=8, foreground_only=False),
        attacks.CosPGD(eps=0.3, step_size=0.05, steps=8, random_start=False),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_a_step_by_a_gradient_that_turns_nan_is_not_taken(attack, key):
    dense = isinstance(attack, (attacks.DAG, attacks.CosPGD))
    images = jnp.full((3, 3, 3, 1), 0.5)
    labels = jnp.zeros((3, 3, 3) if dense else 3, jnp.int32)
    result = attacks.run(attack, key, Cliff(jnp.array(1.0), dense), images, labels)
    assert result.flat.all() and not result.success.any()
    assert jnp.isfinite(result.images).all()
    assert ((result.images < 0.5) & (result.images > 0.3)).all()  # it has moved, and stopped
