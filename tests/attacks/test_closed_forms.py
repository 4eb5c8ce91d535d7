"""Attacks on linear models, whose exact distances to every boundary are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks import norms

SHAPE, COUNT = (6, 6, 3), 24
CLASSES = pytest.mark.parametrize("num_classes", [2, 3, 10])


def setting(num_classes, norm):
    """A linear model, images inside the box and their exact distances to all boundaries."""
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    far = toy.distances(model, images, labels, "l2").min(axis=1) > 0.02
    logits = model(images)
    assert far.sum() > COUNT // 2 and jnp.abs(logits).max() > 10
    images, labels = images[far], labels[far]
    return model, images, labels, toy.distances(model, images, labels, norm)


@CLASSES
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_deepfool_finds_the_exact_distance(num_classes, norm, key):
    model, images, labels, distances = setting(num_classes, norm)
    result = attacks.run(attacks.DeepFool(norm=norm), key, model, images, labels)
    assert result.success.all()
    ratio = toy.size_of(result.images - images, norm) / distances.min(axis=1)
    assert (ratio > 1).all() and np.median(ratio) < 1.03 and ratio.max() < 1.05
    nearest = distances.argmin(axis=1)
    assert (toy.predictions(model, result.images) == nearest).all()


@CLASSES
def test_deepfool_overshoots_once_and_by_as_much_as_it_says(num_classes, key):
    model, images, labels, distances = setting(num_classes, "l2")
    attack = attacks.DeepFool(overshoot=0.5, stabiliser=0.0)
    result = attacks.run(attack, key, model, images, labels)
    sizes = toy.size_of(result.images - images, "l2")
    np.testing.assert_allclose(sizes, 1.5 * distances.min(axis=1), rtol=1e-4)
    assert (result.steps == 2).all()  # one that moves, one that sees that it is enough
    assert (result.gradients == 2 * (num_classes - 1)).all()


def test_deepfool_with_few_candidates_looks_only_at_the_likeliest(key):
    steep = toy.linear(10, SHAPE, 10)
    model = dataclasses.replace(steep, weights=steep.weights * jnp.linspace(0.2, 2, 10)[None])
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, "l2")
    result = attacks.run(attacks.DeepFool(candidates=2), key, model, images, labels)
    logits = np.array(model(images))
    logits[np.arange(len(labels)), labels] = -np.inf
    rival = logits.argmax(axis=1)
    assert (rival != distances.argmin(axis=1)).any()
    expected = 1.02 * (distances[np.arange(len(labels)), rival] + 1e-4)
    first = attacks.DeepFool(candidates=2, steps=1)
    sizes = toy.size_of(attacks.run(first, key, model, images, labels).images - images, "l2")
    np.testing.assert_allclose(sizes, expected, rtol=1e-3)
    assert result.success.all()


@CLASSES
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [False, True])
def test_pgd_succeeds_exactly_beyond_the_distance(num_classes, norm, random_start, key):
    model, images, labels, distances = setting(num_classes, norm)
    attack = attacks.PGD(
        eps=1.0, norm=norm, steps=30, random_start=random_start, loss=losses.margin
    )
    for factor, expected in ((0.98, False), (1.02, True)):
        sized = dataclasses.replace(attack, eps=factor * distances.min(axis=1))
        result = attacks.run(sized, key, model, images, labels)
        if not expected:
            assert not result.success.any()
        else:
            # with several classes the steepest way may lead to another class than the nearest
            targets = jnp.asarray(distances.argmin(axis=1))
            result = attacks.run(sized, key, model, images, labels, targets)
            assert result.success.all()


@CLASSES
def test_untargeted_pgd_with_the_margin_finds_the_nearest_class(num_classes, key):
    model, images, labels, distances = setting(num_classes, "linf")
    attack = attacks.PGD(
        eps=1.02 * distances.min(axis=1), steps=30, random_start=False, loss=losses.margin
    )
    assert attacks.run(attack, key, model, images, labels).success.all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_on_two_classes_succeeds_exactly_beyond_the_distance(norm, key):
    model, images, labels, distances = setting(2, norm)
    for factor, expected in ((0.99, False), (1.01, True)):
        attack = attacks.FGSM(eps=factor * distances.min(axis=1), norm=norm, loss=losses.margin)
        success = attacks.run(attack, key, model, images, labels).success
        assert (success == expected).all()


def test_cross_entropy_is_never_stronger_than_the_distance_allows(key):
    model, images, labels, distances = setting(10, "linf")
    attack = attacks.PGD(eps=0.98 * distances.min(axis=1), steps=20)
    assert not attacks.run(attack, key, model, images, labels).success.any()


def best_change_in_l1(gradient, images, eps):
    """The linear program max g.d with |d|_1 <= eps and the image in the box, solved greedily."""
    changes = np.zeros_like(images)
    for change, image, slope in zip(changes, images, gradient, strict=True):
        left = eps
        for i in np.argsort(-np.abs(slope)):
            room = 1 - image[i] if slope[i] > 0 else image[i]
            change[i] = np.sign(slope[i]) * min(room, left)
            left -= abs(change[i])
    return changes


@pytest.mark.parametrize("eps", [0.1, 3.0])
def test_fgsm_in_l1_fills_the_steepest_pixels_and_no_others(eps, key):
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, 4, SHAPE, low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    attack = attacks.FGSM(eps=eps, norm="l1", loss=losses.margin)
    change = attacks.run(attack, key, model, images, labels).images - images
    weights = np.asarray(model.weights)
    slopes = np.stack([weights[:, 1 - label] - weights[:, label] for label in np.asarray(labels)])
    expected = best_change_in_l1(slopes, np.asarray(images).reshape(4, -1), eps)
    np.testing.assert_allclose(change.reshape(4, -1), expected, atol=1e-6)
    np.testing.assert_allclose(toy.size_of(change, "l1"), eps, rtol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_random_starts_are_uniform_in_the_ball(norm, key):
    # in d dimensions the part of the ball within r of its radius is r ** d
    middle = jnp.full((2, 2, 1), 0.5)
    draw = lambda key: norms.random_in_ball(key, middle, 0.1, norm) - middle
    changes = jax.vmap(draw)(jax.random.split(key, 4000))
    radii = toy.size_of(changes, norm) / 0.1
    assert radii.max() <= 1 + 1e-5
    for r in (0.5, 0.8, 0.95):
        expected = r**4
        deviation = np.sqrt(expected * (1 - expected) / 4000)
        assert abs((radii < r).mean() - expected) < 4 * deviation
    assert np.abs(np.asarray(changes).mean(axis=0)).max() < 0.005


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_projections_are_the_nearest_points_of_the_ball(norm, key):
    one, two = jax.random.split(key)
    clean = jnp.full((5, 5, 1), 0.5)
    far = clean + 0.15 * jax.random.normal(one, clean.shape)
    near = norms.project(far, clean, 0.1, norm)
    np.testing.assert_allclose(toy.size_of((near - clean)[None], norm), 0.1, rtol=1e-5)
    changes = 0.1 * jax.random.normal(two, (50, *clean.shape))
    points = jax.vmap(lambda change: norms.project(clean + change, clean, 0.1, norm))(changes)
    inner = jnp.einsum("hwc,nhwc->n", far - near, points - near[None])
    assert (inner < 1e-5).all()  # the condition that makes a point of a convex set the nearest
    assert (norms.project(far, clean, 0.0, norm) == clean).all()
