import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from medadv_jax.metrics import segmentation, surface

NAMES = ("dice", "iou", "volume_error", "absolute_volume_error")
DISTANCES = ("hd95", "average_surface_distance")


def blobs(shape, classes=5, seed=0, absent=4, ignored=False):
    """Two label maps of smooth blobs that overlap in part, without one of the structures."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    prediction, label = np.zeros(shape, int), np.zeros(shape, int)
    for structure in range(1, classes):
        if structure == absent:
            continue
        centre = rng.uniform(0.2, 0.8, len(shape)) * shape
        for maps in (prediction, label):
            centre = centre + rng.normal(0, 1, len(shape))
            radius = rng.uniform(0.15, 0.3) * min(shape)
            maps[np.linalg.norm(grid - centre, axis=-1) < radius] = structure
    if ignored:
        label.ravel()[::7] = -1
    return prediction, label


def set_border(mask):
    """The voxels of a mask with a neighbour outside, one by one."""
    inside = set(map(tuple, np.argwhere(mask)))
    steps = np.concatenate([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
    return np.array([v for v in inside if any(tuple(v + s) not in inside for s in steps)])


def distances_by_hand(prediction, label, spacing):
    """HD95 and average surface distance from all pairs of border voxels."""
    pairs = cdist(set_border(prediction) * spacing, set_border(label) * spacing)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    hd95 = max(np.quantile(there, 0.95), np.quantile(back, 0.95))
    return hd95, (there.sum() + back.sum()) / (len(there) + len(back))


@pytest.mark.parametrize(("shape", "ignored"), [((19, 23), False), ((8, 9, 10), True)])
def test_overlaps_are_those_of_sets(shape, ignored):
    prediction, label = blobs(shape, ignored=ignored)
    found = {name: getattr(segmentation, name)(prediction, label, 5) for name in NAMES}
    valid = {i for i in range(label.size) if label.flat[i] >= 0}
    for structure in range(1, 5):
        p = {i for i in valid if prediction.flat[i] == structure}
        t = {i for i in valid if label.flat[i] == structure}
        values = [found[name][structure - 1] for name in NAMES]
        if structure == 4:
            assert np.isnan(values).all()
            continue
        error = (len(p) - len(t)) / len(t)
        dice, iou = 2 * len(p & t) / (len(p) + len(t)), len(p & t) / len(p | t)
        assert 0 < iou < 1
        np.testing.assert_allclose(values, [dice, iou, error, abs(error)], rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((19, 23), (0.7, 2.0)), ((9, 10, 8), (1.0, 2.5, 0.8))]
)
def test_distances_are_those_of_all_pairs(shape, spacing):
    prediction, label = blobs(shape)
    found = np.stack(
        [getattr(segmentation, name)(prediction, label, 5, spacing) for name in DISTANCES]
    )
    assert np.isnan(found[:, 3]).all()
    for structure in (1, 2, 3):
        expected = distances_by_hand(prediction == structure, label == structure, spacing)
        np.testing.assert_allclose(found[:, structure - 1], expected, rtol=1e-12)
    both = segmentation.surface_distances(prediction, label, 5, spacing)
    np.testing.assert_array_equal(both, found)


def test_distances_in_closed_form():
    # Two squares of 4 x 4 pixels, moved by 3 along an axis of 2 mm.
    one, other = np.zeros((2, 20, 20), int)
    one[3:7, 5:9], other[6:10, 5:9] = 1, 1
    hd95, average = segmentation.surface_distances(one, other, 2, (2.0, 1.0))[:, 0]
    # Of the twelve border pixels of each, those in a row are equally far from the other's border.
    values = [6.0] * 4 + [4.0] * 2 + [2.0] * 2 + [0.0] * 4
    assert hd95 == pytest.approx(np.percentile(values, 95))
    assert average == pytest.approx(3)
    assert segmentation.hd95(one, one, 2, (2.0, 1.0))[0] == 0


def test_hd95_is_the_larger_direction_not_the_percentile_of_both():
    # From the label's far dot it is 30 pixels, one of two; from the prediction nothing is far.
    prediction, label = np.zeros((2, 1, 40), int)
    prediction[0, 2] = label[0, 2] = label[0, 32] = 1
    expected = np.quantile([0, 30], 0.95)
    assert segmentation.hd95(prediction, label, 2, (1.0, 1.0))[0] == pytest.approx(expected)
    assert segmentation.hd95(label, prediction, 2, (1.0, 1.0))[0] == pytest.approx(expected)
    average = segmentation.average_surface_distance(prediction, label, 2, (1.0, 1.0))
    assert average[0] == pytest.approx(30 / 3)


@pytest.mark.parametrize("shape", [(19, 23), (9, 10, 8), (1, 12), (7,)])
def test_a_border_is_what_erosion_takes_away(shape):
    maps = np.maximum(*blobs(shape))
    found = surface.border(maps)
    for structure in np.unique(maps):
        mask = maps == structure
        np.testing.assert_array_equal(found & mask, mask & ~ndimage.binary_erosion(mask))


def test_what_the_label_does_not_have_is_undefined():
    prediction, label = np.zeros((2, 6, 6), int)
    prediction[1:3, 1:3], label[3:5, 3:5] = 1, 2
    dice, iou, error, absolute = (getattr(segmentation, n)(prediction, label, 4) for n in NAMES)
    for values in (dice, iou):
        np.testing.assert_array_equal(values, [np.nan, 0, np.nan])
    np.testing.assert_array_equal(error, [np.nan, -1, np.nan])
    np.testing.assert_array_equal(absolute, [np.nan, 1, np.nan])
    for name in DISTANCES:
        values = getattr(segmentation, name)(prediction, label, 4, (1.0, 1.0))
        np.testing.assert_array_equal(values, [np.nan, np.inf, np.nan])


def test_ignored_pixels_have_no_surface():
    prediction, label = np.ones((2, 5, 7), int)
    label[:, 4:] = -1
    prediction[:, 4:] = 2
    assert segmentation.hd95(prediction, label, 3, (1.0, 1.0))[0] == 0
    np.testing.assert_array_equal(segmentation.dice(prediction, label, 3), [1, np.nan])


def test_what_does_not_fit_is_refused():
    maps = np.zeros((4, 4), int)
    with pytest.raises(ValueError, match=r"one shape, got \(4, 4\) and \(4, 3\)"):
        segmentation.dice(maps, maps[:, 1:], 3)
    with pytest.raises(ValueError, match=r"The label's classes lie in -1 \.\. 2, got 0 \.\. 3"):
        segmentation.iou(maps, maps + np.eye(4, dtype=int) * 3, 3)
    with pytest.raises(
        ValueError, match=r"The prediction's classes lie in 0 \.\. 2, got -1 \.\. -1"
    ):
        segmentation.volume_error(maps - 1, maps, 3)
    for spacing in ([1.0], [1.0, 0.0], [1.0, np.nan], [1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="one positive length for each of the 2 axes"):
            segmentation.hd95(maps, maps, 3, spacing)
