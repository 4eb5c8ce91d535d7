"""MONAI's numbers on random label maps; skipped where MONAI is not installed."""

import numpy as np
import pytest

from medadv_jax.metrics import segmentation

torch = pytest.importorskip("torch")
monai = pytest.importorskip("monai.metrics")

CLASSES = 6


def random_maps(shape, seed):
    """Two maps of coarse random regions, the second one disturbed, structure 5 in neither."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, CLASSES - 1, [-(-n // 4) for n in shape])
    label = coarse.repeat(4, 0).repeat(4, 1)
    label = (label.repeat(4, 2) if len(shape) == 3 else label)[tuple(map(slice, shape))]
    label = np.where(label == 1 + seed % 4, 0, label)  # a structure that only the prediction has
    noise = rng.integers(0, CLASSES - 1, shape)
    return np.where(rng.random(shape) < 0.2, noise, np.roll(label, 1, 0)), label


def one_hot(maps):
    return torch.from_numpy(np.moveaxis(np.eye(CLASSES)[maps], -1, 0)[None])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((30, 25), (1.0, 1.0)), ((22, 31), (0.5, 2.0)), ((14, 11, 9), (1.2, 0.8, 3.0))],
)
@pytest.mark.filterwarnings("ignore")
def test_equal_to_monai(shape, spacing, seed):
    prediction, label = random_maps(shape, seed)
    theirs = one_hot(prediction), one_hot(label)
    inner = dict(include_background=False)
    dice = monai.compute_dice(*theirs, **inner, ignore_empty=True)[0].numpy()
    iou = monai.compute_iou(*theirs, **inner, ignore_empty=True)[0].numpy()
    hd95 = monai.compute_hausdorff_distance(
        *theirs, **inner, percentile=95, directed=False, spacing=spacing
    )[0].numpy()
    average = monai.compute_average_surface_distance(
        *theirs, **inner, symmetric=True, spacing=spacing
    )[0].numpy()
    ours = [
        segmentation.dice(prediction, label, CLASSES),
        segmentation.iou(prediction, label, CLASSES),
        *segmentation.surface_distances(prediction, label, CLASSES, spacing),
    ]
    only_predicted = 1 + seed % 4 - 1
    present = [s for s in range(CLASSES - 2) if s != only_predicted]
    for mine, other in zip(ours, (dice, iou, hd95, average), strict=True):
        np.testing.assert_allclose(mine[present], other[present], rtol=1e-5)
    # Not in the label: undefined, as in MONAI; only to surfaces does MONAI say infinity.
    for absent in (only_predicted, CLASSES - 2):
        assert np.isnan([values[absent] for values in (*ours, dice, iou)]).all()
