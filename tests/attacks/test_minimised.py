"""Carlini and Wagner, EAD and L-BFGS: exact distances, and the traps of other implementations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks
from medadv_jax.attacks import c_search, lbfgs
from medadv_jax.attacks.loop import single

SHAPE, COUNT = (6, 6, 3), 16
L2 = {
    "carlini_wagner": attacks.CarliniWagner(learning_rate=0.005, search_steps=6, steps=100),
    "ead": attacks.EAD(beta=0.0, learning_rate=0.003, search_steps=6, steps=100),
    "lbfgs": attacks.LBFGS(),
}
"""The attacks that measure a distance in L2; EAD does where beta is zero."""
EACH = pytest.mark.parametrize("name", L2)
HINGED = pytest.mark.parametrize("name", ["carlini_wagner", "ead"])
EASY = attacks.LBFGS(c=0.1, search_steps=2)


def setting(num_classes, seed=1):
    """A linear model, images inside the box and the exact L2 distances of all boundaries."""
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(seed, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, "l2")
    far = distances.min(axis=1) > 0.02
    assert far.sum() > COUNT // 2 and jnp.abs(model(images)).max() > 10
    return model, images[far], labels[far], distances[far]


def found(result, images):
    assert result.success.all() and not result.flat.any()
    return toy.size_of(result.images - images, "l2")


def near(sizes, exact):
    ratio = sizes / exact
    assert ratio.min() > 0.999 and np.median(ratio) < 1.05 and ratio.max() < 1.1


@EACH
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_the_exact_distance(name, num_classes, key):
    model, images, labels, distances = setting(num_classes)
    result = attacks.run(L2[name], key, model, images, labels)
    near(found(result, images), distances.min(axis=1))


@EACH
def test_the_exact_distance_of_a_target(name, key):
    model, images, labels, distances = setting(3)
    targets = jnp.asarray(distances.argmin(axis=1))
    result = attacks.run(L2[name], key, model, images, labels, targets)
    near(found(result, images), distances.min(axis=1))
    assert (toy.predictions(model, result.images) == targets).all()


@HINGED
@pytest.mark.parametrize("targeted", [False, True])
def test_confidence_moves_the_boundary_outwards(name, targeted, key):
    """Carlini's code subtracts it where there is no target: then nothing is asked for."""
    model, images, labels, distances = setting(2)
    targets = 1 - labels if targeted else None
    attack = dataclasses.replace(L2[name], confidence=3.0)
    result = attacks.run(attack, key, model, images, labels, targets)
    logits = np.asarray(model(result.images))
    rows = np.arange(len(labels))
    lead = logits[rows, 1 - labels] - logits[rows, labels]
    assert (lead > 3 - 1e-3).all() and np.median(lead) < 3.5
    slope = np.linalg.norm(model.weights[:, 0] - model.weights[:, 1])
    near(found(result, images), distances.min(axis=1) + 3 / slope)


@EACH
def test_logits_that_are_all_negative_change_nothing(name, key):
    """The margin of torchattacks takes the label out by a product, which leaves a zero."""
    model, images, labels, _ = setting(3)
    low = dataclasses.replace(model, bias=model.bias - 64)
    assert model(images).max() > 0 > low(images).max()
    attack = dataclasses.replace(L2[name], search_steps=3)
    usual = attacks.run(attack, key, model, images, labels)
    lowered = attacks.run(attack, key, low, images, labels)
    np.testing.assert_allclose(lowered.images, usual.images, atol=1e-3)
    assert (lowered.success == usual.success).all() and usual.success.any()


@pytest.mark.parametrize("pixel", [0.0, 1.0])
@EACH
def test_pixels_at_the_ends_of_the_range_move(name, pixel, key):
    """torchattacks maps them to infinity, others to where the derivative is 1e-6.

    From such an image only the slopes that point inwards are of use, so the distance is the gap
    over their norm.
    """
    slope = jax.random.normal(jax.random.key(3), (108,))
    weights = jnp.stack([jnp.zeros(108), slope], axis=1)
    images = jnp.full((1, *SHAPE), pixel)
    bias = jnp.array([0.0, -2.0 - pixel * float(slope.sum())])
    labels = jnp.array([0])
    inwards = slope[slope > 0] if pixel == 0 else slope[slope < 0]
    exact = 2 / np.linalg.norm(inwards)
    result = attacks.run(L2[name], key, toy.Linear(weights, bias), images, labels)
    near(found(result, images), exact)


def test_tanh_in_few_steps_leaves_black_pixels_where_they_are(key):
    """Why the paper's change of variables is not the default: see `CarliniWagner`."""
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    images = jnp.where(jax.random.uniform(jax.random.key(9), images.shape) < 0.6, 0, images)
    labels = toy.predictions(model, images)
    sizes = {}
    for space in ("sine", "tanh"):
        attack = attacks.CarliniWagner(space=space, search_steps=6, steps=100)
        result = attacks.run(attack, key, model, images, labels)
        sizes[space] = found(result, images)
    assert np.median(sizes["tanh"] / sizes["sine"]) > 1.1


@pytest.mark.parametrize("least", [3e-5, 0.04, 0.3, 70.0])
def test_the_search_encloses_the_least_c_that_fools(least):
    search, seen = c_search.first(1e-3), []
    for _ in range(12):
        seen.append(float(search.c))
        search = c_search.following(search, search.c >= least)
    assert search.low < least <= search.high
    tens = max(0, int(np.ceil(np.log10(least / 1e-3))))  # times that c grows
    np.testing.assert_allclose(seen[: tens + 1], 1e-3 * 10.0 ** np.arange(tens + 1), rtol=1e-5)
    first = seen[tens] - (seen[tens - 1] if tens else 0)  # interval that is bisected
    np.testing.assert_allclose(search.high - search.low, first / 2 ** (11 - tens), rtol=1e-2)


def states(attack, model, image, label, count):
    """The states of one example, step by step."""
    state = attack.init(jax.random.key(0), single(model), image, label)
    step = jax.jit(lambda state: attack.step(single(model), state))
    for _ in range(count):
        state = step(state)
        yield state


@pytest.mark.parametrize(
    "attack",
    [
        attacks.CarliniWagner(search_steps=3, steps=4, abort_early=False),
        attacks.EAD(search_steps=3, steps=4, abort_early=False),
    ],
    ids=["carlini_wagner", "ead"],
)
def test_each_minimisation_starts_anew(attack):
    """In torchattacks, EAD goes on from where the minimisation before has ended."""
    model, images, labels, _ = setting(3)
    seen = list(states(attack, model, images[0], labels[0], 12))
    assert [int(state.search.number) for state in seen] == [0] * 3 + [1] * 4 + [2] * 4 + [3]
    for state in (seen[3], seen[7]):
        start = attack.start(images[0])
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, state.path, start)))
        assert state.number == 0 and not state.found and state.past == jnp.inf
    assert seen[-1].done and not seen[-2].done


def test_progress_is_that_of_the_example(key):
    """Elsewhere a minimisation ends by the sum over the batch: mates prolong or cut it short."""
    model, images, labels, _ = setting(3)
    images, labels = images[:6], labels[:6]
    attack = attacks.EAD(search_steps=3, steps=200)
    together = attacks.run(attack, key, model, images, labels)
    assert len(np.unique(together.gradients)) > 1
    assert together.gradients.mean() < attack.search_steps * attack.steps
    slowest = int(together.gradients.argmax())
    one = slice(slowest, slowest + 1)
    alone = attacks.run(attack, key, model, images[one], labels[one])
    assert alone.gradients[0] == together.gradients[slowest]
    patient = dataclasses.replace(attack, abort_early=False)
    patient = attacks.run(patient, key, model, images[:1], labels[:1])
    assert patient.gradients[0] == attack.search_steps * attack.steps


def test_ead_threshold_is_beta_whatever_the_step(key):
    """A threshold of beta times the step would leave hardly a pixel unchanged."""
    model, images, labels, _ = setting(3)
    unchanged = []
    for beta in (0.0, 1e-3, 1e-2):
        attack = dataclasses.replace(L2["ead"], beta=beta)
        result = attacks.run(attack, key, model, images, labels)
        assert result.success.all() and (result.forwards == result.gradients).all()
        unchanged.append(float((result.images == images).mean()))
    assert unchanged[0] < 0.01 < 0.2 < unchanged[1] < 0.5 < unchanged[2]


def test_ead_keeps_the_best_by_its_rule(key):
    model, images, labels, _ = setting(3)
    sizes = {}
    for rule in ("en", "l1"):
        attack = dataclasses.replace(L2["ead"], beta=3e-3, rule=rule)
        change = attacks.run(attack, key, model, images, labels).images - images
        one, two = toy.size_of(change, "l1"), toy.size_of(change, "l2")
        sizes[rule] = dict(en=two**2 + 3e-3 * one, l1=one)
    # both have seen the same images
    assert (sizes["en"]["en"] <= sizes["l1"]["en"] * (1 + 1e-5)).all()
    assert (sizes["l1"]["l1"] <= sizes["en"]["l1"] * (1 + 1e-5)).all()
    assert (sizes["l1"]["l1"] < 0.999 * sizes["en"]["l1"]).any()


@pytest.mark.parametrize("targeted", [False, True])
def test_lbfgs_finds_the_minimum_that_scipy_finds(targeted):
    model, attack = toy.mlp(0), attacks.LBFGS(c=0.2)
    images = toy.images(3, 6, (4, 3, 3), low=0.0, high=1.0).round(1)
    labels = toy.predictions(model, images)

    def value(flat, image, label, target):
        moved = flat.reshape(image.shape)
        loss = lbfgs.loss(single(model)(moved), label, target)
        return jnp.sum((moved - image) ** 2) + attack.c * loss

    both = jax.jit(jax.value_and_grad(value))
    step = jax.jit(lambda state: attack.step(single(model), state))
    walls = 0
    for image, label in zip(images, labels, strict=True):
        target = (label + 1) % 4 if targeted else None
        theirs = scipy.optimize.minimize(
            lambda flat, *rest: jax.tree.map(
                lambda leaf: np.asarray(leaf, np.float64), both(jnp.float32(flat), *rest)
            ),
            np.asarray(image, np.float64).ravel(),
            args=(image, label, target),
            jac=True,
            bounds=[(0, 1)] * image.size,
            method="L-BFGS-B",
        )
        state = attack.init(jax.random.key(0), single(model), image, label, target)
        while True:
            new = step(state)
            if new.search.number:
                break
            state = new
        assert state.path.value <= 1.005 * theirs.fun
        walls += (state.path.point == 1).sum() + (state.path.point == 0).sum()
    assert walls > 10  # the box matters


def test_lbfgs_without_a_target_sees_through_a_sure_model(key):
    """The negative loss of the label would have no gradient at all."""
    model, images, labels, distances = setting(3)
    sure = dataclasses.replace(model, weights=model.weights * 16, bias=model.bias * 16)
    chances = jax.nn.softmax(sure(images))
    assert (chances[jnp.arange(len(labels)), labels] == 1).mean() > 0.5
    result = attacks.run(attacks.LBFGS(), key, sure, images, labels)
    near(found(result, images), distances.min(axis=1))
    assert result.gradients.mean() < 150


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Broken:
    """A linear model whose output is not a number where the first pixel is bright."""

    inner: toy.Linear

    def __call__(self, images):
        bright = images[:, 0, 0, :1] > 0.55
        return jnp.where(bright, jnp.nan, self.inner(images))


@EACH
def test_a_model_that_turns_nan_is_told_and_still_attacked(name, key):
    slope = jnp.zeros(108).at[0].set(8.0).at[5].set(8.0)
    model = Broken(toy.Linear(jnp.stack([0 * slope, slope], axis=1), jnp.array([0.0, -9.6])))
    images = jnp.full((1, *SHAPE), 0.5)  # the gap is 1.6, so both pixels need 0.1
    result = attacks.run(L2[name], key, model, images, jnp.array([0]))
    assert result.flat.all() and jnp.isfinite(result.images).all()
    assert (result.images[:, 0, 0, 0] <= 0.55).all()


@pytest.mark.parametrize(
    "attack, message",
    [
        (dataclasses.replace(EASY, c=0.0), "c must be above 0 and at most 1e\\+10, got 0"),
        (dataclasses.replace(EASY, pairs=0), "pairs must be an integer of at least 1, got 0"),
        (dataclasses.replace(EASY, search_steps=0), "search_steps must be an integer"),
        (attacks.CarliniWagner(confidence=-1.0), "confidence must be at least 0, got -1"),
        (attacks.CarliniWagner(learning_rate=0.0), "learning_rate must be above 0"),
        (attacks.CarliniWagner(space="box"), "space must be one of 'sine', 'tanh', got 'box'"),
        (attacks.EAD(rule="l2"), "rule must be one of 'en', 'l1', got 'l2'"),
        (attacks.EAD(beta=-1.0), "beta must be at least 0, got -1"),
    ],
)
def test_bad_hyperparameters_are_refused(attack, message, key):
    model, images, labels, _ = setting(2)
    with pytest.raises(ValueError, match=message):
        attacks.run(attack, key, model, images, labels)
