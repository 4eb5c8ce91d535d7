"""Batches of records with dense labels."""

import dataclasses

import chex
import numpy as np
import pytest

from medadv_jax import data

SIDE = (6, 5)


def make_source(shape=SIDE, count=7):
    """Images whose every pixel tells its record and its place; the label is a function of it."""
    rng = np.random.default_rng(0)
    images = rng.random((count, *shape, 1)).astype(np.float32)
    records = [
        dict(image=image, label=(image[..., 0] * 28).astype(np.uint8), slice=number)
        for number, image in enumerate(images)
    ]
    columns = dict(slice=np.arange(count), subject=np.array(["a"] * count))
    names = data.structures.NAMES
    return data.Source("toy", "train", names, "subject", "Toy.", records, columns)


@pytest.fixture
def source():
    return make_source()


def test_stored_size_and_order(source):
    first, last = data.batches(source, 4)
    chex.assert_shape([first.images, last.images], (4, *SIDE, 1))
    chex.assert_shape([first.labels, last.labels], (4, *SIDE))
    assert first.images.dtype == np.float32 and first.labels.dtype == np.int32
    np.testing.assert_array_equal(last.images[2], source[6]["image"])
    np.testing.assert_array_equal(last.labels[2], source[6]["label"])
    assert last.mask.tolist() == [True] * 3 + [False] and last.index.tolist() == [4, 5, 6, -1]
    assert not last.images[3].any() and not last.labels[3].any()


@pytest.mark.parametrize(
    "size, sides", [(8, (8, 8)), (4, (4, 4)), ((4, 9), (4, 9)), ((6, 5), SIDE)]
)
def test_the_middle_is_cut_and_the_rest_is_background(source, size, sides):
    (batch,) = data.batches(source, 7, image_size=size)
    chex.assert_shape(batch.images, (7, *sides, 1))
    chex.assert_shape(batch.labels, (7, *sides))
    for number in range(7):
        image, label = source[number]["image"], source[number]["label"]
        if sides[0] < 6:
            image, label = image[1:5], label[1:5]
        if sides == (4, 4):
            image, label = image[:, :4], label[:, :4]
        top, left = (sides[0] - image.shape[0]) // 2, (sides[1] - image.shape[1]) // 2
        place = (slice(top, top + image.shape[0]), slice(left, left + image.shape[1]))
        np.testing.assert_array_equal(batch.images[number][place], image)
        np.testing.assert_array_equal(batch.labels[number][place], label)
        # Never a resize: nothing else is there.
        assert np.isclose(batch.images[number].sum(), image.sum())
        assert batch.labels[number].sum() == label.sum()


def test_volumes():
    source = make_source((4, 6, 5), count=3)
    (batch,) = data.batches(source, 3, image_size=6, seed=0, augment=data.augment.mri())
    chex.assert_shape(batch.images, (3, 6, 6, 6, 1))
    chex.assert_shape(batch.labels, (3, 6, 6, 6))
    with pytest.raises(
        ValueError, match=r"one side for each axis of an image, 3 in toy; got \(6, 6"
    ):
        list(data.batches(source, 3, image_size=(6, 6)))


def test_image_and_label_stay_together_and_start_continues(source):
    make = lambda start, cache=True: data.batches(
        *(source, 3),
        seed=2,
        epochs=3,
        start=start,
        augment=lambda rng, image, label, _: (image * np.float32(rng.uniform(0.5, 1)), label),
        cache=cache,
    )
    whole = list(make(0))
    assert len(whole) == 7
    for batch in whole:
        for image, label, number in zip(batch.images, batch.labels, batch.index, strict=True):
            np.testing.assert_array_equal(label, source[int(number)]["label"])
            ratio = image / source[int(number)]["image"]
            np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
    for one, other in zip(whole[3:], make(3, cache=False), strict=True):
        chex.assert_trees_all_equal(one, other)
    assert sorted(np.concatenate([batch.index for batch in whole]).tolist()) == sorted(
        [*range(7)] * 3
    )


@pytest.mark.parametrize("known, spacing", [((2.0, 0.5, 9.0), (2.0, 0.5)), ((), (1.0, 1.0))])
def test_the_augmentation_is_told_the_sides_of_a_pixel(source, known, spacing):
    told = {f"spacing_{axis}": side for axis, side in enumerate(known)}
    records = [record | told for record in source.records]
    source = dataclasses.replace(source, records=records)
    seen = []
    augment = lambda rng, image, label, sides: (image, label, seen.append(sides))[:2]
    assert len(list(data.batches(source, 7, seed=0, image_size=4, augment=augment))) == 1
    assert seen == [spacing] * 7


def test_the_cache_counts_image_and_label(source):
    batches = data.batches(source, 7)
    list(batches)
    kept = batches._resized
    assert len(kept._kept) == 7
    assert 2**31 - kept._left == 7 * 6 * 5 * (4 + 1)


def test_refusals(source):
    with pytest.raises(ValueError, match="balance is for classes; toy has dense labels"):
        data.batches(source, 2, seed=0, balance=1.0)
    with pytest.raises(ValueError, match=r"image_size is at least 1, got \(0, 4\)"):
        data.batches(source, 2, image_size=(0, 4))
    records = [*source.records[:6], make_source((5, 5), 1)[0]]
    mixed = data.Source(
        "toy", "train", source.class_names, "subject", "", records, dict(slice=np.arange(7))
    )
    with pytest.raises(ValueError, match=r"\[\(5, 5, 1\), \(6, 5, 1\)\] from toy: give image_size"):
        list(data.batches(mixed, 7))
    assert len(list(data.batches(mixed, 7, image_size=5))) == 1


def test_one_side_for_images_of_a_class():
    records = [dict(image=np.zeros((4, 4, 3), np.uint8), label=0)]
    columns = dict(label=np.zeros(1, np.int32))
    source = data.Source("toy", "train", ("a",), "label", "", records, columns)
    with pytest.raises(ValueError, match=r"image_size is one side.*got \(4, 4\)"):
        data.batches(source, 1, image_size=(4, 4))
