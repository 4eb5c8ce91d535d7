"""Attacks on models that are random."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
import tables
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks, losses
from medadv_jax.types import attack

SHAPE, COUNT = (4, 3, 3), 8


def setting():
    model = toy.mlp(0)
    images = toy.images(1, COUNT, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def same(key, image):
    return image


def dropping(key, image):
    """A random defence: three of four pixels turn grey."""
    return jnp.where(jax.random.bernoulli(key, 0.25, image.shape), image, 0.5)


def blinking(key, image):
    """In half of the draws the image has no gradient."""
    return jnp.where(jax.random.bernoulli(key), image, jax.lax.stop_gradient(image))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Dropping:
    """A model behind the random defence, with one draw of it."""

    model: Any
    key: Any

    def __call__(self, images):
        return self.model(jax.vmap(dropping, in_axes=(None, 0))(self.key, images))


@pytest.mark.parametrize("name", ["pgd", "deepfool", "worst_case"])
def test_the_identity_and_one_sample_is_the_attack(name, key):
    inner = tables.ATTACKS[name].attack
    one = attacks.EOT(attack=inner, transform=same, samples=1)
    found, expected = (attacks.run(a, key, *setting()) for a in (one, inner))
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)


def test_every_sample_is_a_gradient(key):
    inner = attacks.DeepFool()
    three = attacks.EOT(attack=inner, transform=same, samples=3)
    found, expected = (attacks.run(a, key, *setting()) for a in (three, inner))
    chex.assert_trees_all_close(found.images, expected.images, rtol=0, atol=1e-6)
    assert (found.gradients == 3 * expected.gradients).all()
    assert (found.steps == expected.steps).all()
    noise = attacks.EOT(attack=attacks.SignNoise(eps=0.1), transform=same, samples=3)
    assert not attacks.run(noise, key, *setting()).gradients.any()


def test_on_a_random_model_it_beats_the_plain_attack(key):
    model = toy.linear(0, (6, 6, 1), 2, scale=1.0)
    images = toy.images(1, 40, (6, 6, 1))
    labels = toy.predictions(model, images)
    keys = jax.random.split(jax.random.key(9), 40)

    def rate(inner, predict):
        """How often it fools the defence, over draws that it has not seen."""
        result = attacks.run(inner, key, predict, images, labels)
        of_draw = lambda draw: toy.predictions(Dropping(model, draw), result.images) != labels
        return jax.vmap(of_draw)(keys).mean()

    pgd = attacks.PGD(eps=0.1, steps=8, random_start=False, loss=losses.margin)
    plain = rate(pgd, Dropping(model, jax.random.key(5)))
    random = rate(attacks.EOT(attack=pgd, transform=dropping, samples=8), model)
    assert plain + 0.2 < random


@pytest.mark.parametrize(
    "inner",
    [
        attacks.BIM(eps=0.4, steps=12, norm="l2", step_size=0.1),
        attacks.DeepFool(steps=20),
        attacks.APGD(eps=0.2, steps=12, until_fooled=True),
    ],
)
def test_a_draw_without_a_gradient_does_not_end_it(inner, key):
    result = attacks.run(attacks.EOT(attack=inner, transform=blinking, samples=1), key, *setting())
    assert result.flat.sum() > 2  # it says that this has happened
    expected = attacks.run(inner, key, *setting())
    assert (result.steps >= expected.steps).all() and (result.gradients >= result.steps).all()
    assert result.success.sum() >= expected.success.sum() - 1 > 2
    assert (result.images != setting()[1]).any(axis=(1, 2, 3)).all()


def test_a_model_without_any_gradient_costs_all_steps_and_leaves_the_image(key):
    model, images, labels = setting()
    model = dataclasses.replace(model, output=0 * model.output)
    labels = toy.predictions(model, images)
    eot = attacks.EOT(attack=attacks.BIM(eps=0.1, steps=3), transform=tables.jitter, samples=2)
    result = attacks.run(eot, key, model, images, labels)
    assert result.flat.all() and (result.images == images).all()
    assert (result.steps == 3).all() and (result.gradients == 6).all()


def test_draws_are_fresh_in_every_step_and_of_every_example(key):
    seen = []

    def watch(key, image):
        jax.debug.callback(lambda x: seen.append(float(x)), jax.random.uniform(key))
        return image

    eot = attacks.EOT(attack=attacks.BIM(eps=0.1, steps=3), transform=watch, samples=2)
    attacks.run(eot, key, *setting())
    jax.effects_barrier()
    assert len(set(seen)) == 3 * 2 * COUNT


@attack
class Refreshing(attacks.BIM):
    every = 1

    def refresh(self, predict, state):
        return state


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(samples=0), "samples must be an integer of at least 1"),
        (dict(attack=attacks.FGSM(eps=9)), "eps must be"),
        (dict(attack=Refreshing(eps=0.1)), "Refreshing looks at the model between its steps"),
    ],
)
def test_refuses(options, message, key):
    eot = attacks.EOT(**dict(attack=attacks.FGSM(eps=0.1), transform=same) | options)
    with pytest.raises(ValueError, match=message):
        attacks.run(eot, key, *setting())
