"""Carlini and Wagner and EAD by the schedule of Foolbox find the distances that it finds."""

import functools
import warnings

import jax
import numpy as np
import pytest
import toy

from medadv_jax import attacks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # foolbox and eagerpy import what is deprecated
    foolbox = pytest.importorskip("foolbox")

COUNT, SEARCHES, STEPS, BETA = 8, 5, 40, 3e-3
MODELS = {
    "linear": (toy.linear(3, (6, 6, 3), 3), (6, 6, 3)),
    "conv": (toy.conv_net(0), (8, 8, 3)),
}
SCHEDULE = dict(learning_rate=0.02, search_steps=SEARCHES, steps=STEPS)


@functools.cache
def setting(name):
    model, shape = MODELS[name]
    images = toy.images(3, COUNT, shape, low=0.02, high=0.98)
    return model, images, toy.predictions(model, images)


def theirs(kind, name, targets=None, **options):
    """What Foolbox finds, and how many batches it has evaluated."""
    model, images, labels = setting(name)
    calls = []

    def counted(images, compiled=jax.jit(lambda images: model(images))):  # noqa: B008
        calls.append(len(images))
        return compiled(images)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = foolbox.models.JAXModel(counted, bounds=(0, 1))
        attack = kind(binary_search_steps=SEARCHES, steps=STEPS, **options)
        goal = labels if targets is None else foolbox.criteria.TargetedMisclassification(targets)
        return attack(wrapped, images, goal, epsilons=None)[1], len(
            calls
        ) - 1  # the last one judges


def hit(images, name, targets):
    model, _, labels = setting(name)
    found = toy.predictions(model, images)
    return found != labels if targets is None else found == targets


CASES = pytest.mark.parametrize("name, targeted", [("linear", False), ("conv", True)])


@CASES
def test_carlini_wagner_by_their_change_of_variables_finds_their_distances(name, targeted, key):
    model, images, labels = setting(name)
    targets = (labels + 1) % model(images).shape[-1] if targeted else None
    kind = foolbox.attacks.L2CarliniWagnerAttack
    expected, calls = theirs(kind, name, targets, stepsize=0.02, abort_early=False)
    other = toy.size_of(expected - images, "l2")

    paper = attacks.CarliniWagner(space="tanh", abort_early=False, **SCHEDULE)
    result = attacks.run(paper, key, model, images, labels, targets)
    assert (result.success == hit(expected, name, targets)).all() and result.success.all()
    found = toy.size_of(result.images - images, "l2")
    np.testing.assert_allclose(np.median(found / other), 1, rtol=1e-3)
    np.testing.assert_allclose(found, other, rtol=0.02)
    assert (result.gradients == calls).all()

    others = (
        [attacks.CarliniWagner(**SCHEDULE)]
        if targeted
        else [attacks.CarliniWagner(**SCHEDULE), attacks.LBFGS()]
    )
    for attack in others:
        result = attacks.run(attack, key, model, images, labels, targets)
        assert result.success.all() and (result.gradients <= calls).all()
        found = toy.size_of(result.images - images, "l2")
        assert np.median(found / other) <= 1.02


@CASES
def test_ead_finds_their_distances(name, targeted, key):
    model, images, labels = setting(name)
    targets = (labels + 1) % model(images).shape[-1] if targeted else None
    rule = "l1" if targeted else "en"
    options = dict(regularization=BETA, decision_rule=rule.upper(), initial_stepsize=0.02)
    expected, calls = theirs(foolbox.attacks.EADAttack, name, targets, abort_early=False, **options)
    attack = attacks.EAD(beta=BETA, rule=rule, **SCHEDULE)
    result = attacks.run(attack, key, model, images, labels, targets)
    assert (result.success == hit(expected, name, targets)).all() and result.success.all()
    for norm in ("l1", "l2"):
        found, other = (toy.size_of(x - images, norm) for x in (result.images, expected))
        np.testing.assert_allclose(np.median(found / other), 1, rtol=1e-3)
    assert (result.gradients + result.forwards <= calls).all()
