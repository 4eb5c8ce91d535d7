"""Attacks on linear segmenters, where the distance of every pixel is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses

SIDE, COUNT = 6, 36


def one_valid_pixel_each(key):
    """Images of which number n has its pixel n as the only valid one, and what moves that pixel.

    Returns:
      The model; images; labels; by how much the valid pixel's label leads (n,); and the gradient of
      the other class's lead there (n, h, w).
    """
    model = toy.LinearSegmenter(weights=4 * jax.random.normal(key, (9, 2)))
    images = toy.images(1, COUNT, (SIDE, SIDE, 1))
    labels = toy.predictions(model, images)
    valid = jnp.eye(COUNT, dtype=bool).reshape(COUNT, SIDE, SIDE)
    labels = jnp.where(valid, labels, -1)
    kernel = np.asarray(model.weights[:, 1] - model.weights[:, 0], np.float64).reshape(3, 3)
    slopes = np.zeros((COUNT, SIDE + 2, SIDE + 2))
    for n in range(COUNT):
        i, j = divmod(n, SIDE)
        slopes[n, i : i + 3, j : j + 3] = kernel
    slopes = slopes[:, 1:-1, 1:-1]
    own = np.asarray(labels).reshape(COUNT, -1).max(axis=1)
    slopes *= np.where(own == 1, -1, 1)[:, None, None]
    logits = np.asarray(model(images), np.float64).reshape(COUNT, COUNT, 2)
    logits = logits[np.arange(COUNT), np.arange(COUNT)]
    gaps = logits[np.arange(COUNT), own] - logits[np.arange(COUNT), 1 - own]
    return model, images, labels, gaps, slopes


@pytest.mark.parametrize("kind", ["pgd", "fgsm", "fgsm_l2"])
def test_an_attack_fools_the_one_valid_pixel_exactly_beyond_its_distance(kind, key):
    model, images, labels, gaps, slopes = one_valid_pixel_each(key)
    l2 = kind == "fgsm_l2"
    dual = np.sqrt((slopes**2).sum((1, 2))) if l2 else np.abs(slopes).sum((1, 2))
    options = dict(loss=losses.margin, norm="l2" if l2 else "linf")
    attack = attacks.PGD if kind == "pgd" else attacks.FGSM
    near = gaps / dual < 0.29  # nearer than the end of [0, 1]
    assert near.sum() > 30
    for factor in (0.98, 1.02):
        sized = attack(eps=np.minimum(factor * gaps / dual, 1), **options)
        result = attacks.run(sized, key, model, images, labels)
        assert not result.misclassified.any()
        assert (np.asarray(result.success)[near] == (factor > 1)).all()
        if kind != "pgd":  # what the pixel does not see is touched by a random start only
            assert ((result.images == images)[..., 0] == (slopes == 0)).all()


def two_classes(key, shape=(20, 20, 3)):
    """A model that looks at single pixels, images, labels, and the lead of the other class."""
    model = toy.Pixelwise(weights=4 * jax.random.normal(key, (3, 2)))
    images = toy.images(3, 4, shape)
    labels = toy.predictions(model, images)
    logits = model(images)
    gaps = np.asarray(jnp.abs(logits[..., 1] - logits[..., 0]), np.float64)
    return model, images, labels, gaps, np.asarray(model.weights[:, 1] - model.weights[:, 0])


def test_pgd_turns_exactly_the_pixels_that_are_nearer_than_eps(key):
    model, images, labels, gaps, slope = two_classes(key)
    distances = gaps / np.abs(slope).sum()
    eps = float(np.median(distances))
    bim = attacks.BIM(eps=eps, loss=losses.margin)
    result = attacks.run(bim, key, model, images, labels)
    turned = np.asarray(toy.predictions(model, result.images) != labels)
    clear = np.abs(distances / eps - 1) > 1e-3
    assert (turned == (distances < eps))[clear].all() and not result.success.any()
    largest = distances.max(axis=(1, 2))
    for factor in (0.99, 1.01):
        sized = dataclasses.replace(bim, eps=factor * largest)
        assert (attacks.run(sized, key, model, images, labels).success == (factor > 1)).all()


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    "attack",
    [
        attacks.FGSM(eps=0.1),
        attacks.BIM(eps=0.1, steps=3, norm="l2"),
        attacks.DAG(steps=3, foreground_only=False),
        attacks.DAG(steps=3, active="target"),
    ],
)
def test_outside_a_region_and_at_void_pixels_nothing_is_touched(attack, targeted, key):
    model, images, labels, *_ = two_classes(key, (5, 5, 3))
    targets = 1 - labels if targeted else None
    labels = labels.at[:, :2].set(-1).at[:, 4, 4].set(-1)  # the targets there say something
    change = attacks.run(attack, key, model, images, labels, targets).images - images
    assert ((change != 0).any(-1) == (labels >= 0) & (change != 0).any(-1)).all()
    assert (change != 0).any((1, 2, 3)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_dag_takes_as_many_steps_as_the_lead_of_the_label_is_long(norm, key):
    # a step of length gamma along the gradient w shrinks the lead by gamma |w|_2^2 / |w|
    model, images, labels, gaps, slopes = one_valid_pixel_each(key)
    square = (slopes**2).sum((1, 2))
    length = np.abs(slopes).max((1, 2)) if norm == "linf" else np.sqrt(square)
    gamma = 0.01
    exact = gaps / (gamma * square / length)
    moves = np.floor(exact) + 1
    dag = attacks.DAG(gamma=gamma, steps=60, step_norm=norm, foreground_only=False)
    result = attacks.run(dag, key, model, images, labels)
    change = np.asarray(result.images - images)[..., 0]
    expected = gamma * moves[:, None, None] * slopes / length[:, None, None]
    inside = (np.abs(expected) < 0.29).all((1, 2)) & (np.abs(exact - np.round(exact)) > 0.01)
    assert inside.sum() > 20 and len(np.unique(moves[inside])) > 5
    assert (np.asarray(result.steps) == moves + 1)[inside].all()  # the last one only judges
    np.testing.assert_allclose(change[inside], expected[inside], atol=1e-5)
    assert np.asarray(result.success)[inside].all()


def test_dag_ends_when_one_pixel_in_a_hundred_is_left(key):
    # in Linf every active pixel takes the same step, so the largest leads decide
    model, images, labels, gaps, slope = two_classes(key)
    shrink = 0.004 * (slope**2).sum() / np.abs(slope).max()
    leads = np.sort(gaps.reshape(4, -1))[:, ::-1] / shrink
    moves = np.floor(leads[:, 4]) + 1  # of 400 pixels four may stay
    dag = attacks.DAG(gamma=0.004, foreground_only=False)
    result = attacks.run(dag, key, model, images, labels)
    assert (np.asarray(result.steps) == moves + 1).all() and result.success.all()
    assert (moves < np.floor(leads[:, 0]) + 1).all()
    kept = (toy.predictions(model, result.images) == labels).sum((1, 2))
    assert (kept >= 1).all() and (kept <= 4).all()
    assert (result.gradients == result.steps).all() and (result.forwards == 0).all()
