"""Models behind a step that has no useful gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import toy

from medadv_jax import attacks, losses

SHAPE, COUNT = (6, 6, 1), 8
LEVELS = 8


def setting():
    """A linear model, its images and the exact Linf distances of their quantised forms."""
    model = toy.linear(0, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, quantised(images))
    return model, images, labels


def quantised(image):
    return jnp.round(LEVELS * image) / LEVELS


def soft(image):
    """Something smooth with a slope that is easily told from that of the identity."""
    return image + 0.5 * image**2


def median(image):
    """A median filter, in SciPy: code that jax cannot see into."""
    shape = jax.ShapeDtypeStruct(image.shape, image.dtype)
    size = (3, 3, 1)
    code = lambda x: np.stack([scipy.ndimage.median_filter(each, size) for each in x])
    whole = lambda x: code(np.reshape(x, (-1, *SHAPE))).reshape(np.shape(x))
    return jax.pure_callback(whole, shape, image, vmap_method="expand_dims")


BIM = attacks.BIM(eps=0.2, steps=8, loss=losses.margin)


def test_it_beats_the_plain_attack_whose_gradient_is_zero(key):
    model, images, labels = setting()
    plain = attacks.run(BIM, key, lambda images: model(quantised(images)), images, labels)
    assert plain.flat.all() and not plain.success.any() and (plain.images == images).all()
    result = attacks.run(BIM, key, attacks.BPDA(model, quantised), images, labels)
    assert result.success.all() and not result.flat.any()
    # judged behind the real step
    assert (toy.predictions(model, quantised(result.images)) != labels).all()


def test_the_logits_are_those_behind_the_step(key):
    model, images, _ = setting()
    for backward in (attacks.bpda.identity, soft):
        found = attacks.BPDA(model, quantised, backward)(images)
        chex.assert_trees_all_equal(found, model(quantised(images)))


def test_the_gradient_is_that_of_the_other_step_at_the_image_and_of_the_model_behind_it(key):
    model, shape = toy.mlp(0), (4, 3, 3)
    images = toy.images(1, 2, shape)
    total = lambda predict: jax.grad(lambda images: predict(images)[:, 0].sum())
    behind = total(model)(quantised(images))
    found = total(attacks.BPDA(model, quantised))(images)
    chex.assert_trees_all_close(found, behind, rtol=1e-5)
    found = total(attacks.BPDA(model, quantised, soft))(images)
    chex.assert_trees_all_close(found, behind * (1 + images), rtol=1e-5)


def test_a_smooth_step_with_itself_as_surrogate_changes_nothing(key):
    model, images, _ = setting()
    labels = toy.predictions(model, soft(images) / 2)
    half = lambda image: soft(image) / 2
    one = attacks.run(BIM, key, attacks.BPDA(model, half, half), images, labels)
    two = attacks.run(BIM, key, lambda images: model(half(images)), images, labels)
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("inside", [False, True])
def test_code_that_jax_cannot_see_into(inside, key):
    model, images, _ = setting()
    defended = attacks.BPDA(model, median)
    labels = toy.predictions(defended, images)
    run = jax.jit(attacks.run) if inside else attacks.run
    strong = attacks.BIM(eps=0.5, steps=12, loss=losses.margin)
    result = run(strong, key, defended, images, labels)
    assert result.success.sum() > COUNT // 2
    assert (toy.predictions(model, jax.vmap(median)(result.images)) != labels).sum() > COUNT // 2


def test_other_weights_compile_nothing(key):
    _, images, labels = setting()
    run = lambda seed: attacks.run(
        BIM, key, attacks.BPDA(toy.linear(seed, SHAPE, 2), quantised), images, labels
    )
    run(1)
    before = len(toy.TRACES)
    run(2)
    assert len(toy.TRACES) == before


def test_a_surrogate_of_another_shape_is_refused(key):
    model, images, _ = setting()
    smaller = lambda image: image[::2]
    with pytest.raises(ValueError, match=r"shape of forward, \(6, 6, 1\): got \(3, 6, 1\)"):
        attacks.BPDA(model, quantised, smaller)(images)
