import numpy as np
import pytest

from medadv_jax import data


def test_every_row_comes_once_in_its_order():
    rng = np.random.default_rng(0)
    images, labels = rng.random((5, 4, 3, 1)), rng.integers(0, 3, (5, 4, 3))
    batches = data.from_arrays(images, labels, 2)
    join = lambda field: np.concatenate([getattr(b, field)[b.mask] for b in batches])
    np.testing.assert_array_equal(join("images"), images.astype(np.float32))
    np.testing.assert_array_equal(join("labels"), labels)
    np.testing.assert_array_equal(join("index"), np.arange(5))
    last = batches[-1]
    assert last.images.shape == (2, 4, 3, 1) and not last.images[1].any() and last.index[1] == -1
    assert {b.images.dtype for b in batches} == {np.dtype("float32")}
    assert {b.labels.dtype for b in batches} == {np.dtype("int32")}


@pytest.mark.parametrize(
    "images, labels, size, rule",
    [
        (np.zeros((2, 4, 4, 1)), np.zeros(3, int), 2, "2 images and 3 labels"),
        (np.zeros((0, 4, 4, 1)), np.zeros(0, int), 2, "at least one"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int), 2, "divide uint8 images by 255"),
        (np.zeros((2, 4, 4, 1)), np.zeros(2), 2, "labels integers"),
        (np.zeros((2, 4, 4, 1)), np.zeros(2, int), 0, "batch_size is at least 1"),
    ],
)
def test_refused(images, labels, size, rule):
    with pytest.raises(ValueError, match=rule):
        data.from_arrays(images, labels, size)
