import itertools

import numpy as np
import pytest
import scipy.stats

from medadv_jax import metrics

ACCURACY = metrics.accuracy(2)


def decisions(right):
    """Outcomes of examples of class 0 that were decided rightly or not."""
    return np.stack([np.zeros(len(right)), 1 - np.asarray(right, float)], axis=1).astype(np.float32)


def test_interval_equals_scipy_for_independent_examples():
    right = np.random.default_rng(0).random(80) < 0.7
    ours = metrics.bootstrap(ACCURACY, decisions(right), np.arange(80), seed=1, samples=20000)
    theirs = scipy.stats.bootstrap(
        (right.astype(float),), np.mean, method="percentile", n_resamples=20000, rng=2
    ).confidence_interval
    # The quantiles are multiples of 1/80; a neighbour is within the noise of the draws.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1.01 / 80)
    assert ours.low < right.mean() < ours.high


def clustered(rng, groups=60, each=5):
    """Groups that are right by their own probability, 0.5 on average."""
    probability = rng.beta(0.5, 0.5, groups)
    right = rng.random((groups, each)) < probability[:, None]
    return right.ravel(), np.repeat(np.arange(groups), each)


def coverage(grouped, trials=200):
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(trials):
        right, groups = clustered(rng)
        members = groups if grouped else np.arange(len(groups))
        low, high = metrics.bootstrap(ACCURACY, decisions(right), members, seed=trial, samples=200)
        covered += low <= 0.5 <= high
    return covered / trials


def test_coverage_holds_over_groups_and_not_over_examples():
    assert 0.90 <= coverage(grouped=True) <= 0.985
    assert coverage(grouped=False) < 0.85


def test_groups_are_drawn_whole():
    # Two groups, one always right and one always wrong: a replicate is 0, 1/2 or 1.
    right = np.array([True, True, False, False])
    groups = np.array(["a", "a", "b", "b"])
    # A quarter of the replicates is all wrong, a quarter all right, the rest in the middle.
    run = lambda level: metrics.bootstrap(
        ACCURACY, decisions(right), groups, seed=0, level=level, samples=2000
    )
    assert run(0.55) == (0.0, 1.0)
    assert run(0.45) == (0.5, 0.5)


def test_same_seed_same_interval_other_seed_other_interval():
    right = np.random.default_rng(0).random(300) < 0.6
    run = lambda seed: metrics.bootstrap(
        ACCURACY, decisions(right), np.arange(300), seed=seed, samples=99
    )
    assert run(0) == run(0)
    assert run(0) != run(1)


def test_a_group_larger_than_others_weighs_more():
    right = np.array([True] * 8 + [False, False])
    groups = np.array([0] * 8 + [1, 2])
    low, high = metrics.bootstrap(ACCURACY, decisions(right), groups, seed=0)
    assert low == 0
    assert high == 1


def test_intervals_cover_where_parts_are_rare():
    """Twelve structures, of which two thirds are in a third of six subjects."""
    rng, metric, covered = np.random.default_rng(0), metrics.dice(13), 0
    for trial in range(200):
        has = rng.random((6, 12)) < np.where(np.arange(12) < 4, 1, 0.35)
        values = np.clip(0.5 + rng.normal(0, 0.15, (6, 1)) + rng.normal(0, 0.1, (6, 12)), 0, 1)
        size = np.where(has, 10000, 0)
        pixels = np.stack([np.round(values * size).astype(int), size, size], axis=1)
        low, high = metrics.bootstrap(metric, pixels, np.arange(6), seed=trial, samples=200)
        covered += low <= 0.5 <= high
    assert covered / 200 > 0.75  # 0.84 where each subject has each structure


def test_a_replicate_is_the_mean_of_the_parts_that_it_has():
    """Against all 4^4 draws: each subject is the only one with its structure."""
    shared = np.array([9, 7, 4, 2])
    pixels = np.stack([np.diag(shared), 10 * np.eye(4), 10 * np.eye(4)], axis=1).astype(int)
    draws = itertools.product(range(4), repeat=4)
    means = [np.mean(shared[np.unique(drawn)] / 10) for drawn in draws]
    interval = metrics.bootstrap(metrics.dice(5), pixels, np.arange(4), seed=0, samples=5000)
    np.testing.assert_allclose(interval, np.quantile(means, [0.025, 0.975]), atol=0.026)
    assert 0.2 <= interval.low < 0.4 and 0.7 < interval.high <= 0.9


def test_undefined_replicates_are_left_out():
    # One example of class 1: replicates without it have no AUC.
    values = np.array([[0, -1, -2], [0, -1, -2], [1, -2, -1]], np.float32)
    interval = metrics.bootstrap(metrics.auc(2), values, np.arange(3), seed=0)
    assert interval == (1.0, 1.0)


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_groups_have_no_interval(number):
    right = np.array([True] * (3 * number))
    groups = np.zeros(3 * number)
    assert np.isnan(metrics.bootstrap(ACCURACY, decisions(right), groups, seed=0)).all()


@pytest.mark.parametrize("bad", [dict(samples=0), dict(level=0.0), dict(level=95.0)])
def test_bad_settings_are_refused(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        metrics.bootstrap(ACCURACY, decisions([True]), np.arange(1), seed=0, **bad)
