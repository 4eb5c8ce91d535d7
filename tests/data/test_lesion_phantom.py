import dataclasses
import functools
import time
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from medadv_jax.data import lesion_phantom
from medadv_jax.data.lesion_attributes import CLASS_NAMES, PALETTE, STRUCTURES, Lesion, View
from medadv_jax.data.lesion_drawing import draw
from medadv_jax.data.lesion_structures import BRUSHES

SPLITS = ("train", "validation", "test")
# A lesion without any structure, photographed without anything in the way.
BARE = Lesion(
    stream=(1, 2, 3),
    label=5,
    skin_tone=2,
    asymmetry=0.1,
    border_irregularity=0.1,
    border_sharpness=0.6,
    diameter=0.7,
    colours=("light brown",),
    pigment_network="absent",
    globules="absent",
    streaks="absent",
    vessels="absent",
    blue_white_veil=False,
    ovoid_nests=False,
    scale=False,
    milia_cysts=False,
    white_patch=False,
    age=40,
    sex="female",
    site="back",
)
PLAIN = View(
    stream=(1, 2, 4),
    hair=0,
    ruler_marks=False,
    vignette=False,
    rotation=0.3,
    shift=(0.0, 0.0),
    light=(1.0, 1.0, 1.0),
    slope=(0.0, 0.0),
    blur=2.0,
    noise=2.0,
)


def pixels(lesion=BARE, view=PLAIN, size=96, **changes):
    of_lesion = {name: value for name, value in changes.items() if name in vars(lesion)}
    of_view = {name: value for name, value in changes.items() if name in vars(view)}
    assert {*of_lesion, *of_view} == {*changes}
    image = draw(
        dataclasses.replace(lesion, **of_lesion), dataclasses.replace(view, **of_view), size
    )
    return np.asarray(image, np.int32)


def discs(size=96):
    """Distance from the centre in half widths of the field of view."""
    line = (np.arange(size) + 0.5) * 2 / size - 1
    return np.hypot(line[:, None], line[None])


@functools.lru_cache
def described(split):
    """What all images of a split show, nothing drawn."""
    return [lesion_phantom.describe(split, n) for n in range(lesion_phantom.COUNTS[split])]


@pytest.fixture(scope="module")
def many():
    return described("train")


@pytest.mark.parametrize("size", [32, 75, 96, 299])
def test_image_is_rgb_of_the_size_asked_for(size):
    one = lesion_phantom.record("train", 3, size=size)
    image = np.asarray(one["image"])
    assert one["image"].mode == "RGB"
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    assert image.std() > 5


def test_one_lesion_looks_alike_at_every_size():
    large = lesion_phantom.record("train", 3, size=288)["image"]
    small = np.asarray(lesion_phantom.record("train", 3, size=96)["image"], float)
    reduced = np.asarray(large.reduce(3), float)
    other = np.asarray(lesion_phantom.record("train", 5, size=96)["image"], float)
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.97
    assert np.corrcoef(small.ravel(), other.ravel())[0, 1] < 0.9


def test_records_are_a_function_of_seed_split_and_number():
    np.random.seed(0)
    first = list(lesion_phantom.records("test", size=32, count=6))
    np.random.seed(1)
    longer = list(lesion_phantom.records("test", size=32, count=9))
    assert [name for name, _ in first] == [name for name, _ in longer[:6]]
    for (_, one), (_, two) in zip(first, longer[:6], strict=True):
        assert one == two  # PIL compares pixels
    again = lesion_phantom.record("test", 4, size=32)
    assert again == first[4][1]


def test_seeds_and_splits_differ():
    shown = {
        lesion_phantom.record(split, 0, size=32, seed=seed)["image"].tobytes()
        for split in SPLITS
        for seed in (0, 1)
    }
    assert len(shown) == 6


def test_lesions_stay_in_their_split_and_have_one_or_two_images():
    lesions = {}
    for split in SPLITS:
        rows = described(split)[:400]
        lesions[split] = {lesion.stream for lesion, _ in rows}
        images = Counter(lesion.stream for lesion, _ in rows)
        assert set(images.values()) == {1, 2}
        assert 0.65 < len(images) / 400 < 0.85
    # The drawn lesions are disjoint too, whatever their names.
    drawn = [
        dataclasses.replace(lesion, stream=(0,))
        for split in SPLITS
        for lesion, _ in described(split)[:60]
    ]
    kinds = Counter(drawn)
    assert max(kinds.values()) == 2
    assert not lesions["train"] & lesions["test"] and not lesions["validation"] & lesions["test"]


def test_two_views_of_a_lesion_share_the_lesion_only(many):
    pairs = [
        (number, number + 1) for number in range(0, 60, 2) if many[number][0] == many[number + 1][0]
    ]
    assert pairs
    for one, two in pairs:
        assert many[one][1].rotation != many[two][1].rotation
        a, b = (lesion_phantom.record("train", number, size=32) for number in (one, two))
        assert a["lesion_id"] == b["lesion_id"] and a["image_id"] != b["image_id"]
        assert a["colours"] == b["colours"] and a["label"] == b["label"]
        assert a["image"] != b["image"]


def test_record_has_the_features_it_declares():
    one = lesion_phantom.record("validation", 1, size=32)
    assert set(one) == {"image", "label", *lesion_phantom.FEATURES}
    for field, kind in lesion_phantom.FEATURES.items():
        assert (
            isinstance(one[field], str)
            if kind is str
            else kind(one[field]) == one[field]
            or (kind is np.float32 and np.isclose(kind(one[field]), one[field]))
        )
    assert lesion_phantom.CLASS_NAMES == CLASS_NAMES
    assert one["number_of_colours"] == len(one["colours"].split(", "))
    assert one["image_id"] == "phantom_validation_000001"


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_is_frequent_enough(split):
    count = lesion_phantom.COUNTS[split]
    share = np.bincount([lesion.label for lesion, _ in described(split)], minlength=7) / count
    assert share.min() >= 0.06
    assert 0.26 < share[CLASS_NAMES.index("nv")] < 0.34


def test_nuisance_does_not_depend_on_the_class(many):
    # One image a lesion, else the two images of a lesion count its skin twice.
    rows = list({lesion.stream: (lesion, view) for lesion, view in many}.values())
    labels = np.array([lesion.label for lesion, _ in rows])
    nuisance = {
        "skin tone": [lesion.skin_tone >= 3 for lesion, _ in rows],
        "hair": [view.hair > 0 for _, view in rows],
        "ruler": [view.ruler_marks for _, view in rows],
        "vignette": [view.vignette for _, view in rows],
        "light": [view.light[0] > 0.96 for _, view in rows],
        "tint": [view.light[0] > view.light[2] for _, view in rows],
        "blur": [view.blur > 3 for _, view in rows],
    }
    for name, values in nuisance.items():
        table = np.array(
            [[np.sum(np.array(values)[labels == c] == v) for v in (0, 1)] for c in range(7)]
        )
        assert stats.chi2_contingency(table).pvalue > 1e-3, name


@pytest.mark.parametrize("field", list(STRUCTURES))
def test_structures_depend_on_the_class_but_none_decides_it(many, field):
    labels = np.array([lesion.label for lesion, _ in many])
    for kind in STRUCTURES[field]:
        seen = np.array(
            [getattr(lesion, field) == (True if kind == "present" else kind) for lesion, _ in many]
        )
        share = np.array([seen[labels == c].mean() for c in range(7)])
        expected = np.array(STRUCTURES[field][kind])
        np.testing.assert_allclose(share, expected, atol=0.12)
        assert share.max() - share.min() > 0.05, kind
        assert np.all(expected >= 0.01) and np.all(expected <= 0.92), kind
        assert np.sum(share > 0) >= 3, kind


@pytest.mark.parametrize("field", list(STRUCTURES))
def test_each_structure_changes_the_lesion_and_nothing_else(field):
    for kind in STRUCTURES[field]:
        change = np.abs(pixels(**{field: True if kind == "present" else kind}) - pixels()).max(-1)
        near = discs() < 1.1 * BARE.radius * 1.4
        assert np.mean(change[near] > 20) > 0.01, kind
        assert change[~near].max() == 0, kind


def test_structures_do_not_disturb_each_other():
    alone = np.abs(pixels(milia_cysts=True) - pixels()).max(-1) > 8
    network = pixels(pigment_network="typical")
    together = np.abs(pixels(pigment_network="typical", milia_cysts=True) - network).max(-1)
    assert alone.sum() > 100
    assert together[~alone].max() <= 16  # the cysts lie where they lay without a network


def test_veil_is_blue_vessels_are_red_network_is_dark():
    inside = discs() < 0.5
    plain = pixels()[inside].mean(0)
    veil = pixels(blue_white_veil=True)[inside].mean(0)
    assert veil[2] - veil[0] > plain[2] - plain[0] + 20
    change = pixels(vessels="arborising") - pixels()
    vessel = pixels(vessels="arborising")[np.abs(change).max(-1) > 20].mean(0)
    assert vessel[0] - vessel[1] > plain[0] - plain[1] + 15
    assert pixels(pigment_network="typical")[inside].mean() < plain.mean() - 5


def test_hair_ruler_and_vignette_are_drawn_where_they_belong():
    hair = pixels(hair=15).astype(int) - pixels()
    assert hair.min() < -60 and 0.02 < np.mean(hair.min(-1) < -30) < 0.5
    ruler = np.abs(pixels(ruler_marks=True) - pixels()).max(-1)
    assert ruler.max() > 40 and ruler[discs() < 0.5].max() == 0
    assert pixels(vignette=True)[discs() > 1.35].mean() < 0.5 * pixels()[discs() > 1.35].mean()
    np.testing.assert_array_equal(pixels(vignette=True)[discs() < 0.9], pixels()[discs() < 0.9])


def test_colours_named_are_the_colours_seen():
    for name in PALETTE:
        seen = pixels(colours=(name,), skin_tone=1, border_sharpness=0.9)[discs() < 0.3].mean(0)
        distance = {other: np.abs(seen - ref).sum() for other, (ref, _) in PALETTE.items()}
        assert distance[name] <= min(distance.values()) + 12, name
    one = pixels(colours=("light brown",))[discs() < 0.4]
    three = pixels(colours=("light brown", "black", "blue-grey"))[discs() < 0.4]
    assert three.std(0).mean() > 2 * one.std(0).mean()


def test_shape_follows_its_attributes():
    dark = dict(colours=("dark brown",), skin_tone=1, border_sharpness=1.0)
    area = lambda **changes: np.mean(pixels(**dark, **changes).mean(-1) < 140)
    assert area(diameter=1.0) > 2 * area(diameter=0.0)

    def roughness(irregularity):  # length of the outline over that of a disc of its area
        mask = pixels(**dark, border_irregularity=irregularity, size=192).mean(-1) < 140
        length = np.sum(mask[1:] != mask[:-1]) + np.sum(mask[:, 1:] != mask[:, :-1])
        return length / np.sqrt(mask.sum())

    assert roughness(1.0) > 1.15 * roughness(0.0)
    sharp, soft = pixels(**dark), pixels(**{**dark, "border_sharpness": 0.0})
    steps = [np.abs(np.diff(image.mean(-1), axis=0)).max() for image in (sharp, soft)]
    assert steps[0] > 1.5 * steps[1]


def test_mean_colour_does_not_solve_it():
    def features(split, count):
        rows = [one for _, one in lesion_phantom.records(split, size=32, count=count)]
        images = np.stack([np.asarray(one["image"], float) for one in rows])
        middle = images[:, 8:24, 8:24]
        stacked = [
            middle.mean((1, 2)),
            middle.std((1, 2)),
            images.mean((1, 2)),
            np.ones((count, 1)),
        ]
        return np.concatenate(stacked, 1), np.array([one["label"] for one in rows])

    (x, y), (test_x, test_y) = features("train", 420), features("test", 210)
    scale = np.append(x.std(0)[:-1], 1)
    weights = np.linalg.lstsq(x / scale, np.eye(7)[y], rcond=None)[0]
    accuracy = np.mean((test_x / scale @ weights).argmax(1) == test_y)
    assert 0.25 < accuracy < 0.65


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(split="val"), "train, validation, test, got 'val'"),
        (dict(split="train", size=8), "at least 16 pixels a side, got size 8"),
        (dict(split="train", seed=-1), "at least 0, got 0 and -1"),
        (dict(split="train", count=-2), "count is at least 0, got -2"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        lesion_phantom.records(**arguments)


def test_brushes_cover_the_structures():
    assert {brush.__name__ for brush in BRUSHES} == set(STRUCTURES)


def test_an_image_takes_milliseconds():
    start = time.process_time()
    for _ in lesion_phantom.records("train", count=60):
        pass
    assert (time.process_time() - start) / 60 < 0.03  # 0.006 s on an idle core
