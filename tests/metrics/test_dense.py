import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax import metrics
from medadv_jax.metrics import dense, segmentation

CLASSES, SPACING = 4, (1.0, 2.5, 1.5)
OVERLAPS = (metrics.dice, metrics.iou, metrics.volume_error, metrics.absolute_volume_error)
SURFACES = (metrics.hd95, metrics.average_surface_distance)


def records(number=12, shape=(9, 8), seed=0):
    """Logits, masks with some pixels not valid, and subjects whose slices are mixed up."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1, 2, 3], (number, *shape), p=[0.1, 0.3, 0.3, 0.2, 0.1])
    logits = rng.normal(size=(number, *shape, CLASSES)) + np.eye(CLASSES)[labels]
    subjects = rng.permutation(np.repeat(["c", "a", "b"], number // 3))
    return np.float32(logits), labels.astype(np.int32), subjects


def outcomes(metric, logits, labels):
    return np.asarray(jax.jit(jax.vmap(metric.outcome))(logits, labels))


@pytest.mark.parametrize("shape", [(9, 8), (3, 5, 4)])
def test_outcomes_are_what_is_counted_by_hand(shape):
    logits, labels, _ = records(3, shape)
    found = logits.argmax(-1)
    counts = outcomes(metrics.dice(CLASSES), logits, labels)
    maps = outcomes(metrics.hd95(CLASSES, SPACING), logits, labels)
    assert counts.dtype == np.int32 and maps.dtype == np.uint8
    for number in range(3):
        expected = segmentation.overlaps(found[number], labels[number], CLASSES)
        np.testing.assert_array_equal(counts[number], expected)
        valid = labels[number] >= 0
        both = np.stack([found[number], labels[number]])
        np.testing.assert_array_equal(maps[number], np.where(valid, both, 0))


@pytest.mark.parametrize("maker", OVERLAPS)
def test_overlaps_are_of_whole_subjects(maker):
    logits, labels, subjects = records()
    metric = maker(CLASSES)
    whole, pooled, names = metrics.pooled(metric, outcomes(metric, logits, labels), subjects)
    assert names.tolist() == ["a", "b", "c"]
    values = whole.each(pooled)
    plain = getattr(segmentation, metric.name)
    for name, of_subject in zip(names, values, strict=True):
        own = subjects == name
        expected = plain(logits[own].argmax(-1), labels[own], CLASSES)
        np.testing.assert_allclose(of_subject, expected, rtol=1e-12)
    assert whole.score(pooled, np.ones(3)) == pytest.approx(values.mean())
    # Not the mean of the slices.
    slices = metrics.pooled(metric, outcomes(metric, logits, labels), np.arange(12))
    assert slices.metric.score(slices.outcomes, np.ones(12)) != pytest.approx(values.mean())


@pytest.mark.parametrize("maker", SURFACES)
def test_surfaces_are_of_stacked_volumes(maker):
    logits, labels, subjects = records()
    order = np.random.default_rng(1).permutation(12)  # the numbers of the records
    rows = np.tile(SPACING, (12, 1))
    rows[order[subjects == "b"]] *= 2
    metric = maker(CLASSES, rows)
    whole, pooled, names = metrics.pooled(metric, outcomes(metric, logits, labels), subjects, order)
    values = whole.each(pooled)
    plain = getattr(segmentation, metric.name)
    for name, of_subject in zip(names, values, strict=True):
        own = np.flatnonzero(subjects == name)
        own = own[np.argsort(order[own])]
        stack = lambda maps, own=own: np.moveaxis(maps[own], 0, -1)
        spacing = np.array(SPACING) * (2 if name == "b" else 1)
        expected = plain(stack(logits.argmax(-1)), stack(labels), CLASSES, spacing)
        np.testing.assert_allclose(of_subject, expected, rtol=1e-12)


@pytest.mark.parametrize("maker", SURFACES)
def test_a_lost_structure_costs_the_diagonal(maker):
    maps = np.zeros((3, 2, 5, 6), np.uint8)
    maps[:, 0, 1:3, 1:3] = 1  # predicted only
    maps[:, 1, 2:4, 2:4] = 2  # true only
    whole, pooled, _ = metrics.pooled(maker(CLASSES, SPACING), maps, np.zeros(3))
    diagonal = np.linalg.norm([4 * 1.0, 5 * 2.5, 2 * 1.5])
    np.testing.assert_allclose(whole.each(pooled), [[np.nan, diagonal, np.nan]])
    assert whole.score(pooled, np.ones(1)) == pytest.approx(diagonal)
    assert whole.undefined(pooled, np.ones(1)).tolist() == [1, 0, 1]
    assert whole.undefined(pooled, np.zeros(1)).tolist() == [0, 0, 0]


def test_no_distance_is_beyond_the_diagonal():
    maps = np.zeros((3, 2, 5, 6), np.uint8)
    maps[0, 0, 0, 0] = maps[2, 1, 4, 5] = 1
    whole, pooled, _ = metrics.pooled(metrics.hd95(2, SPACING), maps, np.zeros(3))
    np.testing.assert_allclose(whole.each(pooled), np.linalg.norm([[4, 5 * 2.5, 2 * 1.5]]))


def test_every_second_slice_is_twice_as_thick():
    maps = np.zeros((3, 2, 5, 6), np.uint8)
    maps[0, 0, 2, 2] = maps[2, 1, 2, 2] = 1  # two slices apart
    for step in (1, -1, 2):
        slices = 40 + step * np.arange(3)
        metric = metrics.hd95(2, SPACING, slices)
        whole, pooled, _ = metrics.pooled(metric, maps, np.zeros(3))
        np.testing.assert_allclose(whole.each(pooled), [[2 * 1.5 * abs(step)]])
    for slices in ([1, 2, 4], [1, 1, 1]):
        metric = metrics.hd95(2, SPACING, np.array(slices))
        with pytest.raises(ValueError, match="evenly spaced slices .* in the scan of record 0"):
            metrics.pooled(metric, maps, np.zeros(3))


def test_a_single_slice_stays_plane():
    maps = np.zeros((1, 2, 9, 9), np.uint8)
    maps[0, 0, 1:6, 1:6] = maps[0, 1, 2:7, 1:6] = 1
    whole, pooled, _ = metrics.pooled(metrics.hd95(2, SPACING), maps, np.zeros(1))
    expected = segmentation.hd95(*maps[0].astype(int), 2, SPACING[:2])
    np.testing.assert_allclose(whole.each(pooled), [expected])


@pytest.mark.parametrize("maker", SURFACES)
def test_of_several_scans_of_a_subject_the_distance_is_the_mean(maker):
    """Two scans of 6 slices each, their records mixed up; the second has no structure 3."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, CLASSES, (12, 2, 7, 5)).astype(np.uint8)
    maps[6:, 1][maps[6:, 1] == 3] = 0
    places, scans = np.tile(np.arange(6), 2), np.repeat(["one", "two"], 6)
    metric = maker(CLASSES, SPACING, places, scans)
    whole, pooled, _ = metrics.pooled(metric, maps, np.zeros(12))
    plain = getattr(segmentation, metric.name)
    volumes = [np.moveaxis(maps[part], 0, -1) for part in (slice(6), slice(6, 12))]
    one, two = (plain(volume[0], volume[1], CLASSES, SPACING) for volume in volumes)
    expected = [*(one[:2] + two[:2]) / 2, one[2]]
    np.testing.assert_allclose(whole.each(pooled), [expected])
    with pytest.raises(ValueError, match="of a subject with several, say which record belongs to"):
        metrics.pooled(maker(CLASSES, SPACING, places), maps, np.zeros(12))


def test_a_record_of_three_axes_is_a_volume():
    maps = np.random.default_rng(0).integers(0, CLASSES, (2, 2, 4, 5, 6)).astype(np.uint8)
    metric = metrics.average_surface_distance(CLASSES, SPACING)
    whole, pooled, _ = metrics.pooled(metric, maps, np.arange(2))
    for number in range(2):
        expected = segmentation.average_surface_distance(*maps[number], CLASSES, SPACING)
        np.testing.assert_allclose(whole.each(pooled)[number], expected)
    together = metrics.pooled(metric, maps, np.zeros(2))
    np.testing.assert_allclose(whole.each(together.outcomes)[0], whole.each(pooled).mean(axis=0))


def test_what_does_not_fit_is_refused():
    for spacing in ((1.0, 1.0), (1.0, 0.0, 1.0), np.ones((3, 2)), np.ones((1, 3, 3))):
        with pytest.raises(ValueError, match="spacing is three positive lengths in mm"):
            metrics.hd95(CLASSES, spacing)
    rows = np.tile(SPACING, (2, 1)) * [[1], [2]]
    with pytest.raises(ValueError, match=r"one spacing, got \[\[1.0, 2.5, 1.5\], \[2.0, 5.0"):
        metrics.pooled(metrics.hd95(CLASSES, rows), np.zeros((2, 2, 4, 4), np.uint8), np.zeros(2))
    with pytest.raises(
        ValueError, match=r"pooled by subject .*, are \(n, 2, 3\), got \(2, 2, 4, 4\)"
    ):
        metrics.hd95(CLASSES, SPACING).score(np.zeros((2, 2, 4, 4), np.uint8), np.ones(2))
    with pytest.raises(ValueError, match=r"Outcomes of 4 classes, .* got \(2, 3, 5\)"):
        metrics.dice(CLASSES).score(np.zeros((2, 3, 5), np.int32), np.ones(2))
    with pytest.raises(ValueError, match="kept as uint8, got 257 classes"):
        dense.label_maps(jnp.zeros((2, 257)), jnp.zeros(2, jnp.int32))


def test_metrics_of_the_same_surfaces_pool_alike():
    slices = np.arange(3)
    one, other = (maker(CLASSES, SPACING, slices) for maker in SURFACES)
    assert one.pool == other.pool and hash(one.pool) == hash(other.pool)
    assert one.pool != metrics.hd95(CLASSES, (1.0, 1.0, 1.0), slices).pool


def test_an_interval_is_over_subjects():
    logits, labels, subjects = records(60)
    metric = metrics.dice(CLASSES)
    values = outcomes(metric, logits, labels)
    whole, pooled, names = metrics.pooled(metric, values, subjects)
    found = metrics.bootstrap(metric, values, subjects, seed=3)
    assert found == metrics.bootstrap(whole, pooled, names, seed=3)
    of_subjects = whole.each(pooled).mean(axis=1)
    assert of_subjects.min() == pytest.approx(found.low)
    assert of_subjects.max() == pytest.approx(found.high)
    assert metrics.pooled(whole, pooled, names).outcomes is pooled


def test_a_bootstrap_pools_once(monkeypatch):
    calls = []
    measure = segmentation.surface_distances
    monkeypatch.setattr(
        segmentation, "surface_distances", lambda *a: calls.append(1) or measure(*a)
    )
    maps = np.random.default_rng(0).integers(0, CLASSES, (12, 2, 6, 6)).astype(np.uint8)
    metrics.bootstrap(metrics.hd95(CLASSES, SPACING), maps, np.arange(12) // 3, seed=0)
    assert len(calls) == 4


def test_a_metric_without_a_pool_is_left_as_it_is():
    values, groups = np.zeros((4, 2), np.float32), np.array([0, 0, 1, 1])
    metric = metrics.accuracy(2)
    found = metrics.pooled(metric, values, groups)
    assert found.metric is metric and found.outcomes is values and found.groups is groups
