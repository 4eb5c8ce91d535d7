"""Batches: what they hold, how they pad, and that batch n is a function of the arguments alone."""

import chex
import numpy as np
import pytest

from medadv_jax import data

COUNTS = (40, 8, 2)


@pytest.fixture(scope="module")
def source():
    """Fifty images of 12x10 pixels whose first value is their own number."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), COUNTS).astype(np.int32)
    images = rng.integers(0, 256, (50, 10, 12, 3), np.uint8)
    images[:, :, :, 0] = np.arange(50)[:, None, None]
    records = [
        dict(image=image, label=int(label)) for image, label in zip(images, labels, strict=True)
    ]
    return data.Source("toy", "train", ("a", "b", "c"), "label", "Toy.", records, {"label": labels})


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_stored_order_is_padded_and_masked(source):
    batches = data.batches(source, 16, image_size=10)
    found = list(batches)
    assert len(found) == len(batches) == 4
    for batch in found:
        chex.assert_shape(batch.images, (16, 10, 10, 3))
        assert batch.images.dtype == np.float32 and batch.labels.dtype == np.int32
    index = np.concatenate([batch.index for batch in found])
    mask = np.concatenate([batch.mask for batch in found])
    np.testing.assert_array_equal(index[:50], np.arange(50))
    np.testing.assert_array_equal(index[50:], -1)
    np.testing.assert_array_equal(mask, index >= 0)
    assert not found[-1].images[2:].any() and not found[-1].labels[2:].any()
    expected = source[17]["image"][:, 1:11] / np.float32(255)
    np.testing.assert_array_equal(found[1].images[1], expected)
    np.testing.assert_array_equal(found[2].labels, source.column("label")[32:48])


def test_epochs_are_shuffled_differently_and_lose_nothing(source):
    batches = data.batches(source, 8, seed=3, epochs=4)
    index = np.concatenate([batch.index for batch in batches])
    assert len(batches) == 25 and index.size == 200
    epochs = index.reshape(4, 50)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    other = np.concatenate([b.index for b in data.batches(source, 8, seed=4, epochs=4)])
    assert not np.array_equal(index, other)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_start_continues_bit_by_bit(source, balance):
    make = lambda start: data.batches(
        *(source, 8),
        image_size=9,
        seed=1,
        epochs=3,
        start=start,
        augment=data.augment.dermoscopy(9),
        balance=balance,
    )
    whole = list(make(0))
    assert len(whole) == 18
    for start in (1, 7, 18):
        rest = list(make(start))
        assert len(rest) == 18 - start
        assert all(map(same, rest, whole[start:]))


def test_iterations_are_identical_with_and_without_the_cache(source):
    make = lambda cache: data.batches(
        source, 8, image_size=9, seed=1, epochs=2, augment=data.augment.dermoscopy(9), cache=cache
    )
    batches = make(True)
    first = list(batches)
    assert all(map(same, first, batches))
    assert all(map(same, first, make(False)))


def test_an_image_is_augmented_differently_in_each_epoch(source):
    batches = data.batches(
        source, 50, image_size=10, seed=1, epochs=2, augment=data.augment.dermoscopy(10)
    )
    first, second = (batch.images[np.argsort(batch.index)] for batch in batches)
    assert (np.abs(first - second).max((1, 2, 3)) > 0.01).all()
