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


def test_masks_may_have_pixels_that_do_not_count():
    (batch,) = data.from_arrays(np.ones((1, 2, 2, 3), np.float16), [[[-1, 3], [0, 1]]], 1)
    assert batch.images.dtype == np.float32 and batch.labels.tolist() == [[[-1, 3], [0, 1]]]


def bad(value):
    """Images one pixel of which is not in [0, 1]."""
    images = np.zeros((2, 4, 4, 1))
    images[1, 2, 0, 0] = value
    return images


@pytest.mark.parametrize(
    "images, labels, size, rule",
    [
        (np.zeros((2, 4, 4, 1)), np.zeros(3, int), 2, r"\(2, 4, 4, 1\) and labels of shape \(3,\)"),
        (np.zeros((0, 4, 4, 1)), np.zeros(0, int), 2, "at least one"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int), 2, "divide uint8 images by 255"),
        (np.zeros((2, 4, 4, 1)), np.zeros(2), 2, "labels integers"),
        (np.zeros((2, 4, 4, 1)), np.zeros(2, int), 0, "batch_size is at least 1"),
        (np.zeros(2), np.zeros(2, int), 2, r"images \(n, \*space, c\), got images of shape \(2,\)"),
        (np.zeros((2, 4, 4, 1)), np.int32(0), 2, r"labels of shape \(\)"),
        (np.zeros((2, 4, 5, 1)), np.zeros((2, 5, 4), int), 2, r"size \(2, 4, 5\), got \(2, 5, 4\)"),
        (np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 1), int), 2, r"got \(2, 4, 4, 1\)"),
        (
            np.full((2, 4, 4, 1), 200.0),
            np.zeros(2, int),
            2,
            r"200.0 at \(0, 0, 0, 0\) and 31 m",
        ),
        (
            bad(np.nan),
            np.zeros(2, int),
            2,
            r"Pixels .* got nan at \(1, 2, 0, 0\) and 0",
        ),
        (bad(np.inf), np.zeros(2, int), 2, "Pixels are from 0 to 1, got inf"),
        (bad(-1e-6), np.zeros(2, int), 2, "Pixels are from 0 to 1, got -1e-06"),
        (np.zeros((2, 4, 4, 1)), np.array([0, -1]), 2, r"Labels are from 0 to 2147483647, got -1"),
        (np.zeros((2, 4, 4, 1)), np.full((2, 4, 4), -7), 2, r"Labels are from -1 to .* got -7 at"),
        (np.zeros((2, 4, 4, 1)), np.array([0, 2**31]), 2, "got 2147483648"),
    ],
)
def test_refused(images, labels, size, rule):
    with pytest.raises(ValueError, match=rule):
        data.from_arrays(images, labels, size)
