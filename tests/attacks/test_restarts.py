"""Restarts on the batch axis."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tables
import toy

from medadv_jax import attacks
from medadv_jax.attacks.pixels import withstand
from medadv_jax.types import attack

SHAPE, COUNT = (4, 3, 3), 12
KEYS = jax.random.split(jax.random.key(3), COUNT)


def setting(dense=False):
    model = toy.segmenter(0) if dense else toy.mlp(0)
    images = toy.images(1, COUNT, (6, 6, 1) if dense else SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def keys(number):
    """The keys of one copy."""
    fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
    return fold(KEYS, number) if number else KEYS


def separately(inner, n, truth):
    """The results of n runs, stacked."""
    results = [attacks.run(inner, keys(number), *truth) for number in range(n)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def assert_same(one, two):
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["pgd", "deepfool", "worst_case", "bim_dense"])
def test_one_start_is_the_attack(name):
    row = tables.ATTACKS[name]
    one = attacks.Restarts(attack=row.attack, n=1)
    found, expected = (attacks.run(a, KEYS, *setting(row.dense)) for a in (one, row.attack))
    assert_same(found, expected)


WEAK = attacks.PGD(eps=0.1, steps=1, until_fooled=True)


def test_it_is_never_worse_than_a_part_and_costs_the_sum():
    found = attacks.run(attacks.Restarts(attack=WEAK, n=3), KEYS, *setting())
    parts = separately(WEAK, 3, setting())
    assert (found.success == parts.success.any(axis=0)).all()
    assert found.success.sum() > parts.success[0].sum() and not found.success.all()
    assert (found.gradients == parts.gradients.sum(axis=0)).all()
    assert (found.steps == parts.steps.sum(axis=0)).all() and not found.forwards.any()
    first = parts.success.argmax(axis=0)  # the first that fools; copy 0 where none does
    assert_same(found.images, parts.images[first, np.arange(COUNT)])


def test_it_fools_what_the_same_attack_fools_one_after_another():
    found = attacks.run(attacks.Restarts(attack=WEAK, n=3), KEYS, *setting())
    chain = attacks.run(attacks.WorstCase(attacks=(WEAK,) * 3), KEYS, *setting())
    assert (found.success == chain.success).all()
    assert_same(found.images, chain.images)
    assert (chain.gradients <= found.gradients).all()


def test_of_label_maps_the_one_with_the_fewest_right_pixels_is_kept():
    inner, truth = attacks.PGD(eps=0.2, steps=1), setting(dense=True)
    found = attacks.run(attacks.Restarts(attack=inner, n=3), KEYS, *truth)
    parts = separately(inner, 3, truth)
    model, _, labels = truth
    count = lambda images: jax.vmap(withstand)(model(images), labels)
    counts = jnp.stack([count(images) for images in parts.images])
    assert (count(found.images) == counts.min(axis=0)).all()
    assert (counts.argmin(axis=0) > 0).any() and not found.success.all()
    assert (found.forwards == 3).all()  # by which they are compared


@attack
class Leap:
    """Moves an image by a random length along a direction that fools, or not quite as far."""

    norm = "l2"
    minimal = True
    size = None

    def check(self, shape, num_classes):
        pass

    def max_steps(self, shape):
        return 1

    def init(self, key, predict, image, label, target=None):
        state = attacks.FGSM(eps=0.0).init(key, predict, image, label)
        return state._replace(clean=image * 0 + jax.random.uniform(key, maxval=0.6))

    def step(self, predict, state):
        slope = jax.grad(lambda x: predict(x)[1 - state.label] - predict(x)[state.label])
        moved = state.image + state.clean * jnp.sign(slope(state.image)) * 0.1
        return state._replace(image=moved, done=jnp.array(True))


def test_of_minimal_perturbations_that_fool_the_smallest_is_kept():
    model, images = toy.linear(0, SHAPE, 2), toy.images(1, COUNT, SHAPE)
    truth = model, images, toy.predictions(model, images)
    found = attacks.run(attacks.Restarts(attack=Leap(), n=5), KEYS, *truth)
    parts = separately(Leap(), 5, truth)
    sizes = np.stack([toy.size_of(part - images, "l2") for part in parts.images])
    smallest = np.where(parts.success, sizes, np.inf).min(axis=0)
    assert found.success.any() and (parts.success.sum(axis=0) > 1).any()
    assert (found.success == np.isfinite(smallest)).all()
    own = toy.size_of(found.images - images, "l2")
    np.testing.assert_allclose(own[found.success], smallest[found.success], rtol=1e-5)
    np.testing.assert_allclose(own[~found.success], sizes[0][~found.success], rtol=1e-5)


def test_hyperparameters_regions_and_targets_of_each_example_follow():
    model, images, labels = setting()
    truth = model, images, labels, (labels + 1) % 4
    mask = np.asarray(jax.random.bernoulli(jax.random.key(9), 0.5, (COUNT, *SHAPE[:2])))
    pgd = attacks.PGD(eps=np.linspace(0.0, 0.3, COUNT), steps=2)
    inner = attacks.Region(attack=pgd, mask=mask)
    found = attacks.run(attacks.Restarts(attack=inner, n=2), KEYS, *truth, batch_size=5)
    parts = separately(inner, 2, truth)
    best = parts.success.argmax(axis=0)
    assert_same(found.images, parts.images[best, np.arange(COUNT)])
    outside = attacks.Region(attack=attacks.Restarts(attack=pgd, n=2), mask=mask)
    assert_same(attacks.run(outside, KEYS, *truth), found)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(n=0), "n must be an integer of at least 1"),
        (dict(attack=attacks.FGSM(eps=9)), "eps must be"),
        (dict(attack=tables.ATTACKS["targeted"].attack), r"write Targeted\(attack=Restarts"),
    ],
)
def test_refuses(options, message):
    inner = attacks.Restarts(**dict(attack=attacks.FGSM(eps=0.1), n=2) | options)
    with pytest.raises(ValueError, match=message):
        attacks.run(inner, KEYS, *setting())
