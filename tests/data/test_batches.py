"""Batches: what they hold, how they pad, and that batch n is a function of the arguments alone."""

import dataclasses
import importlib

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


@pytest.mark.parametrize("balance, expected", [(0.5, np.sqrt(COUNTS)), (1.0, np.ones(3))])
def test_balance_draws_classes_by_a_power_of_their_count(source, balance, expected):
    batches = data.batches(source, 50, seed=0, epochs=40, balance=balance)
    found = np.concatenate([batch.labels for batch in batches])
    share = np.bincount(found) / found.size
    # Three standard errors of 2000 draws.
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.034)


def test_balance_repeats_a_record_only_after_its_class_is_through(source):
    (batch,) = data.batches(source, 50, seed=0, balance=1.0)
    for label, count in enumerate(COUNTS):
        times = np.bincount(batch.index[batch.labels == label], minlength=50)
        own = times[source.column("label") == label]
        assert own.size == count and own.max() - own.min() <= 1
    (again,) = data.batches(source, 50, seed=0, epochs=1, balance=1.0)
    assert same(batch, again)


def test_endless_epochs(source):
    batches = iter(data.batches(source, 32, seed=0, epochs=None, start=1000))
    first = next(batches)
    assert first.mask.all()
    with pytest.raises(TypeError, match="no length"):
        len(data.batches(source, 32, epochs=None))
    assert next(iter(data.batches(source, 32, epochs=None, start=2001))).mask.sum() == 18


def test_a_batch_is_cut_square_from_a_resized_image(source):
    (batch,) = data.batches(source, 50, image_size=5)
    # The first channel of record n is n everywhere: resizing must leave it so.
    expected = np.broadcast_to(np.arange(50)[:, None, None] / 255, (50, 5, 5))
    np.testing.assert_allclose(batch.images[..., 0], expected, atol=1e-6)


def test_the_cache_spares_later_epochs_the_reading(source):
    reads = []

    class Watched(list):
        def __getitem__(self, number):
            reads.append(number)
            return super().__getitem__(number)

    watched = dataclasses.replace(source, records=Watched(source.records))
    batches = data.batches(watched, 25, image_size=8, seed=0, epochs=3)
    list(batches)
    # The second thread may ask for a record while the first one still reads it.
    assert set(reads) == set(range(50)) and len(reads) < 100
    reads.clear()
    list(batches)
    assert not reads
    list(data.batches(watched, 25, image_size=8, seed=0, epochs=2, cache=False))
    assert len(reads) == 100


def test_the_cache_keeps_to_its_limit(source, monkeypatch):
    module = importlib.import_module("medadv_jax.data.batches")  # `data.batches` is the function
    monkeypatch.setattr(module, "CACHE_BYTES", 10 * 10 * 12 * 3)
    batches = data.batches(source, 25)
    first = list(batches)
    assert len(batches._resized._kept) == 10
    assert all(map(same, first, batches))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(batch_size=0), "batch_size is at least 1, got 0"),
        (dict(image_size=0), "image_size is at least 1"),
        (dict(epochs=0), "epochs is at least 1"),
        (dict(start=-1), "start is at least 0"),
        (dict(seed=-1), "seed is at least 0"),
        (dict(seed=0, balance=1.5), "balance is in .0, 1., got 1.5"),
        (dict(balance=0.5), "give a seed"),
        (dict(augment=data.augment.dermoscopy(8)), "give a seed"),
        (dict(start=8), "7 batches of 8: too few for start=8"),
        (dict(seed=0, batch_size=51), "0 batches of 51"),
    ],
)
def test_bad_arguments(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.batches(source, **{"batch_size": 8, **options})


def test_images_of_different_shapes_are_refused(source):
    records = [*source.records[:49], dict(image=np.zeros((10, 10, 3), np.uint8), label=2)]
    mixed = dataclasses.replace(source, records=records)
    with pytest.raises(ValueError, match="images of one shape.*give image_size"):
        list(data.batches(mixed, 50))
    wrong = data.batches(source, 50, image_size=8, seed=0, augment=data.augment.dermoscopy(9))
    with pytest.raises(ValueError, match=r"got \[\(9, 9, 3\)\].*image_size=8"):
        list(wrong)
