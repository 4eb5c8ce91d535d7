"""The gradient-sign family beyond FGSM and PGD, against its papers' rules written in NumPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks.single_step import least_likely

SHAPE, COUNT = (4, 3, 3), 8


def setting(seed=0):
    model = toy.mlp(seed)
    images = toy.images(1, COUNT, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def keys_of(key, count=COUNT):
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(count))


def slope(model, image, label):
    """The gradient of the cross-entropy of `toy.mlp` in the pixels, float64."""
    hidden, output = (np.asarray(w, np.float64) for w in (model.hidden, model.output))
    active = np.tanh((image.ravel() - 0.5) @ hidden)
    logits = active @ output
    share = np.exp(logits - logits.max())
    share /= share.sum()
    share[label] -= 1
    return (((output @ share) * (1 - active**2)) @ hidden.T).reshape(image.shape)


def momentum_method(model, images, labels, eps, alpha, steps, decay, norm, unit):
    """Algorithm 1 of Dong et al. 2018; `unit` is how a gradient is normalised."""
    found = []
    for clean, label in zip(np.asarray(images, np.float64), np.asarray(labels), strict=True):
        image, total = clean.copy(), np.zeros(clean.shape)
        for _ in range(steps):
            total = decay * total + unit(slope(model, image, label))
            step = np.sign(total) if norm == "linf" else total / np.sqrt((total**2).sum())
            change = image + alpha * step - clean
            if norm == "linf":
                change = np.clip(change, -eps, eps)
            else:
                change *= min(1, eps / np.sqrt((change**2).sum()))
            image = np.clip(clean + change, 0, 1)
        found.append(image)
    return np.stack(found)


def by_l1(gradient):
    return gradient / np.abs(gradient).sum()


@pytest.mark.parametrize("norm, eps", [("linf", 0.1), ("l2", 0.4)])
@pytest.mark.parametrize("decay, alpha", [(1.0, None), (0.5, 0.3)])
def test_mim_is_the_rule_of_its_paper(norm, eps, decay, alpha, key):
    model, images, labels = setting()
    step = eps / 8 if alpha is None else alpha * eps
    expected = momentum_method(model, images, labels, eps, step, 8, decay, norm, by_l1)
    attack = attacks.MIM(eps=eps, step_size=alpha and step, decay=decay, steps=8, norm=norm)
    result = attacks.run(attack, key, model, images, labels)
    np.testing.assert_allclose(result.images, expected, atol=2e-6)
    assert (result.gradients == 8).all() and (result.forwards == 0).all()


def test_mim_is_no_sum_of_signs_and_the_mean_in_place_of_the_sum_is_a_factor(key):
    """Foolbox sums the signs of the gradients; CleverHans divides by the mean of |g|."""
    model, images, labels = setting()
    rule = lambda unit: momentum_method(model, images, labels, 0.3, 0.1, 8, 1.0, "linf", unit)
    ours = attacks.run(attacks.MIM(eps=0.3, step_size=0.1, steps=8), key, model, images, labels)
    assert np.abs(rule(np.sign) - ours.images).max() > 0.1
    mean = rule(lambda gradient: gradient / np.abs(gradient).mean())
    np.testing.assert_allclose(ours.images, mean, atol=2e-6)


def test_mim_remembers_each_image_by_itself_whatever_the_size_of_its_gradient(key):
    """Early torchattacks divided by the norm of the batch: mates with steep slopes counted more."""

    def images_of(factor):
        loss = lambda logits, label: factor * losses.cross_entropy(logits, label)
        attack = attacks.MIM(eps=0.3, step_size=0.1, steps=4, loss=loss)
        return attacks.run(attack, key, *setting()).images

    chex.assert_trees_all_close(images_of(1e30), images_of(1.0), atol=1e-6)
    chex.assert_trees_all_close(images_of(1e-30), images_of(1.0), atol=1e-6)


def test_mim_without_memory_is_bim(key):
    model, images, labels = setting()
    mim = attacks.MIM(eps=0.1, step_size=0.025, decay=0, steps=6)
    bim = attacks.BIM(eps=0.1, steps=6)
    one, two = (attacks.run(attack, key, model, images, labels) for attack in (mim, bim))
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_classes, norm", [(2, "linf"), (3, "l2"), (10, "linf"), (10, "l2")])
def test_mim_succeeds_exactly_beyond_the_distance(num_classes, norm, key):
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, norm)
    nearest = jnp.asarray(distances.argmin(axis=1))
    for factor, expected in ((0.99, False), (1.01, True)):
        attack = attacks.MIM(
            eps=factor * distances.min(axis=1), steps=3, norm=norm, loss=losses.margin
        )
        targets = nearest if expected else None  # the steepest way may lead to another class
        success = attacks.run(attack, key, model, images, labels, targets).success
        assert (success == expected).all()


def test_rfgsm_is_the_rule_of_its_paper(key):
    model, images, labels = setting()
    for alpha in (None, 0.02):
        attack = attacks.RFGSM(eps=0.1, alpha=alpha)
        result = attacks.run(attack, key, model, images, labels)
        move, expected, at_clean = alpha or 0.05, [], []
        for own, image, label in zip(keys_of(key), np.asarray(images), labels, strict=True):
            signs = np.asarray(jax.random.rademacher(own, SHAPE))
            start = np.clip(image + move * signs, 0, 1)
            for point, found in ((start, expected), (image, at_clean)):
                step = (0.1 - move) * np.sign(slope(model, point, int(label)))
                found.append(np.clip(start + step, 0, 1))
        np.testing.assert_allclose(result.images, np.stack(expected), atol=1e-6)
        assert np.abs(np.stack(at_clean) - result.images).max() > 0.01  # not the gradient at x
        assert (result.gradients == 1).all()


def test_rfgsm_never_leaves_the_ball_and_its_signs_are_fair(key):
    """In torchattacks a random step and full steps are clipped together: not the paper's attack."""
    model, shape = toy.linear(0, (20, 20, 1), 2), (20, 20, 1)
    images = toy.images(1, COUNT, shape)
    labels = toy.predictions(model, images)
    result = attacks.run(attacks.RFGSM(eps=0.1, alpha=0.03), key, model, images, labels)
    change = np.abs(np.asarray(result.images - images))
    # with the gradient's sign .03 + .07, against it .07 - .03
    assert (np.isclose(change, 0.1, atol=1e-6) | np.isclose(change, 0.04, atol=1e-6)).all()
    agree = (change > 0.07).mean()
    assert abs(agree - 0.5) < 4 * 0.5 / np.sqrt(change.size)


@pytest.mark.parametrize("factor, expected", [(0.99, False), (1.01, True)])
def test_rfgsm_on_two_classes_succeeds_exactly_where_its_two_moves_reach(factor, expected, key):
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    labels = np.asarray(toy.predictions(model, images))
    logits, weights = np.asarray(model(images)), np.asarray(model.weights)
    gap, sizes = np.abs(logits[:, 0] - logits[:, 1]), []
    for own, label in zip(keys_of(key), labels, strict=True):
        signs = np.asarray(jax.random.rademacher(own, SHAPE)).ravel()
        steepest = weights[:, 1 - label] - weights[:, label]
        # half of eps at random, half along the gradient
        sizes.append((steepest * (signs + np.sign(steepest))).sum() / 2)
    attack = attacks.RFGSM(eps=factor * gap / np.array(sizes), loss=losses.margin)
    assert (attacks.run(attack, key, model, images, labels).success == expected).all()


def test_rfgsm_without_a_random_move_is_fgsm_and_with_nothing_else_is_sign_noise(key):
    model, images, labels = setting()
    for alpha, other in ((0, attacks.FGSM(eps=0.1)), (0.1, attacks.SignNoise(eps=0.1))):
        attack = attacks.RFGSM(eps=0.1, alpha=alpha)
        found, expected = (attacks.run(a, key, model, images, labels) for a in (attack, other))
        chex.assert_trees_all_close(found.images, expected.images, rtol=0, atol=1e-6)


def test_rfgsm_goes_down_to_a_target(key):
    model, images, labels = setting()
    targets = least_likely(model(images), labels)
    attack, before = attacks.RFGSM(eps=0.2), jax.vmap(losses.cross_entropy)(model(images), targets)
    result = attacks.run(attack, key, model, images, labels, targets)
    assert (jax.vmap(losses.cross_entropy)(model(result.images), targets) < before).all()


def test_a_random_move_beyond_eps_is_refused(key):
    model, images, labels = setting()
    attack = attacks.RFGSM(eps=np.linspace(0.05, 0.2, COUNT), alpha=0.1)
    with pytest.raises(ValueError, match="alpha must be at most eps 0.05, got 0.1"):
        attacks.run(attack, key, model, images, labels)
    with pytest.raises(ValueError, match="alpha must be at most eps"):
        jax.jit(lambda *a: attacks.run(attacks.RFGSM(eps=0.1, alpha=0.2), key, *a))(
            model, images, labels
        )


@pytest.mark.parametrize("norm, dense", [("linf", False), ("l1", False), ("l2", True)])
def test_stepll_is_fgsm_towards_the_least_likely_class(norm, dense, key):
    model = toy.segmenter(0) if dense else toy.mlp(0)
    images = toy.images(1, COUNT, (6, 6, 1) if dense else SHAPE, low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    if dense:
        labels = labels.at[:, 0].set(-1)
    targets = jnp.where(labels < 0, -1, jnp.argmin(model(images), axis=-1))
    result = attacks.run(attacks.StepLL(eps=0.3, norm=norm), key, model, images, labels)
    fgsm = attacks.run(attacks.FGSM(eps=0.3, norm=norm), key, model, images, labels, targets)
    chex.assert_trees_all_close(result.images, fgsm.images, rtol=0, atol=1e-6)
    assert (result.gradients == 1).all() and (result.forwards == 0).all()
    if not dense:  # any wrong class is a success
        assert (result.success == (toy.predictions(model, result.images) != labels)).all()


def test_stepll_never_moves_towards_the_label(key):
    model, images, labels = setting()
    worst = jnp.argmin(model(images), axis=-1)
    result = attacks.run(attacks.StepLL(eps=0.1), key, model, images, worst)
    second = jnp.argsort(model(images), axis=-1)[:, 1]
    fgsm = attacks.run(attacks.FGSM(eps=0.1), key, model, images, worst, second)
    chex.assert_trees_all_close(result.images, fgsm.images, rtol=0, atol=1e-6)


def test_stepll_takes_no_label_from_the_model_it_fools(key):
    """Label leaking: where the model is right, the direction is the same whatever the label."""
    model, images, labels = setting()
    third = jnp.argsort(model(images), axis=-1)[:, 1]
    images_of = lambda y: attacks.run(attacks.StepLL(eps=0.1), key, model, images, y).images
    chex.assert_trees_all_equal(images_of(labels), images_of(third))


@pytest.mark.parametrize("factor, expected", [(0.99, False), (1.01, True)])
def test_stepll_on_two_classes_succeeds_exactly_beyond_the_distance(factor, expected, key):
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    distance = toy.distances(model, images, labels, "linf").min(axis=1)
    attack = attacks.StepLL(eps=factor * distance, loss=losses.margin)
    assert (attacks.run(attack, key, model, images, labels).success == expected).all()


def test_stepll_refuses_targets(key):
    model, images, labels = setting()
    with pytest.raises(ValueError, match="StepLL is untargeted"):
        attacks.run(attacks.StepLL(eps=0.1), key, model, images, labels, (labels + 1) % 4)
