import numpy as np
import pytest
from tissues import FLUIDS, GREYS, WHITES

from medadv_jax import data
from medadv_jax.data import brain_phantom
from medadv_jax.data.brain_phantom import COUNTS, phantom
from medadv_jax.data.structures import NAMES


@pytest.fixture(scope="module")
def heads():
    return [phantom(split, number) for split in COUNTS for number in range(2)]


def test_every_head_has_all_structures_and_nothing_else(heads):
    for head in heads:
        counts = np.bincount(head.label.ravel(), minlength=28)
        assert counts.size == 28 and counts.min() >= 10
        assert head.image.shape == head.label.shape == (48, 56, 48)
        assert head.image.dtype == np.float32 and head.label.dtype == np.uint8
        assert head.spacing == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("spacing", brain_phantom.SPACINGS)
def test_no_structure_is_lost_at_the_limits(spacing):
    head = phantom("test", 0, spacing=spacing)
    assert np.bincount(head.label.ravel(), minlength=28).min() >= 8
    assert head.label.shape == brain_phantom.shape_of(spacing)


def test_left_is_left(heads):
    for head in heads:
        centre = [np.argwhere(head.label == number).mean(0) for number in range(28)]
        for number in range(1, 13):
            left, right = centre[number], centre[number + 12]
            assert left[0] + 1.5 < right[0], NAMES[number]
            assert np.abs(left[1:] - right[1:]).max() < 7, NAMES[number]
        brain_stem, cortex = centre[NAMES.index("brain-stem")], centre[2]
        assert brain_stem[2] < cortex[2] - 5  # below
        assert centre[NAMES.index("left-cerebellum-cortex")][1] < cortex[1] - 5  # behind
        assert centre[7][1] > centre[6][1]  # the caudate is in front of the thalamus


def test_tissues_keep_their_order(heads):
    for head in heads:
        fluid, grey, white = (
            head.image[np.isin(head.label, numbers)].mean() for numbers in (FLUIDS, GREYS, WHITES)
        )
        assert fluid + 0.08 < grey < white - 0.08


def test_brightness_alone_does_not_solve_it(heads):
    head = heads[0]
    spread = np.mean([head.image[head.label == n].std() for n in (*GREYS, *WHITES)])
    assert 0.03 < spread < 0.2
    background = head.image[head.label == 0]
    assert np.mean((background > 0.4) & (background < 0.7)) > 0.03  # face and scalp are grey too


def test_splits_numbers_and_seeds_differ_and_are_reproducible():
    arguments = [("train", 0, 0), ("validation", 0, 0), ("test", 0, 0), ("train", 1, 0)]
    arguments.append(("train", 0, 1))
    drawn = [phantom(split, n, seed=seed, spacing=4.5) for split, n, seed in arguments]
    assert len({head.image.tobytes() for head in drawn}) == len(drawn)
    assert len({head.label.tobytes() for head in drawn}) == len(drawn)
    again = phantom("train", 0, spacing=4.5)
    np.testing.assert_array_equal(again.image, drawn[0].image)
    np.testing.assert_array_equal(again.label, drawn[0].label)


def test_records_are_the_slices_of_the_heads(cache):
    source = data.load("brain_phantom", "test", count=2)
    assert len(source) == 2 * 56 and source.group == "subject" and source.class_names == NAMES
    assert source.description == brain_phantom.DESCRIPTION
    assert list(dict.fromkeys(source.column("subject"))) == ["phantom-test-000", "phantom-test-001"]
    head = phantom("test", 1)
    record = source[56 + 20]
    assert record["image"].shape == (48, 48, 1) and record["slice"] == 20
    np.testing.assert_array_equal(record["label"], head.label[:, 20, ::-1].T)
    np.testing.assert_allclose(record["image"][..., 0], head.image[:, 20, ::-1].T, atol=1e-5)
    assert [record[f"spacing_{axis}"] for axis in range(3)] == [4.0, 4.0, 4.0]


def test_options(cache):
    volume = data.load("brain_phantom", "validation", count=1, plane="volume", size=44)
    assert len(volume) == 1 and volume[0]["label"].shape == (51, 44, 44)
    assert brain_phantom.table("train", spacing=4.5).splits["train"].size == 8 * 50
    prints = {
        brain_phantom.table(split, **options).fingerprint
        for split, options in (("train", {}), ("test", {}))
    }
    assert len(prints) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(count=0), "count is at least 1, got 0"),
        (dict(seed=-1), "at least 0, got 0 and -1"),
        (dict(spacing=6.0), "2.0 to 4.5 mm, got 6.0"),
        (dict(size=20), "2.0 to 4.5 mm, got 9.6"),
        (dict(size=0), "size or spacing; got 0 and None"),
        (dict(size=48, spacing=4.0), "size or spacing; got 48 and 4.0"),
        (dict(plane="oblique"), "plane is one of .*got 'oblique'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(cache, options, message):
    with pytest.raises(ValueError, match=message):
        data.load("brain_phantom", "test", **options)
    assert not cache.exists()


def test_a_split_that_is_none_is_refused():
    with pytest.raises(ValueError, match="train, validation, test; got 'val'"):
        phantom("val", 0)
