"""An attack confined to a region of the image."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tables
import toy

from medadv_jax import attacks

COUNT, SPACE = 8, (6, 6)
KEYS = jax.random.split(jax.random.key(3), COUNT)


def setting(dense, targeted=False):
    if dense:
        model, shape = toy.segmenter(0), (*SPACE, 1)
    else:
        model, shape = toy.mlp(0, shape=(*SPACE, 2)), (*SPACE, 2)
    images = toy.images(1, COUNT, shape, low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    return model, images, labels, (labels + 1) % 4 if targeted else None


def regions():
    return jax.random.bernoulli(jax.random.key(9), 0.6, (COUNT, *SPACE))


def left_half(image, label):
    return jnp.broadcast_to(jnp.arange(image.shape[1]) < 3, image.shape[:-1])


@pytest.mark.parametrize("name", tables.ATTACKS)
def test_changes_nothing_outside_and_something_inside(name):
    row = tables.ATTACKS[name]
    model, images, labels, targets = setting(row.dense, row.targeted)
    inside = toy.fitted(row.attack, images.shape[1:])
    attack = attacks.Region(attack=inside, mask=regions())
    result = attacks.run(attack, KEYS, model, images, labels, targets)
    changed = (result.images != images).any(-1)
    assert not (changed & ~regions()).any()
    assert (changed & regions()).any()
    assert result.images.min() >= 0 and result.images.max() <= 1
    if row.norm is not None:
        size = toy.size_of(result.images - images, row.norm)
        assert (size <= row.attack.eps * (1 + 1e-5)).all()


@pytest.mark.parametrize("name", ["pgd_l2", "apgd_l2", "deepfool", "dag", "rician_noise", "sea"])
def test_the_whole_image_as_region_is_the_attack(name):
    row = tables.ATTACKS[name]
    truth = setting(row.dense, row.targeted)
    whole = attacks.Region(attack=row.attack, mask=np.ones((COUNT, *SPACE), bool))
    confined, plain = (attacks.run(a, KEYS, *truth) for a in (whole, row.attack))
    chex.assert_trees_all_close(confined, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["pgd_l2", "apgd_l2", "worst_case"])
def test_the_way_it_is_run_changes_nothing(name):
    row = tables.ATTACKS[name]
    truth, order = setting(row.dense), np.random.default_rng(0).permutation(COUNT)
    attack = attacks.Region(attack=row.attack, mask=regions())
    usual = attacks.run(attack, KEYS, *truth)
    chunks = attacks.run(attack, KEYS, *truth, batch_size=3)
    chex.assert_trees_all_close(chunks, usual, rtol=0, atol=1e-6)
    inside = jax.jit(attacks.run)(attack, KEYS, *truth)
    chex.assert_trees_all_close(inside, usual, rtol=0, atol=1e-6)
    model, images, labels, _ = truth
    moved = attacks.Region(attack=row.attack, mask=regions()[order])
    permuted = attacks.run(moved, KEYS[order], model, images[order], labels[order])
    chex.assert_trees_all_close(
        permuted, jax.tree.map(lambda leaf: leaf[order], usual), rtol=0, atol=1e-6
    )


def test_on_a_linear_model_the_distance_is_that_of_the_region(key):
    """DeepFool meets the exact distance of the boundary within the region, L2."""
    model = toy.linear(0, shape=(*SPACE, 1), num_classes=2)
    images = toy.images(1, COUNT, (*SPACE, 1))
    labels, region = toy.predictions(model, images), regions()
    logits = model(images)
    gap = np.abs(logits[:, 0] - logits[:, 1])
    slope = np.asarray(model.weights[:, 0] - model.weights[:, 1])[None]
    inside = np.sqrt(((slope * np.reshape(region, (COUNT, -1))) ** 2).sum(1))
    attack = attacks.Region(attack=attacks.DeepFool(overshoot=0.0), mask=region)
    result = attacks.run(attack, key, model, images, labels)
    # DeepFool goes 1e-4 beyond each boundary
    found = toy.size_of(result.images - images, "l2") - 1e-4
    np.testing.assert_allclose(found, gap / inside, rtol=1e-4)


def test_a_function_gives_the_region_of_each_image(key):
    model, images, labels, _ = setting(dense=True)
    pgd = attacks.PGD(eps=0.1, steps=2)
    masks = np.asarray(jax.vmap(left_half)(images, labels))
    by_mask = attacks.Region(attack=pgd, mask=masks)
    by_function = attacks.Region(attack=pgd, where=left_half)
    one, two = (attacks.run(a, key, model, images, labels) for a in (by_mask, by_function))
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-6)
    structures = attacks.run(
        attacks.Region(attack=pgd, where=attacks.foreground), key, model, images, labels
    )
    changed = (structures.images != images).any(-1)
    assert changed.any() and not (changed & (labels == 0)).any()


def test_a_region_that_is_empty_leaves_the_image_and_says_flat(key):
    model, images, labels, _ = setting(dense=False)
    attack = attacks.Region(attack=attacks.PGD(eps=0.1), mask=np.zeros((COUNT, *SPACE), bool))
    result = attacks.run(attack, key, model, images, labels)
    assert (result.images == images).all() and result.flat.all() and not result.success.any()


@pytest.mark.parametrize("name", ["dag", "sea", "transfer"])
def test_it_is_judged_as_the_attack_inside_is(name, key):
    """By DAG's own rule; an attack that leaves it to the engine, by the common rule."""
    row = tables.ATTACKS[name]
    model, images, labels, _ = setting(row.dense)
    attack = attacks.Region(attack=row.attack, mask=np.ones((COUNT, *SPACE), bool))
    assert hasattr(attack, "fooled") == (name == "dag")
    surely = row.attack if name != "sea" else attacks.SEA(eps=1.0, steps=10)
    attack = dataclasses.replace(attack, attack=surely)
    found, plain = (attacks.run(a, key, model, images, labels) for a in (attack, surely))
    assert (found.success == plain.success).all() and found.success.any()


def test_it_goes_around_a_region(key):
    """Both must allow a pixel."""
    model, images, labels, _ = setting(dense=False)
    one = attacks.Region(attack=attacks.FGSM(eps=0.1), where=left_half)
    both = attacks.Region(attack=one, mask=regions())
    result = attacks.run(both, key, model, images, labels)
    allowed = regions() & jax.vmap(left_half)(images, labels)
    changed = (result.images != images).any(-1)
    assert changed.any() and not (changed & ~allowed).any()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(), "needs a mask, or a function `where`, and not both"),
        (dict(mask=np.ones((COUNT, *SPACE))), r"boolean, one for each image, here \(8, 6, 6\)"),
        (dict(mask=np.ones(SPACE, bool)), r"got bool \(6, 6\)"),
        (dict(where=lambda image, label: label > 0), r"got bool \(8,\)"),
    ],
)
def test_refuses(options, message, key):
    model, images, labels, _ = setting(dense=False)
    with pytest.raises(ValueError, match=message):
        attack = attacks.Region(attack=attacks.FGSM(eps=0.1), **options)
        attacks.run(attack, key, model, images, labels)
