"""DAG does what the paper says, and none of what the published codes get wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks
from medadv_jax.attacks import judge

WEIGHTS = jnp.array([[6.0, -2.0, 1.0], [0.5, 5.0, -3.0], [-4.0, 1.0, 3.0]])
MODEL = toy.Pixelwise(weights=WEIGHTS)
"""Each pixel has 3 channels and is one of 3 classes."""


def setting(count=3, shape=(4, 5, 3)):
    images = toy.images(2, count, shape)
    return MODEL, images, toy.predictions(MODEL, images)


def by_hand(image, label, gamma, steps, norm):
    """The paper's algorithm for one image of the model above, pixel by pixel."""
    weights, x = np.asarray(WEIGHTS, np.float64), np.asarray(image, np.float64)
    for _ in range(steps):
        logits, slope = (x - 0.5) @ weights, np.zeros_like(x)
        for n in np.ndindex(label.shape):
            if label[n] > 0 and logits[n].argmax() == label[n]:
                other = max((c for c in range(3) if c != label[n]), key=lambda c: logits[n][c])
                slope[n] = weights[:, other] - weights[:, label[n]]
        length = np.abs(slope).max() if norm == "linf" else np.sqrt((slope**2).sum())
        if length == 0:
            break
        x = np.clip(x + gamma * slope / length, 0, 1)
    return x


@pytest.mark.parametrize("norm, gamma", [("linf", 0.02), ("l2", 0.1)])
def test_it_is_the_algorithm_of_the_paper(norm, gamma, key):
    model, images, labels = setting()
    labels = labels.at[:, 0, 0].set(-1)
    dag = attacks.DAG(gamma=gamma, steps=9, step_norm=norm)
    result = attacks.run(dag, key, model, images, labels)
    for image, label, ours in zip(images, np.asarray(labels), result.images, strict=True):
        np.testing.assert_allclose(ours, by_hand(image, label, gamma, 9, norm), atol=1e-5)
    assert not (result.images == images).all((1, 2, 3)).any()


@pytest.mark.parametrize("norm, usual", [("linf", 0.5 / 255), ("l2", 0.5)])
def test_a_step_has_the_length_gamma_in_every_image_whatever_its_batch_mates(norm, usual, key):
    # published: the norm of the whole batch, so that a flat image gets no step beside a steep one
    model = lambda images: images[..., :1] * (images - 0.5) @ WEIGHTS
    images = 0.5 + 0.1 * (toy.images(2, 3, (8, 9, 3)) - 0.5)
    images = images.at[0].multiply(0.05)
    labels = toy.predictions(model, images)
    result = attacks.run(attacks.DAG(step_norm=norm, steps=1), key, model, images, labels)
    change = result.images - images
    inside = (result.images > 0).all((1, 2, 3)) | (norm == "linf")
    assert inside[1:].all()
    sizes = toy.size_of(change, norm)
    np.testing.assert_allclose(sizes[np.asarray(inside)], usual, rtol=1e-4)


def test_full_success_returns_the_image(key):
    # published: None, when no pixel is left
    result = attacks.run(attacks.DAG(gamma=0.5), key, *setting())
    kept = (toy.predictions(MODEL, result.images) == setting()[2]) & (setting()[2] > 0)
    assert result.success.all() and not kept.any()
    assert jnp.isfinite(result.images).all() and not result.flat.any()


def test_labels_and_targets_of_the_caller_survive(key):
    # published: the target is written into the array of the label
    model, images, labels = setting()
    labels = np.array(labels)
    targets = (labels + 1) % 3
    before = labels.copy(), targets.copy(), np.array(images)
    attacks.run(attacks.DAG(), key, model, images, labels, targets)
    for old, new in zip(before, (labels, targets, images), strict=True):
        np.testing.assert_array_equal(old, new)


def one_pixel(label_class):
    """One image of one pixel with that label, and its label."""
    image = 0.5 + 0.2 * jnp.sign(WEIGHTS[:, label_class])
    assert toy.predictions(MODEL, image[None, None, None])[0, 0, 0] == label_class
    return image[None, None, None], jnp.full((1, 1, 1), label_class)


def step_of(attack, image, label, target, key):
    target = None if target is None else jnp.full_like(label, target)
    change = attacks.run(attack, key, MODEL, image, label, target).images - image
    return np.asarray(change).ravel()


@pytest.mark.parametrize("target", [0, 2])
def test_the_target_is_raised_and_the_label_lowered(target, key):
    # published: background as a target of zeros, which only lowers the label; and a mask that drops
    # the target's term unless the target is background
    image, label = one_pixel(1)
    slope = WEIGHTS[:, target] - WEIGHTS[:, 1]
    step = step_of(attacks.DAG(gamma=0.01, steps=1), image, label, target, key)
    np.testing.assert_allclose(step, 0.01 * slope / jnp.abs(slope).max(), atol=1e-6)


def test_a_third_class_is_at_rest_in_the_paper_and_not_in_its_code(key):
    # two pixels of label 0 that shall be 2; the model takes the first for 1
    (first, _), (second, _) = one_pixel(1), one_pixel(0)
    images = jnp.concatenate([first, second], axis=2)
    labels = jnp.zeros((1, 1, 2), jnp.int32)
    for active, third in (("label", np.zeros(3)), ("target", WEIGHTS[:, 2] - WEIGHTS[:, 1])):
        dag = attacks.DAG(gamma=0.01, steps=1, active=active)
        result = attacks.run(dag, key, MODEL, images, labels, jnp.full_like(labels, 2))
        slopes = np.stack([third, WEIGHTS[:, 2] - WEIGHTS[:, 0]])
        expected = 0.01 * slopes / np.abs(slopes).max()
        np.testing.assert_allclose((result.images - images)[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("active, end", [("label", 0), ("target", 2)])
def test_it_ends_when_nothing_is_active_though_the_target_is_not_met(active, end, key):
    # on its way from 1 to 2 the pixel becomes 0, where the paper's attack rests
    model = toy.Pixelwise(weights=jnp.array([[3.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    image, label = jnp.array([[[[0.4, 0.6]]]]), jnp.full((1, 1, 1), 1)
    assert toy.predictions(model, image)[0, 0, 0] == 1
    dag = attacks.DAG(gamma=0.01, active=active, steps=100)
    result = attacks.run(dag, key, model, image, label, jnp.full_like(label, 2))
    assert toy.predictions(model, result.images)[0, 0, 0] == end
    assert result.success[0] == (end == 2) and 1 < result.steps[0] < 100 and not result.flat[0]


@pytest.mark.parametrize("targets", [None, 0])
@pytest.mark.parametrize("value", [0, -1])
def test_images_without_foreground_cost_nothing(value, targets, key):
    model, images, labels = setting()
    labels = labels.at[1].set(value)
    wanted = None if targets is None else jnp.full_like(labels, targets)
    result = attacks.run(attacks.DAG(), key, model, images, labels, wanted)
    assert (result.images[1] == images[1]).all() and not result.success[1]
    assert result.steps[1] == 0 and not result.flat[1]
    assert (result.steps[::2] > 0).all()


def test_what_is_wrong_on_the_clean_image_is_no_success(key):
    # by the rule of DAG: the foreground has no right pixel, the background has
    model, images, _ = setting()
    prediction = toy.predictions(model, images)
    labels = jnp.where(prediction == 0, 0, 3 - prediction)
    assert (labels > 0).any((1, 2)).all() and (labels == 0).any((1, 2)).all()
    result = attacks.run(attacks.DAG(), key, model, images, labels)
    assert result.misclassified.all() and not result.success.any()
    assert (result.steps == 0).all() and (result.images == images).all()


def test_one_pixel_in_a_hundred_may_keep_its_label():
    label = jnp.ones((20, 20), jnp.int32).at[10:].set(0).at[0, :5].set(-1)  # 195 pixels
    dag = attacks.DAG()
    for kept in range(4):
        prediction = jnp.zeros_like(label).at[5, :kept].set(1)
        assert dag.fooled(jax.nn.one_hot(prediction, 3), label) == (kept <= 1)
    everything = attacks.DAG(foreground_only=False)
    assert not everything.fooled(jax.nn.one_hot(jnp.zeros_like(label), 3), label)
    assert not dag.fooled(jnp.full((20, 20, 3), jnp.nan), label)


def test_a_volume_is_attacked_as_its_slices_side_by_side(key):
    model, images, labels = setting(2, (2, 3, 4, 3))
    volume = attacks.run(attacks.DAG(steps=9), key, model, images, labels)
    flat = lambda x: x.reshape(2, 6, *x.shape[3:])
    slices = attacks.run(attacks.DAG(steps=9), key, model, flat(images), flat(labels))
    np.testing.assert_allclose(flat(volume.images), slices.images, atol=1e-7)
    assert (volume.steps == slices.steps).all() and (volume.success == slices.success).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_tiny_gradient_has_a_direction_and_a_nan_has_none(norm, key):
    # squares of 1e-30 are zero in float32
    image, label = one_pixel(1)
    dag = attacks.DAG(gamma=0.01, steps=1, step_norm=norm)
    faint = attacks.run(dag, key, lambda x: 1e-30 * MODEL(x), image, label)
    np.testing.assert_allclose(toy.size_of(faint.images - image, norm), 0.01, rtol=1e-5)

    def broken(images):
        logits = MODEL(images)
        return logits + 0 * jnp.sqrt(jnp.maximum(logits.max() - logits, 0))  # its slope is NaN

    result = attacks.run(attacks.DAG(step_norm=norm), key, broken, image, label)
    assert result.flat[0] and not result.success[0] and (result.images == image).all()


def test_its_own_rule_holds_inside_a_worst_case(key):
    # DAG leaves the background alone, which by the common rule is no success
    model, images, labels = setting()
    labels = labels.at[0].set(jnp.maximum(labels[0], 0).at[0, 0].set(0))
    dag, weak = attacks.DAG(gamma=0.05, steps=12), attacks.FGSM(eps=1e-6)
    alone = attacks.run(dag, key, model, images, labels)
    assert alone.success.all()
    assert not jax.vmap(judge.fooled)(model(alone.images), labels).any()
    inner = attacks.WorstCase(attacks=(weak, dag))
    for run, attack in (
        (attacks.run, inner),
        (jax.jit(attacks.run), inner),
        (attacks.run, attacks.WorstCase(attacks=(dag, weak))),
        (attacks.run, attacks.WorstCase(attacks=(inner,))),
    ):
        worst = run(attack, key, model, images, labels)
        assert worst.success.all() and not worst.misclassified.any()
        np.testing.assert_allclose(worst.images, alone.images, atol=1e-6)


@pytest.mark.parametrize(
    "attack, message",
    [
        (attacks.DAG(gamma=0.0), "gamma must be above 0"),
        (attacks.DAG(steps=0), "steps must be an integer"),
        (attacks.DAG(step_norm="l1"), "step_norm must be one of"),  # pyright: ignore
        (attacks.DAG(active="all"), "active must be one of"),  # pyright: ignore
    ],
)
def test_bad_hyperparameters_are_refused(attack, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attack, key, *setting())


def test_classifiers_are_refused(key):
    images = toy.images(0, 2, (4, 3, 3))
    with pytest.raises(ValueError, match="DAG attacks segmenters"):
        attacks.run(attacks.DAG(), key, toy.mlp(0), images, jnp.zeros(2, jnp.int32))
