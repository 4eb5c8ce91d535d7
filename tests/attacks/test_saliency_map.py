"""The saliency map attack against a case worked out by hand, and its search against all pairs."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks
from medadv_jax.attacks.pairs import best_pairs

# One pixel with three channels and three classes: column t is the gradient of logit t.
WEIGHTS = jnp.array([[-1.0, 2.0, -2.0], [0.0, 1.0, -4.0], [-3.0, -1.0, 0.0]])
IMAGE = jnp.array([0.2, 0.2, 0.2]).reshape(1, 1, 1, 3)
BIAS = jnp.array([5.0, 1.0, 2.0])


def three_features():
    """Logits of the image: 4.2, 1.4, 0.8. Class 0 leads, the next is class 1.

    For the aim 1, alpha = (2, 1, -1) and beta = (-3, -4, -3), so -alpha beta = (6, 4, -3): feature
    0 is the best single one. Of pairs, (0, 1): A = 3, B = -7, 21; (0, 2): A = 1, B = -6, 6; (1, 2):
    A = 0, which does not qualify.
    """
    return toy.Linear(weights=WEIGHTS, bias=BIAS)


def test_the_pair_worked_out_by_hand(key):
    model, labels = three_features(), jnp.array([0])
    np.testing.assert_allclose(model(IMAGE), [[4.2, 1.4, 0.8]], atol=1e-6)
    result = attacks.run(attacks.SaliencyMap(gamma=1.0), key, model, IMAGE, labels)
    np.testing.assert_allclose(result.images.ravel(), [1.0, 1.0, 0.2], atol=1e-6)
    # 4.2 - 0.8, 1.4 + 2.4: class 1 leads after one step of two gradients; a second one sees it not,
    # since only one of three features is left and a pair needs two
    assert result.success.all() and not result.flat.any()
    assert result.steps[0] == 1 and result.gradients[0] == 2


def test_the_single_feature_worked_out_by_hand(key):
    model, labels = three_features(), jnp.array([0])
    attack = attacks.SaliencyMap(gamma=0.34, pairs=False, theta=0.5)
    result = attacks.run(attack, key, model, IMAGE, labels)
    np.testing.assert_allclose(result.images.ravel(), [0.7, 0.2, 0.2], atol=1e-6)
    assert not result.success.any() and result.steps[0] == 1


def test_a_saturated_feature_leaves_the_search(key):
    model, labels = three_features(), jnp.array([0])
    attack = attacks.SaliencyMap(gamma=1.0, pairs=False, theta=0.5)
    result = attacks.run(attack, key, model, IMAGE, labels)
    # feature 0 to 0.7, then to 1, then feature 1 to 0.7: the logits are 3.4, 3.5, -2.8
    np.testing.assert_allclose(result.images.ravel(), [1.0, 0.7, 0.2], atol=1e-6)
    assert result.steps[0] == 3 and result.success.all()


def test_a_negative_theta_lowers_what_speaks_against_the_aim(key):
    # aim 2: alpha = (-2, -4, 0), beta = (1, 1, -4); lowering both 0 and 1: A = -6, B = 2
    model, labels, target = three_features(), jnp.array([0]), jnp.array([2])
    attack = attacks.SaliencyMap(gamma=1.0, theta=-1.0)
    result = attacks.run(attack, key, model, IMAGE, labels, target)
    np.testing.assert_allclose(result.images.ravel(), [0.0, 0.0, 0.2], atol=1e-6)


def test_a_target_is_reached_and_no_other_class_will_do(key):
    model, images = toy.linear(0, (5, 5, 1), 4), toy.images(1, 6, (5, 5, 1), 0.0, 1.0)
    labels = toy.predictions(model, images)
    targets = (labels + 1) % 4
    result = attacks.run(attacks.SaliencyMap(gamma=1.0), key, model, images, labels, targets)
    assert (result.success == (toy.predictions(model, result.images) == targets)).all()
    assert result.success.any()


def out_of_reach():
    """A model that no image fools, so that an attack uses its whole budget."""
    weights = toy.linear(0, (5, 5, 2), 3).weights
    model = toy.Linear(weights=weights, bias=jnp.array([1e4, 0.0, 0.0]))
    return model, toy.images(1, 6, (5, 5, 2), 0.0, 0.9), jnp.zeros(6, jnp.int32)


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("gamma", [0.1, 0.24])
def test_it_changes_no_more_features_than_gamma_allows(pairs, gamma, key):
    model, images, labels = out_of_reach()
    attack = attacks.SaliencyMap(gamma=gamma, pairs=pairs)
    result = attacks.run(attack, key, model, images, labels)
    changed = (result.images != images).sum(axis=(1, 2, 3))
    allowed = round(50 * gamma) // 2 * 2 if pairs else round(50 * gamma)
    assert (changed <= allowed).all() and changed.max() == allowed
    assert (result.images[result.images != images] == 1).all()


def test_several_pairs_a_step_are_those_of_several_steps_on_a_linear_model(key):
    attack = lambda per_step: attacks.SaliencyMap(gamma=0.24, per_step=per_step)
    one, several = (attacks.run(attack(n), key, *out_of_reach()) for n in (1, 4))
    assert (one.steps == 6).all() and (several.steps == 2).all()
    np.testing.assert_allclose(several.images, one.images)


def all_pairs(rise, fall):
    rises, falls = rise[:, None] + rise[None], fall[:, None] + fall[None]
    products = np.where((rises > 0) & (falls > 0), rises * falls, -np.inf)
    np.fill_diagonal(products, -np.inf)
    return products


@pytest.mark.parametrize("correlation", [0.9, 0.0, -0.9])
def test_few_candidates_find_the_best_of_all_pairs(correlation, key):
    one, two = jax.random.split(key)
    rise = jax.random.laplace(one, (20, 700))
    fall = correlation * rise + (1 - correlation**2) ** 0.5 * jax.random.laplace(two, (20, 700))
    free = jnp.ones((20, 700), bool).at[:, ::7].set(False)
    search = jax.jit(jax.vmap(lambda r, f, a: best_pairs(r, f, a, 1, 128)))
    pairs, good = search(rise, fall, free)
    assert good.all()
    for i in range(20):
        index = np.flatnonzero(free[i])
        best = all_pairs(np.asarray(rise[i])[index], np.asarray(fall[i])[index]).max()
        found = rise[i][pairs[i, 0]].sum() * fall[i][pairs[i, 0]].sum()
        assert free[i][pairs[i, 0]].all() and pairs[i, 0, 0] != pairs[i, 0, 1]
        np.testing.assert_allclose(found, best, rtol=1e-5)


def test_no_pair_is_found_where_none_qualifies():
    rise, fall = jnp.ones(50), -jnp.ones(50)
    for candidates in (64, 8):
        assert not best_pairs(rise, fall, jnp.ones(50, bool), 3, candidates)[1].any()


def test_pairs_of_one_search_share_no_feature(key):
    rise, fall = jax.random.uniform(key, (2, 40))
    pairs, good = best_pairs(rise, fall, jnp.ones(40, bool), 5, 20)
    assert good.all() and len(np.unique(pairs)) == 10


def test_memory_is_bounded_at_full_size(key):
    predict = lambda images: images.reshape(len(images), -1)[:, :3]
    run = lambda attack, *rest: attacks.run(attack, key, predict, *rest)
    images = jnp.zeros((2, 299, 299, 3))
    attack = attacks.SaliencyMap(per_step=50)
    assert attacks.SaliencyMap(gamma=0.1).max_steps((299, 299, 3)) == 134102
    jaxpr = jax.make_jaxpr(run)(attack, images, jnp.zeros(2, jnp.int32))
    largest = max(_sizes(jaxpr.jaxpr))
    assert largest <= 2 * 5 * 299 * 299 * 3  # five rankings of all features, and no pairs of them


def _sizes(jaxpr):
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield getattr(variable.aval, "size", 0)
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _sizes(inner)
