import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from medadv_jax import losses

SHAPES = [(7, 5), (3, 4, 5)]
# Compiled whole: the many small operations one by one would take most of the time.
dice_loss = jax.jit(losses.dice_loss, static_argnames="background")
weighted = jax.jit(losses.weighted_logistic_dice)
edge_weights = jax.jit(losses.edge_weights)
slope_of_dice = jax.jit(jax.value_and_grad(losses.dice_loss), static_argnames="background")


def example(space, classes=4, seed=0, ignored=True):
    """Logits and a label without class 2, some of its pixels not valid."""
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, 3], size=space, p=[0.6, 0.3, 0.1]).astype(np.int32)
    if ignored:
        label.ravel()[::6] = -1
    return rng.normal(size=(*space, classes)).astype(np.float32), jnp.asarray(label)


def by_hand(logits, label, weights=None, background=False):
    """The weighted logistic and the Dice loss pixel by pixel and class by class, in float64."""
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    valid = label >= 0
    z, y = logits[valid], label[valid]
    w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)[valid]
    p = scipy.special.softmax(z, axis=-1)
    logistic = np.mean([-w[i] * np.log(p[i, y[i]]) for i in range(len(y))])
    kept = [c for c in np.unique(y) if c > 0 or background]
    each = [2 * p[y == c, c].sum() / (p[:, c].sum() + (y == c).sum()) for c in kept]
    return logistic, 1 - np.mean(each)


@pytest.mark.parametrize("space", SHAPES)
@pytest.mark.parametrize("background", [False, True])
def test_dice_loss_by_hand(space, background):
    logits, label = example(space)
    _, expected = by_hand(logits, label, background=background)
    found = dice_loss(jnp.asarray(logits), label, background=background)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("space", SHAPES)
def test_weighted_logistic_dice_by_hand(space):
    logits, label = example(space)
    weights = np.random.default_rng(1).uniform(0.1, 9, space).astype(np.float32)
    found = weighted(jnp.asarray(logits), label, jnp.asarray(weights))
    np.testing.assert_allclose(found, sum(by_hand(logits, label, weights, True)), rtol=1e-5)
    alone = weighted(jnp.asarray(logits), label)
    np.testing.assert_allclose(alone, sum(by_hand(logits, label, None, True)), rtol=1e-5)


@pytest.mark.parametrize("space", SHAPES)
def test_gradient_equals_finite_differences(space):
    logits, label = example(space)
    weights = np.random.default_rng(1).uniform(0.1, 9, space).astype(np.float32)
    slopes = jax.jit(jax.grad(losses.weighted_logistic_dice))(
        jnp.asarray(logits), label, jnp.asarray(weights)
    )
    for seed in range(3):
        way = np.random.default_rng(seed).normal(size=logits.shape)
        at = lambda step, way=way: sum(by_hand(logits + step * way, label, weights, True))
        expected = (at(1e-5) - at(-1e-5)) / 2e-5
        np.testing.assert_allclose(np.vdot(slopes, way), expected, rtol=1e-4)


def test_weights_multiply_each_pixel_before_the_mean():
    # It makes a difference whether the pixel that is right or the one that is wrong weighs more.
    logits = jnp.array([[9.0, 0.0], [9.0, 0.0]])
    label = jnp.array([0, 1])
    right, wrong = (
        losses.cross_entropy(logits, label, jnp.array(weights)) for weights in ([3.0, 1], [1.0, 3])
    )
    np.testing.assert_allclose(right, (3 * np.log1p(np.exp(-9)) + 9) / 2, rtol=1e-4)
    np.testing.assert_allclose(wrong, (3 * 9) / 2, rtol=1e-4)


def test_weights_of_one_change_nothing():
    logits, label = example((7, 5))
    for smoothing in (0.0, 0.1):
        plain = losses.cross_entropy(jnp.asarray(logits), label, smoothing=smoothing)
        weighted = losses.cross_entropy(
            jnp.asarray(logits), label, jnp.ones(label.shape), smoothing=smoothing
        )
        assert plain == weighted


@pytest.mark.parametrize("loss", [losses.dice_loss, losses.weighted_logistic_dice])
def test_ignored_pixels_have_no_part(loss):
    logits, label = example((7, 5))
    holes = np.where(np.asarray(label)[..., None] < 0, np.float32(1e6), logits)
    loss = jax.jit(jax.value_and_grad(loss))
    value, slope = loss(jnp.asarray(logits), label)
    assert loss(jnp.asarray(holes), label)[0] == value
    assert not np.asarray(slope)[np.asarray(label) < 0].any()
    nothing, slope = loss(jnp.asarray(logits), jnp.full((7, 5), -1))
    assert nothing == 0 and not slope.any()


def test_dice_loss_is_zero_where_all_is_right_and_one_where_all_is_wrong():
    _, label = example((7, 5), ignored=False)
    sure = lambda found: 50 * jax.nn.one_hot(found, 4)
    assert dice_loss(sure(label), label) == 0
    np.testing.assert_allclose(dice_loss(sure((label + 1) % 4), label), 1, atol=1e-6)
    # The background is right everywhere, but it is no structure.
    assert dice_loss(sure(jnp.zeros((7, 5), jnp.int32)), label) > 0.999


@pytest.mark.parametrize("background", [False, True])
def test_an_absent_structure_changes_nothing(background):
    logits, label = example((7, 5))
    value, slope = slope_of_dice(jnp.asarray(logits), label, background=background)
    # Class 2 is absent; what it takes from the softmax counts, what share it has among the absent
    # does not: two absent classes of half the probability are as good as one.
    split = np.concatenate([logits, logits[..., 2:3]], axis=-1)
    split[..., [2, 4]] -= np.log(np.float32(2))
    found = dice_loss(jnp.asarray(split), label, background=background)
    np.testing.assert_allclose(found, value, rtol=1e-6)
    assert np.isfinite(slope).all()


def test_a_slice_of_background_costs_what_spreads_over_it():
    logits, _ = example((7, 5))
    empty = jnp.zeros((7, 5), jnp.int32)
    value, slope = slope_of_dice(jnp.asarray(logits), empty)
    assert value == 0 and not slope.any(), "it holds no structure"
    found = weighted(jnp.asarray(logits), empty)
    np.testing.assert_allclose(found, sum(by_hand(logits, empty, None, True)), rtol=1e-5)
    assert found > by_hand(logits, empty, None, True)[0] + 0.1


def test_dice_loss_of_a_saturated_model_is_finite():
    logits = 1e4 * jax.nn.one_hot(jnp.array([[1, 2], [0, 0]]), 3)
    value, slope = slope_of_dice(logits, jnp.array([[2, 1], [0, 0]]))
    assert value == 1 and np.isfinite(slope).all()


def test_a_batch_is_its_examples():
    pairs = [example((7, 5), seed=seed) for seed in range(3)]
    logits, labels = jnp.stack([z for z, _ in pairs]), jnp.stack([y for _, y in pairs])
    together = jax.vmap(losses.dice_loss)(logits, labels)
    alone = [dice_loss(jnp.asarray(z), y) for z, y in pairs]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_median_frequency_weights_in_closed_form():
    counts = np.array([900, 40, 60, 0, 10])
    found = losses.median_frequency_weights(counts)
    np.testing.assert_allclose(found, np.array([50 / 900, 50 / 40, 50 / 60, 5, 5]), rtol=1e-6)
    shares = counts[counts > 0] / counts.sum()
    np.testing.assert_allclose(2 * found.max(), 2 * np.median(shares) / shares.min(), rtol=1e-6)


@pytest.mark.parametrize("counts", [np.zeros(3, int), np.array([4, -1, 2]), np.array([], int)])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match="counts are pixels of each class"):
        losses.median_frequency_weights(counts)


@pytest.mark.parametrize("space", [(9,), (6, 7), (4, 5, 6)])
def test_edges_pixel_by_pixel(space):
    label = np.random.default_rng(0).choice([-1, 0, 4], size=space, p=[0.2, 0.7, 0.1])
    expected = np.zeros(space)
    for place in np.ndindex(space):
        for axis in range(len(space)):
            for step in (-1, 1):
                other = np.array(place)
                other[axis] += step
                if 0 <= other[axis] < space[axis]:
                    pair = label[place], label[tuple(other)]
                    expected[place] += min(pair) >= 0 and pair[0] != pair[1]
    found = edge_weights(jnp.asarray(label), 0.5)
    np.testing.assert_array_equal(found, 0.5 * (expected > 0))
    assert found.dtype == np.float32


def test_edges_do_not_cross_the_batch():
    # Constant images that differ from each other: no edge, though neighbours in the batch differ.
    labels = jnp.arange(3)[:, None, None] * jnp.ones((3, 4, 5), jnp.int32)
    assert not jax.vmap(losses.edge_weights)(labels).any()


def test_edges_run_along_both_axes():
    left_right = jnp.zeros((4, 5), jnp.int32).at[:, 3:].set(1)
    np.testing.assert_array_equal(edge_weights(left_right)[1], [0, 0, 2, 2, 0])
    np.testing.assert_array_equal(edge_weights(left_right.T)[:, 1], [0, 0, 2, 2, 0])
    thin = jnp.zeros((5,), jnp.int32).at[2].set(1)
    np.testing.assert_array_equal(edge_weights(thin), [0, 2, 2, 2, 0])
