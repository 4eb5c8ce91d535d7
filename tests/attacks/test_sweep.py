"""Many strengths in one program."""

import chex
import jax
import jax.numpy as jnp
import pytest
import toy

from medadv_jax import attacks

SHAPE, COUNT, RADII = (4, 3, 3), 6, (0.02, 0.08, 0.3)


def setting():
    model = toy.mlp(0)
    images = toy.images(1, COUNT, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def pgd(eps):
    return attacks.PGD(eps=eps, steps=3, until_fooled=True)


def restarted(eps):
    return attacks.Restarts(attack=pgd(eps), n=2)


@pytest.mark.parametrize("make, options", [(pgd, dict()), (restarted, dict(batch_size=7))])
def test_a_sweep_is_as_many_runs(make, options, key):
    found = attacks.sweep(make, RADII, key, *setting(), **options)
    runs = [attacks.run(make(eps), key, *setting()) for eps in RADII]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)
    rates = found.success.mean(axis=1)
    assert rates[0] < rates[-1] and (jnp.diff(rates) >= 0).all()


def test_targets_and_masks_are_repeated(key):
    model, images, labels = setting()
    targets, mask = (labels + 1) % 4, jnp.arange(COUNT) < 4
    found = attacks.sweep(pgd, RADII, key, model, images, labels, targets, mask=mask)
    runs = [attacks.run(pgd(eps), key, model, images, labels, targets, mask=mask) for eps in RADII]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs)
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)
    assert not found.steps[:, 4:].any()


def test_it_is_one_program_however_many_values_and_whatever_they_are(key):
    fgsm = lambda eps: attacks.FGSM(eps=eps)

    truth = setting()

    def traces(values):
        before = len(toy.TRACES)
        attacks.sweep(fgsm, values, key, *truth)
        return len(toy.TRACES) - before

    assert 0 < traces([0.1, 0.2, 0.3, 0.4, 0.5]) <= 2  # one judges, one takes the step
    assert traces([0, 0.01, 0.02, 0.03, 1]) == 0


def test_a_sweep_inside_jit(key):
    jitted = jax.jit(lambda values, *truth: attacks.sweep(pgd, values, key, *truth))
    found = jitted(jnp.array(RADII), *setting())
    expected = attacks.sweep(pgd, RADII, key, *setting())
    chex.assert_trees_all_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "values, message",
    [
        (0.1, r"values are one axis of at least one, got shape \(\)"),
        ([], r"got shape \(0,\)"),
        ([0.1, 2.0], "eps must be at least 0 and at most 1, got 2"),
    ],
)
def test_refuses(values, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.sweep(pgd, values, key, *setting())
