"""Universal perturbations: how one is applied, and what a fitted one is on models known exactly."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, data

SHAPE = (4, 4, 3)


def fit(key, attack, model, images, labels, batch_size=8, **options):
    batches = data.from_arrays(np.asarray(images), np.asarray(labels), batch_size)
    return attacks.fit_universal(key, attack, model, batches, **options)


def of_one_class(norm):
    """A linear model of 2 classes, images of one of them, their distances, and an eps between."""
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, 40, SHAPE)
    labels = toy.predictions(model, images)
    images, labels = images[labels == 0][:13], labels[labels == 0][:13]
    distances = toy.distances(model, images, labels, norm)[:, 1]
    gaps = np.sort(distances)
    return model, images, labels, distances, float((gaps[7] + gaps[8]) / 2)


def towards_the_other_class(model, norm):
    slope = np.asarray(model.weights[:, 1] - model.weights[:, 0]).reshape(SHAPE)
    return np.sign(slope) if norm == "linf" else slope / np.sqrt((slope**2).sum())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", ["deepfool", "fgsm", "pgd"])
def test_on_a_linear_model_it_is_the_best_of_all_and_its_rate_is_exact(norm, kind, key):
    model, images, labels, distances, eps = of_one_class(norm)
    attack = {
        "deepfool": attacks.DeepFool(norm=norm),
        "fgsm": attacks.FGSM(eps=eps / 3, norm=norm),
        "pgd": attacks.PGD(eps=eps, steps=3, norm=norm),
    }[kind]
    found = fit(key, attack, model, images, labels, eps=eps, norm=norm, target_rate=1, epochs=4)
    assert len(images) == 13 and 0 < eps < 0.3 * (1 if norm == "linf" else 4)
    assert found.rate == pytest.approx((distances < eps).mean()) == pytest.approx(8 / 13)
    expected = eps * towards_the_other_class(model, norm)
    np.testing.assert_allclose(found.perturbation.delta, expected, atol=1e-6)
    assert not found.reached and found.flat == 0 and len(found.rates) == 4
    success = attacks.run(found.perturbation, key, model, images, labels).success
    assert (success == (distances < eps)).all()


def test_the_authors_deepfool_in_l2_fills_a_ball_in_linf(key):
    model, images, labels, distances, eps = of_one_class("linf")
    options = dict(eps=eps, target_rate=1, epochs=4)
    found = fit(key, attacks.DeepFool(), model, images, labels, **options)
    delta, best = found.perturbation.delta, towards_the_other_class(model, "linf")
    assert (delta * best >= 0).all() and (jnp.abs(delta) == np.float32(eps)).mean() > 0.8
    assert 6 / 13 <= found.rate <= (distances < eps).mean()


def test_it_stops_at_the_rate_that_it_is_asked_for(key):
    model, images, labels, distances, _ = of_one_class("linf")
    eps = 1.1 * float(distances.max())
    options = dict(eps=eps, target_rate=0.5, epochs=9)
    found = fit(key, attacks.FGSM(eps=eps / 20), model, images, labels, **options)
    assert found.reached and 0.5 <= found.rate < 1
    assert found.rate == found.rates[-1] and all(rate < 0.5 for rate in found.rates[:-1])
    assert 1 < len(found.rates) < 9


@pytest.mark.parametrize("attack", [attacks.DeepFool(), attacks.FGSM(eps=0.1)])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_eps_zero_is_no_perturbation(norm, attack, key):
    model, images, labels, _, _ = of_one_class(norm)
    found = fit(key, attack, model, images, labels, eps=0, norm=norm, epochs=1)
    assert (found.perturbation.delta == 0).all()
    assert found.rate == 0 and not found.reached


@pytest.mark.parametrize("attack", [attacks.DeepFool(), attacks.FGSM(eps=0.5)])
@pytest.mark.parametrize("norm, eps", [("linf", 0.03), ("l2", 0.2)])
def test_it_lies_in_its_ball(norm, eps, attack, key):
    model, images = toy.mlp(3), toy.images(4, 12, (4, 3, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    options = dict(eps=eps, norm=norm, target_rate=1, epochs=2)
    found = fit(key, attack, model, images, labels, **options).perturbation
    size = toy.size_of(found.delta[None], norm)[0]
    assert 0.5 * eps < size <= np.float32(eps) * (1 if norm == "linf" else 1 + 1e-6)
    assert (found.eps, found.norm, found.radius) == (eps, norm, eps)


def test_it_fools_on_unseen_images_as_no_random_noise_of_its_size_does(key):
    model, eps = toy.conv_net(0), 0.05
    images = toy.images(3, 320, (8, 8, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    unseen = (model, images[64:], labels[64:])
    noise = attacks.run(attacks.SignNoise(eps=eps), key, *unseen).success.mean()
    options = dict(eps=eps, target_rate=1, epochs=6)
    for attack, least in ((attacks.FGSM(eps=eps / 4), 3), (attacks.PGD(eps=eps), 3)):
        found = fit(key, attack, model, images[:64], labels[:64], 32, **options)
        rate = attacks.run(found.perturbation, key, *unseen).success.mean()
        assert rate > least * noise > 0


def test_the_key_decides_the_order_and_with_it_the_perturbation():
    model, images = toy.mlp(3), toy.images(4, 12, (4, 3, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    one, two, other = (
        fit(jax.random.key(seed), attacks.DeepFool(), model, images, labels, eps=0.05, epochs=1)
        for seed in (0, 0, 1)
    )
    assert (one.perturbation.delta == two.perturbation.delta).all() and one[1:] == two[1:]
    assert (one.perturbation.delta != other.perturbation.delta).any()


def test_it_is_that_of_the_best_pass(key):
    model, images = toy.mlp(5), toy.images(4, 20, (4, 3, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    options = dict(eps=0.06, target_rate=1, epochs=4)
    found = fit(key, attacks.DeepFool(), model, images, labels, **options)
    assert found.rate == max(found.rates) > found.rates[-1]  # else the test says nothing
    success = attacks.run(found.perturbation, key, model, images, labels).success
    assert success.mean() == pytest.approx(found.rate)


def test_together_what_is_fooled_is_climbed_on(key):
    """Else the perturbation turns to the other class as soon as the first image is fooled."""
    model = toy.linear(2, SHAPE, 2)
    best = towards_the_other_class(model, "linf")
    middle = np.full(SHAPE, 0.5)  # where the two classes meet
    images = jnp.asarray(np.stack([middle - 0.01 * best, middle + 0.2 * best]), jnp.float32)
    labels = toy.predictions(model, images)
    assert labels.tolist() == [0, 1]
    options = dict(eps=0.03, target_rate=1, epochs=5)
    found = fit(key, attacks.FGSM(eps=0.01), model, images, labels, **options)
    np.testing.assert_allclose(found.perturbation.delta, 0.03 * best, atol=1e-6)
    assert found.rates[1:] == (0.5,) * 4


def test_a_random_start_is_not_taken(key):
    model, images, labels, _, eps = of_one_class("linf")
    found = [
        fit(key, kind(eps=eps / 9, steps=2), model, images, labels, eps=eps, epochs=1)
        for kind in (attacks.PGD, attacks.BIM)
    ]
    assert (found[0].perturbation.delta == found[1].perturbation.delta).all()


def test_all_images_are_led_to_one_class(key):
    model, images = toy.linear(3, SHAPE, 3), toy.images(1, 16, SHAPE)
    labels = toy.predictions(model, images)
    assert len(np.unique(labels)) == 3
    options = dict(eps=0.3, target=2, target_rate=1.0)
    found = fit(key, attacks.FGSM(eps=0.05), model, images, labels, **options)
    assert found.reached and found.rate == 1
    assert (toy.predictions(model, images + found.perturbation.delta[None]) == 2).all()
    others = labels != 2
    targets = jnp.full(int(others.sum()), 2)
    success = attacks.run(found.perturbation, key, model, images[others], labels[others], targets)
    assert success.success.all()


def test_other_images_weights_and_sizes_compile_nothing():
    for attack in (attacks.DeepFool(), attacks.FGSM(eps=0.01)):
        for seed in (2, 3):
            before, model, images = (
                len(toy.TRACES),
                *(toy.linear(seed, SHAPE, 2), toy.images(seed, 13, SHAPE)),
            )
            labels = toy.predictions(model, images)
            options = dict(eps=0.01 * seed, target_rate=1, epochs=seed)
            found = fit(jax.random.key(seed), attack, model, images, labels, **options)
            assert found.gradients > 0
        own_calls = 1  # of this test, which is not compiled
        assert len(toy.TRACES) - before == own_calls


def test_what_it_costs_is_counted_image_by_image(key):
    model, images, labels, _, _ = of_one_class("linf")
    options = dict(eps=1e-6, target_rate=1, epochs=1)
    # 13 images: the clean look, the engine's two, and that of the rate
    found = fit(key, attacks.FGSM(eps=0.01), model, images, labels, **options)
    assert (found.gradients, found.forwards) == (13, 13 * 4)
    # each by itself: whether it stands; one step that moves, one that sees that it is enough
    found = fit(key, attacks.DeepFool(), model, images, labels, **options)
    assert (found.gradients, found.forwards) == (13 * 2, 13 * 5)


def test_what_is_misclassified_is_no_success():
    """ART's rate, given labels, counts what was wrong before as fooled."""
    model, images, labels, distances, eps = of_one_class("linf")
    wrong = labels.at[:5].set(1)
    found = fit(
        jax.random.key(0), attacks.DeepFool(norm="linf"), model, images, wrong, eps=0, epochs=1
    )
    assert found.rate == 0
    options = dict(eps=eps, target_rate=1, epochs=3)
    found = fit(jax.random.key(0), attacks.DeepFool(norm="linf"), model, images, wrong, **options)
    assert found.rate == pytest.approx((distances[5:] < eps).mean())


def test_reaching_the_rate_in_the_last_pass_is_reaching_it(key):
    """ART says that it has not converged where the rate is reached in its last pass."""
    model, images, labels, _, eps = of_one_class("linf")
    options = dict(eps=eps, target_rate=0.5, epochs=1)
    found = fit(key, attacks.DeepFool(norm="linf"), model, images, labels, **options)
    assert found.reached and len(found.rates) == 1


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_white_image_takes_nothing_from_the_perturbation(seed):
    """ART adds the change of the clipped image: where that is white, what was there is lost."""
    model = toy.linear(2, SHAPE, 2)
    best = towards_the_other_class(model, "linf")
    grey = 0.5 - 0.3 * best
    saturated = np.where(np.arange(4)[:, None, None] < 1, np.where(best > 0, 1.0, 0.0), grey)
    images = jnp.asarray(np.stack([grey, saturated]), jnp.float32)
    labels = jnp.array([0, 0])
    assert (toy.predictions(model, images) == 0).all()
    options = dict(eps=1e-3, target_rate=1, epochs=1)
    attack = attacks.DeepFool(norm="linf")
    found = fit(jax.random.key(seed), attack, model, images, labels, **options)
    np.testing.assert_allclose(found.perturbation.delta, 1e-3 * best, atol=1e-7)


def test_a_model_without_gradients_is_flat(key):
    model, images = toy.mlp(3), toy.images(4, 4, (4, 3, 3))
    model = dataclasses.replace(model, output=0 * model.output)
    for attack in (attacks.DeepFool(), attacks.FGSM(eps=0.1)):
        found = fit(key, attack, model, images, jnp.zeros(4, int), 4, eps=0.1, epochs=1)
        assert found.flat == (1 if isinstance(attack, attacks.FGSM) else 4)
        assert (found.perturbation.delta == 0).all() and found.rate == 0


def test_of_label_maps_the_rate_is_that_of_the_pixels(key):
    model, images = toy.segmenter(1), toy.images(2, 6, (6, 6, 1), low=0.0, high=1.0)
    labels = toy.predictions(model, images).at[:, 0].set(-1)
    labels = labels.at[:, 1, 1].set((labels[:, 1, 1] + 1) % 4)
    options = dict(eps=0.1, target_rate=1, epochs=4)
    found = fit(key, attacks.FGSM(eps=0.03), model, images, labels, 4, **options)
    perturbed = jnp.clip(images + found.perturbation.delta[None], 0, 1)
    right = np.asarray(toy.predictions(model, images) == labels)
    kept = np.asarray(toy.predictions(model, perturbed) == labels)
    assert right.sum() == 6 * 29
    assert found.rate == pytest.approx((right & ~kept).sum() / right.sum())
    noisy = attacks.run(attacks.SignNoise(eps=0.1), key, model, images, labels).images
    lost = right & (toy.predictions(model, noisy) != labels)
    assert found.rate > 1.3 * lost.sum() / right.sum()


def test_of_volumes_it_is_the_best_in_every_voxel(key):
    model = toy.Pixelwise(weights=jnp.array([[-1.0, 1.0]]))
    images = toy.images(2, 5, (3, 4, 4, 1), low=0.4, high=0.495)
    labels = toy.predictions(model, images)
    assert (labels == 0).all()
    options = dict(eps=0.05, target_rate=1, epochs=2)
    found = fit(key, attacks.FGSM(eps=0.05), model, images, labels, 5, **options)
    np.testing.assert_allclose(found.perturbation.delta, 0.05, atol=1e-7)
    assert found.rate == pytest.approx(float((images > 0.45).mean()), abs=1e-6)


def test_the_scale_is_a_knob_of_each_image(key):
    model, images = toy.linear(2, SHAPE, 2), toy.images(1, 3, SHAPE)
    delta = jax.random.uniform(key, SHAPE, minval=-0.4, maxval=0.4)
    scales = jnp.array([0.0, 1.0, 2.0])
    attack = attacks.UniversalPerturbation(delta=delta, scale=scales)
    result = attacks.run(attack, key, model, images, toy.predictions(model, images))
    expected = jnp.clip(images + scales[:, None, None, None] * delta[None], 0, 1)
    np.testing.assert_allclose(result.images, expected, atol=1e-6)
    assert not (result.gradients.any() or result.forwards.any() or result.steps.any())


def test_of_several_each_image_draws_one_by_its_key(key):
    model, images = toy.linear(2, SHAPE, 2), jnp.full((60, *SHAPE), 0.5)
    stack = 0.1 * jnp.arange(1.0, 4.0)[:, None, None, None] * jnp.ones((3, *SHAPE))
    attack = attacks.UniversalPerturbation(delta=stack)
    labels = toy.predictions(model, images)
    change = np.asarray(attacks.run(attack, key, model, images, labels).images - images)
    assert (np.ptp(change.reshape(60, -1), axis=1) < 1e-6).all()
    drawn = np.bincount(np.round(10 * change[:, 0, 0, 0]).astype(int), minlength=4)
    assert drawn[0] == 0 and (drawn[1:] > 10).all()
    again = attacks.run(attack, jax.random.key(1), model, images, labels).images - images
    assert (np.abs(again - change) > 0.05).any()


def test_a_perturbation_of_another_shape_or_unit_is_refused(key):
    model, images = toy.linear(2, SHAPE, 2), toy.images(1, 3, SHAPE)
    labels = toy.predictions(model, images)
    refused = {
        r"\(4, 4, 3\).*\(8, 8, 3\).*not resized": dict(delta=np.zeros((8, 8, 3))),
        r"\(4, 4, 3\).*\(4, 3\)": dict(delta=np.zeros((4, 3))),
        r"\(4, 4, 3\).*\(0, 4, 4, 3\)": dict(delta=np.zeros((0, *SHAPE))),
        "divided by 255": dict(delta=np.full(SHAPE, 10.0)),
        "up to nan": dict(delta=np.full(SHAPE, np.nan)),
        "linf norm of delta must be at most eps 0.1": dict(delta=np.full(SHAPE, 0.2), eps=0.1),
        "scale must be at least 0": dict(delta=np.zeros(SHAPE), scale=-1.0),
        "norm must be one of": dict(delta=np.zeros(SHAPE), norm="l1"),
    }
    for message, fields in refused.items():
        with pytest.raises(ValueError, match=message):
            attacks.run(attacks.UniversalPerturbation(**fields), key, model, images, labels)


def test_a_fit_that_cannot_be_is_refused(key):
    model, images, labels, _, _ = of_one_class("linf")
    refused = {
        "target_rate must be": dict(target_rate=1.5),
        "eps must be": dict(eps=-0.1),
        "eps must be at least 0 and at most 1": dict(eps=8.0),
        "epochs must be": dict(epochs=0),
        "target is below 2 classes, got 2": dict(target=2),
    }
    for message, options in refused.items():
        with pytest.raises(ValueError, match=message):
            fit(key, attacks.DeepFool(), model, images, labels, **(dict(eps=0.1) | options))
    with pytest.raises(ValueError, match="right on none"):
        fit(key, attacks.DeepFool(), model, images, 1 - labels, eps=0.1)
    with pytest.raises(ValueError, match="untargeted"):
        fit(key, attacks.DeepFool(), model, images, labels, eps=0.1, target=1)
    for batches, kind in ((iter([]), "an iterator"), (Endless(), "endless ones")):
        with pytest.raises(ValueError, match=f"many times, got {kind}"):
            attacks.fit_universal(key, attacks.DeepFool(), model, batches, eps=0.1)


class Endless(list):
    """Batches without an end, as `data.batches` makes them."""

    epochs = None


def test_only_a_region_is_perturbed_and_a_part_stands_among_others(key):
    model, images = toy.mlp(3), toy.images(4, 6, (4, 3, 3))
    labels = toy.predictions(model, images)
    universal = attacks.UniversalPerturbation(delta=jnp.full((4, 3, 3), 0.1))
    mask = jnp.broadcast_to(jnp.arange(4)[None, :, None] < 2, (6, 4, 3))
    inside = attacks.run(attacks.Region(attack=universal, mask=mask), key, model, images, labels)
    expected = images + 0.1 * mask[..., None]
    np.testing.assert_allclose(inside.images, expected, atol=1e-6)
    every = attacks.WorstCase(attacks=(universal, attacks.FGSM(eps=0.3)))
    alone = attacks.run(universal, key, model, images, labels)
    assert (attacks.run(every, key, model, images, labels).success >= alone.success).all()


def test_an_attack_on_label_maps_meets_them_one_by_one(key):
    model, images = toy.segmenter(1), toy.images(2, 4, (6, 6, 1), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    dag = attacks.DAG(gamma=0.1, steps=30, foreground_only=False)
    found = fit(key, dag, model, images, labels, 4, eps=0.4, target_rate=1, epochs=1)
    assert found.rate > 0.5 and found.gradients > 4
