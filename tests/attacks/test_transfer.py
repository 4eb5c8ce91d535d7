"""Attacks made on a surrogate."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import pytest
import tables
import toy

from medadv_jax import attacks

SHAPE, COUNT = (4, 3, 3), 8


def setting(dense=False, seed=0):
    model = toy.segmenter(seed) if dense else toy.mlp(seed)
    images = toy.images(1, COUNT, (6, 6, 1) if dense else SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


@pytest.mark.parametrize("name", ["pgd", "deepfool", "worst_case", "dag"])
def test_onto_the_model_itself_it_is_the_attack(name, key):
    row = tables.ATTACKS[name]
    model, images, labels = setting(row.dense)
    transfer = attacks.Transfer(attack=row.attack, surrogate=model)
    found, expected = (
        attacks.run(attack, key, model, images, labels) for attack in (transfer, row.attack)
    )
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)


def test_the_attacked_model_judges_and_the_surrogate_stops(key):
    model, images, labels = setting()
    other = toy.mlp(0)
    other = dataclasses.replace(other, output=other.output + 1.5 * toy.mlp(3).output)
    transfer = attacks.Transfer(attack=attacks.DeepFool(overshoot=0.3), surrogate=other)
    wrong = toy.predictions(other, images) != labels
    labels = labels.at[2].set((labels[2] + 1) % 4)
    result = attacks.run(transfer, key, model, images, labels)
    assert wrong.any() and not wrong.all()
    untouched = (result.images == images).all(axis=(1, 2, 3))
    assert (untouched == (toy.predictions(other, images) != labels)).all()
    assert (result.misclassified == (jnp.arange(COUNT) == 2)).all()
    fooled = toy.predictions(model, result.images) != labels
    assert (result.success == fooled & ~result.misclassified).all()
    assert 0 < result.success.sum() < (~untouched).sum()


def test_an_ensemble_is_attacked_by_its_mean_logits_and_each_model_costs_a_gradient(key):
    one, two = toy.linear(0, SHAPE, 4, 1.0), toy.linear(1, SHAPE, 4, 1.0)
    model, images, labels = setting()
    mean = jax.tree.map(lambda a, b: (a + b) / 2, one, two)
    bim = attacks.BIM(eps=0.1, steps=3)
    single, several = (
        attacks.run(attacks.Transfer(attack=bim, surrogate=surrogate), key, model, images, labels)
        for surrogate in (mean, (one, two))
    )
    chex.assert_trees_all_close(several.images, single.images, rtol=0, atol=1e-6)
    assert (single.gradients == 3).all() and (several.gradients == 6).all()
    assert (single.success == several.success).all()


def test_other_weights_of_a_surrogate_compile_nothing(key):
    model, images, labels = setting()
    run = lambda *surrogate: attacks.run(
        attacks.Transfer(attack=attacks.FGSM(eps=0.1), surrogate=surrogate),
        key,
        model,
        images,
        labels,
    )
    first = run(toy.mlp(1), toy.mlp(2))
    before = len(toy.TRACES)
    second = run(toy.mlp(3), toy.mlp(4))
    assert len(toy.TRACES) == before
    assert (first.images != second.images).any()


def test_targets_are_made_around_it(key):
    model, images, labels = setting(dense=True)
    dag = attacks.DAG(gamma=0.1, steps=6, active="target")
    inside = attacks.Transfer(attack=dag, surrogate=model)
    made = [attacks.Targeted(attack=attack, kind="b", iterations=1) for attack in (inside, dag)]
    found, expected = (attacks.run(attack, key, model, images, labels) for attack in made)
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)


AIMED = attacks.Targeted(attack=attacks.DAG(active="target"), kind="a")


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(surrogate=()), "at least one surrogate"),
        (dict(surrogate=lambda images: images), r"jax.tree_util.Partial\(function\) is one"),
        (dict(surrogate=toy.mlp(0, num_classes=3)), r"logits as the model has, \(8, 4\): got"),
        (dict(attack=attacks.FGSM(eps=9)), "eps must be"),
        (dict(attack=AIMED), r"write Targeted\(attack=Transfer"),
    ],
)
def test_refuses(options, message, key):
    attack = attacks.Transfer(**dict(attack=attacks.FGSM(eps=0.1), surrogate=toy.mlp(1)) | options)
    with pytest.raises(ValueError, match=message):
        attacks.run(attack, key, *setting())
