"""SegPGD: its schedule and its weights, by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks.sea_losses import masked_cross_entropy
from medadv_jax.attacks.segpgd import segpgd_loss

SHAPE = (6, 6, 1)


def setting(count=6):
    model = toy.segmenter(0)
    images = toy.images(1, count, SHAPE)
    return model, images, toy.predictions(model, images).at[:, 0].set(-1)


def by_hand(logits, label, share, targeted):
    """The loss and its gradient in float64; the pixels that do not count leave the denominator."""
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    valid, own = label >= 0, np.maximum(label, 0)
    entropy = -np.log(np.take_along_axis(softmax, own[..., None], -1)[..., 0])
    heavy = (logits.argmax(-1) == label) != targeted
    weights = np.where(heavy, 1 - share, share) * valid / valid.sum()
    one_hot = own[..., None] == np.arange(logits.shape[-1])
    return (weights * entropy).sum(), weights[..., None] * (softmax - one_hot)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_the_loss_and_its_gradient_are_those_of_fixed_weights(share, targeted, key):
    logits = 3 * jax.random.normal(key, (5, 4, 3))
    label = jax.random.randint(key, (5, 4), -1, 3)
    assert (label == -1).any()
    value, gradient = jax.value_and_grad(segpgd_loss)(logits, label, share, targeted=targeted)
    expected, slopes = by_hand(logits, label, share, targeted)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slopes, atol=1e-6)


def test_an_image_without_a_valid_pixel_has_no_loss():
    assert segpgd_loss(jnp.ones((2, 2, 3)), jnp.full((2, 2), -1), 0.2) == 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_first_step_is_that_of_pgd_on_the_pixels_that_are_right(norm, key):
    model, images, labels = setting()
    labels = labels.at[:, 3].set((labels[:, 3] + 1) % 4)  # wrong from the start
    options = dict(eps=0.1, step_size=0.02, steps=1, norm=norm, random_start=False)
    one = attacks.run(attacks.SegPGD(**options), key, model, images, labels)
    masked = attacks.PGD(loss=masked_cross_entropy, **options)
    assert (one.images == attacks.run(masked, key, model, images, labels).images).all()
    plain = attacks.run(attacks.PGD(**options), key, model, images, labels)
    assert (one.images != plain.images).any()


@pytest.mark.parametrize("targeted", [False, True])
def test_step_t_of_n_has_the_share_that_the_paper_gives_it(targeted, key):
    model, images, labels = setting()
    targets = jnp.where(labels < 0, -1, (labels + 1) % 4) if targeted else None
    attack = attacks.SegPGD(eps=0.1, steps=6, random_start=False)
    result = attacks.run(attack, key, model, images, labels, targets)

    def objective(image, label, share):
        loss = segpgd_loss(model(image[None])[0], label, share, targeted=targeted)
        return -loss if targeted else loss

    slope = jax.jit(jax.vmap(jax.grad(objective), in_axes=(0, 0, None)))
    moved = images
    for share in (0.0, 1 / 12, 2 / 12, 3 / 12, 4 / 12, 5 / 12):
        gradient = slope(moved, targets if targeted else labels, share)
        moved = jnp.clip(moved + 0.1 / 3 * jnp.sign(gradient), images - 0.1, images + 0.1)
        moved = jnp.clip(moved, 0, 1)
    np.testing.assert_allclose(result.images, moved, atol=1e-6)
    assert (result.gradients == 6).all()


def test_the_schedule_is_of_each_run_and_each_example(key):
    model, images, labels = setting()
    attack = attacks.SegPGD(eps=0.4, steps=8, until_fooled=True)
    keys = jax.random.split(key, len(images))
    result = attacks.run(attack, keys, model, images, labels)
    again = attacks.run(attack, keys, model, images, labels)
    assert (again.images == result.images).all()
    for i in range(2):  # others have left the batch by then, or have not
        alone = attacks.run(attack, keys[i : i + 1], model, images[i : i + 1], labels[i : i + 1])
        np.testing.assert_allclose(alone.images[0], result.images[i], atol=1e-6)


def test_where_no_pixel_is_right_the_second_step_moves(key):
    model, images, labels = setting()
    labels = jnp.where(labels < 0, -1, (labels + 1) % 4)
    attack = attacks.SegPGD(eps=0.1, steps=1, random_start=False)
    one = attacks.run(attack, key, model, images, labels)
    assert (one.images == images).all() and one.misclassified.all()
    two = attacks.run(dataclasses.replace(attack, steps=2), key, model, images, labels)
    assert not two.flat.any() and (two.steps == 2).all()
    assert (toy.size_of(two.images - images, "linf") > 0.03).all()


def test_a_flat_model_is_flat_from_the_second_step_on(key):
    model, images, labels = setting()
    model = dataclasses.replace(model, output=0 * model.output)
    result = attacks.run(attacks.SegPGD(eps=0.1, steps=5), key, model, images, labels)
    assert result.flat.all() and (result.steps == 2).all()


def test_pixels_that_do_not_count_are_not_touched(key):
    model = toy.Pixelwise(weights=jax.random.normal(key, (3, 4)))
    images = toy.images(1, 3, (5, 5, 3))
    labels = toy.predictions(model, images).at[:, :, 2].set(-1)
    attack = attacks.SegPGD(eps=0.05, steps=4, random_start=False)
    changed = (attacks.run(attack, key, model, images, labels).images != images).any(-1)
    assert (changed == (labels >= 0)).all()


def test_volumes_go_the_same_way(key):
    model = toy.Pixelwise(weights=4 * jax.random.normal(key, (1, 3)))
    images = toy.images(1, 2, (3, 4, 5, 1))
    labels = toy.predictions(model, images)
    result = attacks.run(attacks.SegPGD(eps=0.2), key, model, images, labels)
    kept = toy.predictions(model, result.images) == labels
    assert result.images.shape == images.shape and kept.mean() < 0.9


def test_the_default_step_is_that_of_the_paper_and_goes_with_the_radius(key):
    model, images, labels = setting()
    for eps in (0.03, 0.3):
        attack = attacks.SegPGD(eps=eps, steps=1, random_start=False)
        change = attacks.run(attack, key, model, images, labels).images - images
        np.testing.assert_allclose(toy.size_of(change, "linf"), eps / 3, rtol=1e-4)
    assert attacks.SegPGD().eps == 0.03 and attacks.SegPGD().steps == 20


@pytest.mark.parametrize("kind", [attacks.SegPGD, attacks.CosPGD, attacks.SEA])
def test_classifiers_are_refused(kind, key):
    model, images = toy.mlp(0), toy.images(1, 2, (4, 3, 3))
    with pytest.raises(ValueError, match="attacks segmenters"):
        attacks.run(kind(eps=0.1, steps=2), key, model, images, toy.predictions(model, images))


@pytest.mark.parametrize("kind", [attacks.SegPGD, attacks.CosPGD])
@pytest.mark.parametrize(
    "options, message",
    [
        (dict(eps=3.0), "eps must be"),
        (dict(steps=0), "steps must be"),
        (dict(step_size=0.0), "step_size must be above 0"),
        (dict(norm="l3"), "norm must be one of"),
    ],
)
def test_bad_hyperparameters_are_refused(kind, options, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(kind(**options), key, *setting(2))


def test_the_loss_is_that_of_pgd_at_one_half(key):
    logits = jax.random.normal(key, (4, 3))
    label = jnp.array([0, 1, 2, -1])
    half = segpgd_loss(logits, label, 0.5)
    np.testing.assert_allclose(half, losses.cross_entropy(logits, label) / 2, rtol=1e-6)
