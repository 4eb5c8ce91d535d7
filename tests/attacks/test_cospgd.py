"""CosPGD: its weight by hand, and that no gradient flows through it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks.cospgd import cospgd_loss


def parts(logits, label):
    """Per pixel in float64: whether it counts, the cross-entropy, and the cosine."""
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    one_hot = np.maximum(label, 0)[..., None] == np.arange(logits.shape[-1])
    entropy = -np.log((softmax * one_hot).sum(-1))
    lengths = np.linalg.norm(softmax, axis=-1) * np.linalg.norm(one_hot, axis=-1)
    return label >= 0, entropy, (softmax * one_hot).sum(-1) / lengths


@pytest.fixture
def example(key):
    logits = 2 * jax.random.normal(key, (4, 5, 3))
    label = jax.random.randint(key, (4, 5), -1, 3)
    assert (label == -1).any()
    return logits, label


@pytest.mark.parametrize("targeted", [False, True])
def test_the_loss_is_the_weighted_mean_over_the_pixels_that_count(targeted, example):
    valid, entropy, cosine = parts(*example)
    weights = 1 - cosine if targeted else cosine
    expected = (weights * entropy * valid).sum() / valid.sum()
    np.testing.assert_allclose(cospgd_loss(*example, targeted=targeted), expected, rtol=1e-5)
    assert cospgd_loss(*example, targeted=targeted) < losses.cross_entropy(*example)


@pytest.mark.parametrize("targeted", [False, True])
def test_the_weight_is_a_constant_for_the_gradient(targeted, example):
    logits, label = example
    valid, _, cosine = parts(logits, label)
    weights = 1 - cosine if targeted else cosine

    def fixed(logits):
        return (weights * parts(logits, label)[1] * valid).sum() / valid.sum()

    gradient = jax.grad(cospgd_loss)(logits, label, targeted=targeted)
    logits = np.asarray(logits, np.float64)
    for index in [(0, 0, 0), (1, 2, 1), (3, 4, 2), (2, 1, 0)]:
        change = np.zeros_like(logits)
        change[index] = 1e-5
        difference = (fixed(logits + change) - fixed(logits - change)) / 2e-5
        np.testing.assert_allclose(gradient[index], difference, atol=1e-6)
    free = lambda z: (parts(z, label)[2] * parts(z, label)[1] * valid).sum() / valid.sum()
    change = np.zeros_like(logits)
    index = tuple(np.argwhere(np.asarray(label) >= 0)[0]) + (0,)
    change[index] = 1e-5
    through = (free(logits + change) - free(logits - change)) / 2e-5
    assert abs(through - gradient[index]) > 1e-3  # the other attack


def test_it_is_finite_where_the_model_is_sure():
    logits = jnp.array([[200.0, 0.0, -200.0], [-200.0, 0.0, 200.0]])
    for label in (0, 1, 2):
        value, gradient = jax.value_and_grad(cospgd_loss)(logits, jnp.full(2, label))
        assert jnp.isfinite(value) and jnp.isfinite(gradient).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_its_steps_climb_this_loss(norm, key):
    model = toy.segmenter(0)
    images = toy.images(1, 4, (6, 6, 1))
    labels = toy.predictions(model, images).at[:, 0].set(-1)
    attack = attacks.CosPGD(eps=0.1, steps=4, norm=norm, random_start=False)
    result = attacks.run(attack, key, model, images, labels)
    pgd = attacks.PGD(
        eps=0.1, step_size=0.1 / 3, steps=4, norm=norm, random_start=False, loss=cospgd_loss
    )
    expected = attacks.run(pgd, key, model, images, labels)
    np.testing.assert_allclose(result.images, expected.images, atol=1e-6)


def test_a_target_is_approached(key):
    model = toy.Pixelwise(weights=5 * jax.random.normal(key, (3, 3)))
    images = toy.images(1, 4, (5, 5, 3))
    labels = toy.predictions(model, images)
    targets = (labels + 1) % 3
    for kind in (attacks.CosPGD, attacks.SegPGD):
        result = attacks.run(kind(eps=0.5, steps=40), key, model, images, labels, targets)
        there = toy.predictions(model, result.images) == targets
        before = toy.predictions(model, images) == targets
        assert not before.any() and there.mean() > 0.7
