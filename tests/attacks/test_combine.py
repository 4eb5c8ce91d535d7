"""Laws of the attacks that are made of attacks."""

import chex
import jax
import jax.numpy as jnp
import pytest
import tables
import toy

from medadv_jax import attacks

SHAPE = (4, 3, 3)


def setting():
    model = toy.mlp(0)
    images = toy.images(1, 12, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "deepfool", "gaussian_noise", "worst_case"])
def test_the_worst_case_of_one_attack_is_that_attack(name, key):
    attack = tables.ATTACKS[name].attack
    one = attacks.run(attacks.WorstCase(attacks=(attack,)), key, *setting())
    chex.assert_trees_all_close(one, attacks.run(attack, key, *setting()), rtol=0, atol=1e-6)


def test_the_worst_case_is_never_better_than_a_part_and_pays_only_for_what_stands(key):
    parts = (attacks.FGSM(eps=0.04), attacks.BIM(eps=0.08, steps=3))
    worst = attacks.run(attacks.WorstCase(attacks=parts), key, *setting())
    first, second = (attacks.run(part, key, *setting()) for part in parts)
    assert (worst.success == first.success | second.success).all()
    assert first.success.any() and (worst.success > first.success).any()
    assert not worst.success.all()
    assert (worst.gradients == jnp.where(first.success, 1, 4)).all()
    by_first = first.success[:, None, None, None]
    assert jnp.where(by_first, worst.images == first.images, True).all()
    by_second = (worst.success & ~first.success)[:, None, None, None]
    assert jnp.where(by_second, worst.images == second.images, True).all()


@pytest.mark.parametrize("run", [attacks.run, jax.jit(attacks.run)])
def test_what_is_misclassified_meets_the_first_attack_only(run, key):
    model, images, labels = setting()
    labels = labels.at[5].set((labels[5] + 1) % 4)
    parts = (attacks.FGSM(eps=0.04), attacks.BIM(eps=0.08, steps=3))
    worst = run(attacks.WorstCase(attacks=parts), key, model, images, labels)
    assert worst.misclassified[5] and worst.gradients[5] == 1


def test_it_works_inside_jit(key):
    parts = (attacks.FGSM(eps=0.04), attacks.PGD(eps=0.08, steps=3))
    worst = attacks.WorstCase(attacks=parts)
    jitted = jax.jit(attacks.run)(worst, key, *setting())
    plain = attacks.run(worst, key, *setting(), batch_size=5)
    chex.assert_trees_all_close(jitted, plain, rtol=0, atol=1e-6)
