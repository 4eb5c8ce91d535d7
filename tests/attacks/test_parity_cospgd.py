"""The losses of SegPGD and CosPGD are those of the package `cospgd`, but for what is documented."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax.attacks.cospgd import cospgd_loss
from medadv_jax.attacks.segpgd import segpgd_loss
from medadv_jax.losses import cross_entropies

torch = pytest.importorskip("torch")
cospgd = pytest.importorskip("cospgd")
TARGETED = pytest.mark.parametrize("targeted", [False, True])


def example(key, least=0):
    one, two = jax.random.split(key)
    return 3 * jax.random.normal(one, (2, 5, 4, 6)), jax.random.randint(two, (2, 5, 4), least, 6)


def tensors(logits, labels):
    """Their leaf of logits (b, k, h, w), their labels, and their loss of each pixel."""
    theirs = torch.tensor(np.moveaxis(np.array(logits), -1, 1), requires_grad=True)
    classes = torch.tensor(np.array(labels), dtype=torch.long)
    each = torch.nn.functional.cross_entropy(theirs, classes, reduction="none", ignore_index=-1)
    return theirs, classes, each


def slope(loss, leaf):
    loss.backward()
    return np.moveaxis(leaf.grad.numpy(), 1, -1)


@TARGETED
@pytest.mark.parametrize("iteration", [0, 3, 9])
def test_segpgd_scale_counts_from_zero_and_adds_up_the_batch(targeted, iteration, key):
    logits, labels = example(key)
    leaf, classes, each = tensors(logits, labels)
    loss = cospgd.functions.segpgd_scale(leaf, classes, each, iteration, 10, targeted)
    # their iteration 0 is the paper's step 1; they add up the images, here each has its own mean
    ours = lambda logits: sum(
        segpgd_loss(one, label, iteration / 20, targeted=targeted)
        for one, label in zip(logits, labels, strict=True)
    )
    value, gradient = jax.value_and_grad(ours)(logits)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, slope(loss, leaf), atol=1e-6)


def test_segpgd_scale_divides_by_pixels_that_do_not_count(key):
    logits, labels = example(key, least=-1)
    leaf, classes, each = tensors(logits, labels)
    loss = cospgd.functions.segpgd_scale(leaf, classes, each, 3, 10)
    share = (labels >= 0).mean(axis=(1, 2))
    assert (share < 1).all()
    ours = jnp.stack([segpgd_loss(*pair, 3 / 20) for pair in zip(logits, labels, strict=True)])
    np.testing.assert_allclose((ours * share).sum(), loss.item(), rtol=1e-5)


@TARGETED
def test_cospgd_scale_is_the_loss_of_each_pixel(targeted, key):
    logits, labels = example(key)
    leaf, classes, each = tensors(logits, labels)
    scaled = cospgd.functions.cospgd_scale(leaf, classes, each, 6, targeted)
    loss = scaled.mean(dim=(1, 2)).sum()
    ours = lambda logits: sum(
        cospgd_loss(one, label, targeted=targeted)
        for one, label in zip(logits, labels, strict=True)
    )
    value, gradient = jax.value_and_grad(ours)(logits)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, slope(loss, leaf), atol=1e-6)


def test_cospgd_scale_takes_what_does_not_count_for_a_class(key):
    logits, labels = example(key)
    void = labels.at[:, 0].set(255)  # as they mark it; they clamp it to the last class
    leaf, classes, _ = tensors(logits, labels)
    clamped = torch.tensor(np.array(void), dtype=torch.long)
    ones = torch.ones(classes.shape)
    weights = cospgd.functions.cospgd_scale(leaf, clamped, ones, 6).detach().numpy()
    last = cospgd.functions.cospgd_scale(leaf, torch.full_like(clamped, 5), ones, 6)
    np.testing.assert_array_equal(weights[:, 0], last.detach().numpy()[:, 0])
    # here such a pixel is -1 and has no part in the loss
    ours = [cospgd_loss(*pair) for pair in zip(logits, labels.at[:, 0].set(-1), strict=True)]
    each = np.stack([cross_entropies(*pair) for pair in zip(logits, labels, strict=True)])
    np.testing.assert_allclose(ours, (weights * each)[:, 1:].mean(axis=(1, 2)), rtol=1e-5)
