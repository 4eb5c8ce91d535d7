import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import lesion_phantom


def test_the_phantoms_need_no_files(cache):
    source = data.load("lesion_phantom", "test", count=6, size=24)
    assert len(source) == 6 and source.description == lesion_phantom.DESCRIPTION
    assert source.class_names == tuple(lesion_phantom.CLASS_NAMES) and source.group == "lesion_id"
    for i, (name, expected) in enumerate(lesion_phantom.records("test", size=24, count=6)):
        record = source[i]
        assert record["image_id"] == name and set(record) == set(expected)
        np.testing.assert_array_equal(record["image"], np.asarray(expected["image"]))
        for field in ("label", *lesion_phantom.FEATURES):
            same = record[field] == expected[field]
            assert same or record[field] == pytest.approx(expected[field], rel=1e-6), field
            assert source.column(field)[i] == record[field]


def test_each_option_of_the_phantoms_is_another_data_set(cache):
    shown = [
        data.load("lesion_phantom", split, count=2, **options)[0]["image"]
        for split, options in (
            ("test", dict(size=24)),
            ("test", dict(size=32)),
            ("train", dict(size=24)),
            ("test", dict(size=24, seed=1)),
        )
    ]
    assert len({image.tobytes() for image in shown}) == 4


def test_the_cache_is_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDADV_CACHE", str(tmp_path / "variable"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    options = dict(count=1, size=16)
    data.load("lesion_phantom", "test", cache_dir=tmp_path / "argument", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["argument"]
    data.load("lesion_phantom", "test", **options)
    assert (tmp_path / "variable" / "lesion_phantom").is_dir()
    monkeypatch.delenv("MEDADV_CACHE")
    data.load("lesion_phantom", "test", **options)
    assert (tmp_path / "home" / ".cache" / "medadv_jax" / "lesion_phantom").is_dir()


@pytest.mark.parametrize(
    "name, split, options, message",
    [
        ("ham", "test", {}, "no data set 'ham'; there are lesion_phantom, brain_template"),
        ("ham10000", "val", {}, "no split 'val'; there are train, validation, test"),
        ("ham10000", "test", {}, "'ham10000' needs data_dir"),
        ("lesion_phantom", "test", dict(data_dir="x"), "takes no data_dir, got 'x'"),
        ("lesion_phantom", "test", dict(count=0), "count is at least 1, got 0"),
        ("lesion_phantom", "test", dict(size=1), "16"),
    ],
)
def test_bad_arguments(cache, name, split, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split, **options)
