"""SEA: its losses by hand, its worst case, and that it is the strongest of the dense attacks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks, losses
from medadv_jax.attacks.sea_losses import (
    BalancedMaskedCrossEntropy,
    jensen_shannon,
    masked_cross_entropy,
)


def softmax(logits):
    logits = np.asarray(logits, np.float64)
    parts = np.exp(logits - logits.max(-1, keepdims=True))
    return parts / parts.sum(-1, keepdims=True)


@pytest.fixture
def example(key):
    logits = 3 * jax.random.normal(key, (6, 5, 4))
    label = jax.random.randint(key, (6, 5), -1, 4)
    assert (label == -1).any()
    return logits, label


def by_hand(logits, label, weights):
    """The mean over valid pixels of weighted cross-entropies of those that are right."""
    share, label = softmax(logits), np.asarray(label)
    own = np.take_along_axis(share, np.maximum(label, 0)[..., None], -1)[..., 0]
    right = (share.argmax(-1) == label) & (label >= 0)
    return (right * weights * -np.log(own)).sum() / (label >= 0).sum()


def test_the_masked_losses_look_at_the_pixels_that_are_right(example):
    logits, label = example
    expected = by_hand(logits, label, 1.0)
    np.testing.assert_allclose(masked_cross_entropy(*example), expected, rtol=1e-5)
    given = (1.0, 0.5, 2.0, 4.0)
    weights = np.array(given)[np.maximum(label, 0)]
    loss = BalancedMaskedCrossEntropy(given)
    np.testing.assert_allclose(loss(*example), by_hand(logits, label, weights), rtol=1e-5)
    counts = np.bincount(np.asarray(label)[label >= 0], minlength=4)
    weights = (counts.sum() / (4 * counts))[np.maximum(label, 0)]
    loss = BalancedMaskedCrossEntropy()
    np.testing.assert_allclose(loss(*example), by_hand(logits, label, weights), rtol=1e-5)
    for function in (masked_cross_entropy, loss):
        wrong = np.asarray(logits).argmax(-1) != np.asarray(label)
        assert (jax.grad(function)(*example)[wrong] == 0).all()


def test_a_class_that_is_absent_has_no_weight_and_no_label_no_loss(example):
    logits, label = example
    label = jnp.where(label == 3, 2, label)
    assert jnp.isfinite(BalancedMaskedCrossEntropy()(logits, label))
    nothing = jnp.full(label.shape, -1)
    for loss in (masked_cross_entropy, BalancedMaskedCrossEntropy(), jensen_shannon):
        assert loss(logits, nothing) == 0


def test_jensen_shannon_is_that_of_its_definition(example):
    logits, label = example
    p, valid = softmax(logits), np.asarray(label) >= 0
    q = np.eye(4)[np.maximum(label, 0)]
    middle = (p + q) / 2
    divergence = (p * np.log(p / middle)).sum(-1)
    divergence += np.where(q > 0, q * np.log(np.maximum(q, 1e-300) / middle), 0).sum(-1)
    expected = (divergence / 2 * valid).sum() / valid.sum()
    np.testing.assert_allclose(jensen_shannon(logits, label), expected, rtol=1e-4)


@pytest.mark.parametrize("lead", [-60.0, -20.0, -5.0, 0.0, 5.0, 20.0, 60.0])
def test_jensen_shannon_has_the_right_slope_for_a_model_that_is_sure(lead):
    # two classes, p = sigmoid(lead): the slope is p (1 - p) log(p / (1 + p)) / 2
    gradient = jax.grad(jensen_shannon)(jnp.array([lead, 0.0]), jnp.array(0))
    p, rest = 1 / (1 + np.exp(-lead)), 1 / (1 + np.exp(lead))
    expected = p * rest * np.log(p / (1 + p)) / 2
    np.testing.assert_allclose(gradient[1], -expected, rtol=1e-4)


def test_equal_weights_are_one_loss():
    assert BalancedMaskedCrossEntropy((1.0, 2.0)) == BalancedMaskedCrossEntropy((1.0, 2.0))
    one, two = (jax.tree.structure(attacks.sea(0.1, class_weights=(1.0, 2.0))) for _ in range(2))
    assert one == two and hash(one) == hash(two)


def right(model, images, labels):
    return ((toy.predictions(model, images) == labels) & (labels >= 0)).sum(axis=(1, 2))


def two_classes(key, count=6):
    """A segmenter of one pixel each, and how far each pixel is from the other class in Linf."""
    model = toy.Pixelwise(weights=2 * jax.random.normal(key, (3, 2)))
    images = toy.images(1, count, (8, 8, 3))
    labels = toy.predictions(model, images)
    logits = np.sort(np.asarray(model(images), np.float64))
    slope = np.abs(np.asarray(model.weights[:, 1] - model.weights[:, 0], np.float64)).sum()
    return model, images, labels, (logits[..., 1] - logits[..., 0]) / slope


@pytest.mark.parametrize(
    "attack",
    [
        attacks.SegPGD(eps=0.05, steps=12),
        attacks.CosPGD(eps=0.05, steps=12),
        attacks.PGD(eps=0.05, steps=12, loss=masked_cross_entropy),
        attacks.APGD(eps=0.05, steps=12, loss=BalancedMaskedCrossEntropy()),
        attacks.APGD(eps=0.05, steps=12, loss=jensen_shannon, track="ce"),
        attacks.sea(0.05, steps=12),
    ],
    ids=["segpgd", "cospgd", "masked_pgd", "balanced_apgd", "jensen_shannon", "sea"],
)
def test_on_a_linear_segmenter_exactly_the_pixels_nearer_than_eps_fall(attack, key):
    model, images, labels, distance = two_classes(key)
    void = np.zeros(labels.shape, bool)
    void[:, 2] = True
    result = attacks.run(attack, key, model, images, jnp.where(void, -1, labels))
    fallen = np.asarray(toy.predictions(model, result.images) != labels)
    clear = (np.abs(distance - 0.05) > 0.002) & ~void
    assert 0.1 < (distance < 0.05)[clear].mean() < 0.9
    assert (fallen == (distance < 0.05))[clear].all()


def setting():
    model = toy.segmenter(0)
    images = toy.images(1, 6, (8, 8, 1), low=0.0, high=1.0)
    return model, images, toy.predictions(model, images).at[:, 0].set(-1)


def test_it_is_the_worst_of_its_parts_and_costs_their_sum(key):
    model, images, labels = setting()
    sea = attacks.sea(0.06, steps=12)
    worst = attacks.run(sea, key, model, images, labels)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(6))
    counts, costs, pictures = [], 0, []
    for number, part in enumerate(sea.parts()):
        own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number) if number else keys
        result = attacks.run(part, own, model, images, labels)
        counts.append(right(model, result.images, labels))
        costs += result.gradients
        pictures.append(result.images)
    assert (right(model, worst.images, labels) == jnp.stack(counts).min(axis=0)).all()
    assert len(set(np.argmin(counts, axis=0))) > 1  # no part is the worst everywhere
    first = np.argmin(counts, axis=0)
    for i in range(6):
        assert (worst.images[i] == pictures[first[i]][i]).all()
    assert (worst.gradients == costs).all() and (costs == 3 * 15).all()
    assert (worst.forwards == 3).all() and not worst.flat.any()


def test_an_image_without_a_right_pixel_meets_no_further_loss(key):
    model, images, labels, distance = two_classes(key)
    eps = distance.max(axis=(1, 2)) * np.where(np.arange(6) < 3, 1.05, 0.5)
    result = attacks.run(attacks.sea(eps, steps=12), key, model, images, labels)
    assert (result.success == (np.arange(6) < 3)).all()
    assert (result.forwards == np.where(np.arange(6) < 3, 1, 3)).all()
    assert (result.gradients[:3] <= 15).all() and (result.gradients[3:] > 30).all()


def test_targets_and_weights_of_another_length_are_refused(key):
    model, images, labels = setting()
    with pytest.raises(ValueError, match="SEA is untargeted"):
        targets = jnp.where(labels < 0, -1, (labels + 1) % 4)
        attacks.run(attacks.sea(0.1, steps=2), key, model, images, labels, targets)
    for weights, message in (((1.0, 1.0), "4 classes, got 2"), ((1.0, 1.0, 1.0, -1.0), "at least")):
        with pytest.raises(ValueError, match=message):
            attack = attacks.sea(0.1, steps=2, class_weights=weights)
            attacks.run(attack, key, model, images, labels)
    with pytest.raises(ValueError, match="eps must be"):
        attacks.run(attacks.sea(4.0, steps=2), key, model, images, labels)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Net:
    """Three convolutions; the receptive field is 7 x 7 pixels."""

    kernels: tuple

    def __call__(self, images):
        x = 4 * (images - 0.5)
        for number, kernel in enumerate(self.kernels):
            x = jax.nn.relu(x) if number else x
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return x


def squares(key, count):
    """Noisy images of a bright square and a dark one on grey, and where they are."""
    places, noise = jax.random.split(key)
    corners = jax.random.randint(places, (count, 2, 2), 0, 9)
    grid = jnp.stack(jnp.meshgrid(jnp.arange(16), jnp.arange(16), indexing="ij"))[None, None]
    corners = corners[..., None, None]
    inside = ((grid >= corners) & (grid < corners + 6)).all(axis=2)
    labels = jnp.where(inside[:, 1], 2, jnp.where(inside[:, 0], 1, 0))
    values = jnp.array([0.5, 0.7, 0.3])[labels]
    images = values + 0.05 * jax.random.normal(noise, values.shape)
    return jnp.clip(images, 0, 1)[..., None], labels


@pytest.fixture(scope="module")
def trained():
    """A segmenter of squares, and images that it has not seen."""
    widths = (1, 12, 12, 3)
    keys = jax.random.split(jax.random.key(0), 3)
    net = Net(
        tuple(
            jax.random.normal(key, (3, 3, a, b)) * np.sqrt(2 / (9 * a))
            for key, a, b in zip(keys, widths[:-1], widths[1:], strict=True)
        )
    )
    optimizer = optax.adam(0.01)

    @jax.jit
    def update(net, state, images, labels):
        loss = lambda net: jax.vmap(losses.cross_entropy)(net(images), labels).mean()
        changes, state = optimizer.update(jax.grad(loss)(net), state)
        return optax.apply_updates(net, changes), state

    state = optimizer.init(net)  # pyright: ignore[reportArgumentType]
    images, labels = squares(jax.random.key(1), 32)
    for _ in range(150):
        net, state = update(net, state, images, labels)
    return net, *squares(jax.random.key(2), 8)


def test_pgd_is_beaten_by_segpgd_and_that_by_sea(trained, key):
    # of 100 steps each: with 20, SEA has 8 steps left in its last ball and may lose to SegPGD
    net, images, labels = trained
    assert right(net, images, labels).mean() > 0.95 * 256
    strengths = [
        attacks.PGD(eps=0.06, steps=100, step_size=0.02),
        attacks.SegPGD(eps=0.06, steps=100),
        attacks.sea(0.06, steps=100),
    ]
    results = [attacks.run(attack, key, net, images, labels) for attack in strengths]
    pgd, segpgd, sea = (right(net, result.images, labels).mean() / 256 for result in results)
    assert pgd > segpgd + 0.02 and segpgd > sea + 0.02 and sea > 0
