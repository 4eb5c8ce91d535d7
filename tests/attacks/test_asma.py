"""ASMA takes the steps that its formula says, and returns the nearest success."""

import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks
from medadv_jax.attacks.asma import mean_iou
from medadv_jax.attacks.judge import fooled

WEIGHTS = jnp.array([[6.0, -2.0, 1.0], [0.5, 5.0, -3.0], [-4.0, 1.0, 3.0]])
MODEL = toy.Pixelwise(weights=WEIGHTS)
"""Each pixel has 3 channels and is one of 3 classes."""


def setting(count=2, shape=(4, 5, 3)):
    images = toy.images(2, count, shape)
    labels = toy.predictions(MODEL, images)
    targets = labels.at[:, :2].set((labels[:, :2] + 1) % 3)
    return MODEL, images, labels.at[:, 3, 3:].set(-1), targets


def iou_by_hand(prediction, target, valid):
    """The mean over the classes that occur in the target or in the prediction."""
    ratios = []
    for c in range(3):
        one, two = (prediction == c) & valid, (target == c) & valid
        if (one | two).any():
            ratios.append((one & two).sum() / (one | two).sum())
    return np.mean(ratios)


def points_by_hand(image, target, valid, tau, beta, steps):
    """Where the attack is after every step, and whether all valid pixels were at their target."""
    weights, clean = np.asarray(WEIGHTS, np.float64), np.asarray(image, np.float64)
    x, points = clean.copy(), [clean]
    for number in range(steps):
        prediction = ((x - 0.5) @ weights).argmax(-1)
        slope = -2 * (x - clean)
        for n in np.argwhere((prediction != target) & valid):
            slope[tuple(n)] += weights[:, target[tuple(n)]]
        length = tau + (beta * iou_by_hand(prediction, target, valid) if number else 0)
        x = np.clip(x + length * slope, 0, 1)
        points.append(x)
    return points


@pytest.mark.parametrize("tau, beta, steps", [(0.004, 0.0, 3), (0.001, 0.01, 1), (0.001, 0.01, 6)])
def test_it_is_the_formula(tau, beta, steps, key):
    # few steps: nothing has been met yet, so that the last point is returned
    model, images, labels, targets = setting()
    asma = attacks.ASMA(tau=tau, beta=beta, steps=steps)
    result = attacks.run(asma, key, model, images, labels, targets)
    assert not result.success.any() and (result.steps == steps).all()
    for i in range(len(images)):
        valid, target = np.asarray(labels[i] >= 0), np.asarray(targets[i])
        expected = points_by_hand(images[i], target, valid, tau, beta, steps)[-1]
        np.testing.assert_allclose(result.images[i], expected, atol=1e-5)
        assert np.abs(expected - images[i]).max() > 0.005
        assert (result.images[i][~valid] == images[i][~valid]).all()


def test_of_all_successes_the_nearest_is_returned(key):
    model, images, labels, targets = setting()
    options = dict(tau=0.002, beta=0.003)
    result = attacks.run(attacks.ASMA(**options, steps=60), key, model, images, labels, targets)
    assert result.success.all() and (result.steps == 60).all()
    for i in range(len(images)):
        valid, target = np.asarray(labels[i] >= 0), np.asarray(targets[i])
        points = points_by_hand(images[i], target, valid, **options, steps=60)[:-1]
        met = [p for p in points if fooled(model(p[None])[0], labels[i], targets[i])]
        nearest = min(met, key=lambda p: np.sum((p - np.asarray(images[i])) ** 2))
        assert len(met) > 3 and nearest is not met[-1]
        np.testing.assert_allclose(result.images[i], nearest, atol=1e-4)


def test_until_fooled_stops_at_the_first_success(key):
    model, images, labels, targets = setting()
    options = dict(tau=0.002, beta=0.003, steps=60)
    whole = attacks.run(attacks.ASMA(**options), key, model, images, labels, targets)
    early = attacks.ASMA(**options, until_fooled=True)
    early = attacks.run(early, key, model, images, labels, targets)
    assert early.success.all() and (early.steps < 60).all()
    sizes = [toy.size_of(result.images - images, "l2") for result in (whole, early)]
    assert (sizes[0] <= sizes[1] + 1e-6).all()


def test_the_distance_pulls_back_where_all_targets_are_met(key):
    model, images, labels, targets = setting()
    asma = attacks.ASMA(tau=0.01, beta=0.02)
    predict = lambda image: model(image[None])[0]
    state = asma.init(key, predict, images[0], labels[0], toy.predictions(model, images)[0])
    far = images[0] + 0.001
    assert (toy.predictions(model, far[None]) == toy.predictions(model, images[:1])).all()
    state = asma.step(predict, state._replace(point=far, first=jnp.array(False)))
    # its IoU is 1, so its length is 0.03, and the slope is -2 of the distance
    np.testing.assert_allclose(state.point - images[0], 0.001 * (1 - 0.06), rtol=1e-2)


def test_the_iou_is_that_of_many_classes():
    rng = np.random.default_rng(0)
    for _ in range(20):
        prediction, target = rng.integers(0, 3, (2, 5, 6))
        valid = rng.random((5, 6)) < 0.8
        target[:2] = prediction[:2]
        ours = mean_iou(jnp.asarray(prediction), jnp.asarray(target), jnp.asarray(valid), 7)
        np.testing.assert_allclose(ours, iou_by_hand(prediction, target, valid), rtol=1e-5)
        # the authors multiply the masks: right for 0 and 1 only
        theirs = (prediction * target).sum() / ((prediction + target) > 0).sum()
        assert abs(theirs - ours) > 0.05


def test_nothing_to_do_costs_nothing(key):
    model, images, labels, targets = setting(4)
    targets = targets.at[0].set(labels[0])  # its label
    labels = labels.at[1].set(-1)  # void
    labels = labels.at[2].set((toy.predictions(model, images)[2] + 1) % 3)  # misclassified
    result = attacks.run(attacks.ASMA(steps=5), key, model, images, labels, targets)
    np.testing.assert_array_equal(result.steps, [0, 0, 0, 5])
    assert (result.images[:3] == images[:3]).all()
    assert not result.success[:3].any() and not result.flat.any()


def test_without_a_gradient_it_is_flat_and_never_nan(key):
    _, images, labels, targets = setting()
    steps = lambda x: jnp.round(4 * MODEL(x))
    result = attacks.run(attacks.ASMA(steps=5), key, steps, images, labels, targets)
    assert result.flat.all() and (result.steps == 1).all() and (result.images == images).all()
    broken = lambda x: MODEL(x) + 0 * jnp.sqrt(jnp.maximum(MODEL(x).max() - MODEL(x), 0))
    result = attacks.run(attacks.ASMA(steps=5), key, broken, images, labels, targets)
    assert result.flat.all() and (result.images == images).all()


@pytest.mark.parametrize(
    "attack, message",
    [
        (attacks.ASMA(tau=0.0), "tau must be above 0"),
        (attacks.ASMA(beta=-1.0), "beta must be at least 0"),
        (attacks.ASMA(steps=0), "steps must be an integer"),
    ],
)
def test_bad_hyperparameters_are_refused(attack, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attack, key, *setting())


def test_it_needs_targets_and_label_maps(key):
    model, images, labels, _ = setting()
    with pytest.raises(ValueError, match="ASMA is targeted"):
        attacks.run(attacks.ASMA(), key, model, images, labels)
    images, labels = toy.images(0, 2, (4, 3, 3)), jnp.zeros(2, jnp.int32)
    with pytest.raises(ValueError, match="ASMA attacks segmenters"):
        attacks.run(attacks.ASMA(), key, toy.mlp(0), images, labels, labels + 1)


def test_the_docstring_is_right_about_the_pull():
    # a thousand steps of the usual lengths bring a met target nearer by at most 0.22 %
    asma = attacks.ASMA()
    shrunk = (1 - 2 * (asma.beta + asma.tau)) ** asma.steps
    assert 0.002 < 1 - shrunk < 0.0023
