"""FAB: projections inside the box, exact distances, its radius, aims and the final search."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import toy

from medadv_jax import attacks
from medadv_jax.attacks import norms
from medadv_jax.attacks.fab_projections import to_hyperplane

SHAPE, COUNT = (6, 6, 3), 16
NORMS = pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
project = jax.jit(to_hyperplane, static_argnames="norm")


def setting(num_classes, low=0.3, high=0.7):
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, COUNT, SHAPE, low=low, high=high)
    return model, images, toy.predictions(model, images)


def shortest(t, w, gap, norm):
    """The length of the shortest way by a solver that knows nothing of ours."""
    n, sides = len(t), list(zip(-t, 1 - t, strict=True))
    if norm == "l2":
        middle = np.clip(-gap * w / (w @ w), -t, 1 - t)
        on = dict(type="eq", fun=lambda d: w @ d + gap, jac=lambda d: w)
        options = dict(bounds=sides, constraints=on, method="SLSQP", options=dict(ftol=1e-14))
        found = scipy.optimize.minimize(lambda d: d @ d, middle, jac=lambda d: 2 * d, **options)
        return np.sqrt(found.fun)
    if norm == "l1":  # the parts that rise and that fall
        sides = [(0, high) for _, high in sides] + [(0, -low) for low, _ in sides]
        return scipy.optimize.linprog(
            np.ones(2 * n), A_eq=[np.concatenate([w, -w])], b_eq=[-gap], bounds=sides
        ).fun
    below = np.block([[-np.ones((n, 1)), np.eye(n)], [-np.ones((n, 1)), -np.eye(n)]])
    return scipy.optimize.linprog(
        np.eye(n + 1)[0],
        A_ub=below,
        b_ub=np.zeros(2 * n),
        A_eq=[np.concatenate([[0], w])],
        b_eq=[-gap],
        bounds=[(0, None), *sides],
    ).fun


@NORMS
def test_projections_are_the_shortest_ways_inside_the_box(norm):
    random = np.random.default_rng(0)
    for trial in range(40):
        (t, other), w = random.uniform(size=(2, 7)), random.normal(size=7)
        if trial % 4 == 0:
            t, w[:3] = np.round(t), 0  # in a corner, with pixels that the model does not see
        gap = w @ t - w @ other
        d = np.asarray(project(jnp.float32(t), jnp.float32(w), jnp.float32(gap), norm=norm))
        np.testing.assert_allclose(w @ d, -gap, atol=5e-6)
        assert (t + d > -1e-6).all() and (t + d < 1 + 1e-6).all()
        np.testing.assert_allclose(
            toy.size_of(d[None], norm)[0], shortest(t, w, gap, norm), atol=2e-5
        )


@NORMS
def test_where_the_plane_misses_the_box_the_way_goes_to_its_nearest_corner(norm):
    t, w = jnp.array([0.2, 0.9, 0.5]), jnp.array([1.0, -2.0, 0.0])
    up, down = [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]
    for gap, corner in ((5.0, down), (-5.0, up), (1e30, down)):
        np.testing.assert_allclose(t + project(t, w, jnp.array(gap), norm=norm), corner, atol=1e-6)


@NORMS
def test_trap_slopes_of_any_scale_and_pixels_without_slope_give_numbers(norm):
    # a division by w before it is looked at gives infinities that the original clamps at 1e12
    t = jnp.array([0.2, 0.9, 0.5, 0.0])
    w = jnp.array([1.0, -2.0, 0.0, 1e-9])
    expected = project(t, w, jnp.array(0.3), norm=norm)
    assert expected[2] == 0 and jnp.isfinite(expected).all()
    for scale in (1e-30, 1e30):
        way = project(t, scale * w, jnp.array(0.3 * scale), norm=norm)
        np.testing.assert_allclose(way, expected, rtol=1e-4, atol=1e-7)
    assert (project(t, jnp.zeros(4), jnp.array(0.0), norm=norm) == 0).all()


@pytest.mark.parametrize("num_classes, targeted", [(2, False), (3, False), (10, False), (10, True)])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_finds_the_exact_distance(num_classes, norm, targeted, key):
    model, images, labels = setting(num_classes)
    distances = toy.distances(model, images, labels, norm)
    targets = jnp.asarray(distances.argmin(axis=1), jnp.int32)
    attack = attacks.FAB(norm=norm, steps=20)
    result = attacks.run(attack, key, model, images, labels, targets if targeted else None)
    ratio = toy.size_of(result.images - images, norm) / distances.min(axis=1)
    assert result.success.all() and not result.flat.any()
    assert ratio.min() > 1 - 1e-3 and np.median(ratio) < 1.003 and ratio.max() < 1.01
    assert (toy.predictions(model, result.images) == targets).all()


@NORMS
def test_in_a_corner_of_the_box_it_finds_the_exact_distance_inside(norm, key):
    model, images, labels = setting(3, low=-0.4, high=1.4)
    images = jnp.clip(images, 0, 1)
    labels = toy.predictions(model, images)

    def exact(image, label, other):
        slope = (model.weights[:, other] - model.weights[:, label]).reshape(SHAPE)
        logits = model(image[None])[0]
        way = to_hyperplane(image, slope, logits[other] - logits[label], norm)
        return jnp.where(other == label, jnp.inf, norms.length(way, norm))

    others = jax.vmap(jax.vmap(exact, (None, None, 0)), (0, 0, None))
    expected = jax.jit(others)(images, labels, jnp.arange(3)).min(axis=1)
    free = toy.distances(model, images, labels, "l2").min(axis=1)
    result = attacks.run(attacks.FAB(norm=norm), key, model, images, labels)
    ratio = toy.size_of(result.images - images, norm) / expected
    assert result.success.all()
    assert ratio.min() > 1 - 1e-3 and np.median(ratio) < 1.005 and ratio.max() < 1.1
    assert norm != "l2" or (expected > 1.05 * free).mean() > 0.5  # else the box says nothing


def net(count=16, num_classes=4):
    model = toy.mlp(0, num_classes=num_classes)
    images = toy.images(1, count, (4, 3, 3), low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def test_the_final_search_only_draws_nearer(key):
    model, images, labels = net()
    norm = "linf"
    far = attacks.run(attacks.FAB(norm=norm, steps=17, search=0), key, model, images, labels)
    near = attacks.run(attacks.FAB(norm=norm, steps=17), key, model, images, labels)
    sizes = [toy.size_of(result.images - images, norm) for result in (near, far)]
    assert near.success.all() and far.success.all()
    ratio = sizes[0] / sizes[1]
    assert (ratio <= 1).all() and np.median(ratio) < 0.999 and ratio.min() > 0.9


def test_it_is_at_least_as_near_as_deepfool(key):
    model, images, labels = net()
    fab = attacks.run(attacks.FAB(), key, model, images, labels)
    deepfool = attacks.run(attacks.DeepFool(), key, model, images, labels)
    sizes = [toy.size_of(result.images - images, "l2") for result in (fab, deepfool)]
    assert (sizes[0] < 1.001 * sizes[1]).all() and np.median(sizes[0] / sizes[1]) < 0.98


def test_inside_a_radius_it_stops_at_the_first_image_that_fools(key):
    model, images, labels = setting(3)
    distances = toy.distances(model, images, labels, "l2").min(axis=1)
    factors = np.where(np.arange(COUNT) % 2, 1.02, 0.98)
    attack = attacks.FAB(eps=factors * distances, steps=20, search=2)
    result = attacks.run(attack, key, model, images, labels)
    assert (result.success == (factors > 1)).all()
    sizes = toy.size_of(result.images - images, "l2")
    assert (sizes <= factors * distances * (1 + 1e-5))[result.success].all()
    assert (sizes[~result.success] == 0).all()
    steps = np.where(result.success, result.steps, 22)
    assert (result.steps == steps).all() and result.steps[result.success].max() < 5


def test_costs_are_a_gradient_for_each_rival_and_a_forward_pass(key):
    model, images, labels = net(4)
    targets = (labels + 1) % 4
    for options, given, rivals in (
        (dict(), None, 3),
        (dict(candidates=2), None, 1),
        (dict(aim=targets), None, 1),
        (dict(), targets, 1),
    ):
        attack = attacks.FAB(steps=17, search=2, **options)
        result = attacks.run(attack, key, model, images, labels, given)
        assert (result.forwards == result.steps).all()
        assert (result.gradients == rivals * result.steps).all()
        assert (result.steps == 19).all()


def test_an_aim_leads_and_a_target_binds(key):
    model, images, labels = net(32)
    aims = (labels + 1) % 4
    led = attacks.run(attacks.FAB(aim=aims, steps=17), key, model, images, labels)
    bound = attacks.run(attacks.FAB(steps=40), key, model, images, labels, aims)
    assert led.success.all() and (toy.predictions(model, led.images) != labels).all()
    assert bound.success.mean() > 0.9
    assert (toy.predictions(model, bound.images) == aims)[bound.success].all()
    elsewhere = toy.predictions(model, led.images) != aims
    assert elsewhere.any() and not elsewhere.all()
    sizes = [toy.size_of(result.images - images, "l2") for result in (led, bound)]
    assert np.median(sizes[0]) < np.median(sizes[1])


def test_a_random_start_lies_at_half_the_radius(key):
    image = jnp.full((4, 3, 3), 0.5)
    attack = attacks.FAB(eps=0.2, aim=jnp.array(1), random_start=True)
    start = attack.init(key, None, image, jnp.array(0)).current
    np.testing.assert_allclose(toy.size_of((start - image)[None], "l2"), 0.1, rtol=1e-5)
    with pytest.raises(ValueError, match="random_start needs eps"):
        attacks.run(attacks.FAB(random_start=True), key, *net(2))


def test_trap_without_eps_no_image_is_too_far(key):
    # the original's eps, .3 in Linf by default, rejects what lies beyond it
    model, images, labels = setting(2)
    flat = dataclasses.replace(model, bias=model.bias + jnp.array([400.0, 0.0]))
    labels = toy.predictions(flat, images)
    result = attacks.run(attacks.FAB(norm="linf", steps=20), key, flat, images, labels)
    sizes = toy.size_of(result.images - images, "linf")
    assert result.success.all() and sizes.max() > 0.3


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(norm="l0"), "norm must be one of"),
        (dict(eta=0.9), "eta must be"),
        (dict(beta=1.1), "beta must be"),
        (dict(alpha_max=2.0), "alpha_max must be"),
        (dict(steps=0), "steps must be"),
        (dict(search=-1), "search must be"),
        (dict(candidates=1), "candidates must be"),
        (dict(eps=-1.0), "eps must be"),
        (dict(aim=jnp.zeros(3, jnp.int32)), "aim of FAB is one value"),
    ],
)
def test_bad_hyperparameters_are_refused(options, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attacks.FAB(**options), key, *net(2))


def test_labels_are_classes_and_an_aim_is_no_target(key):
    model, images, labels = net(2)
    with pytest.raises(ValueError, match="untargeted"):
        aimed = attacks.FAB(aim=(labels + 1) % 4)
        attacks.run(aimed, key, model, images, labels, (labels + 1) % 4)
    with pytest.raises(ValueError, match="classifiers"):
        dense = toy.images(0, 2, (6, 6, 1))
        segmenter = toy.segmenter(0)
        attacks.run(attacks.FAB(), key, segmenter, dense, toy.predictions(segmenter, dense))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_from_a_plateau_the_walk_leads_back(norm, key):
    images = toy.images(0, 8, (4, 4, 1), low=0.48, high=0.5)
    result = attacks.run(attacks.FAB(norm=norm), key, toy.tent, images, jnp.zeros(8, int))
    assert result.success.all() and result.flat.any()
