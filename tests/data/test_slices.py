"""Slices of a volume are upright, and come back from their file as they were."""

import numpy as np
import pytest

from medadv_jax.data import dense, prepare, slices, structures
from medadv_jax.data.slices import Volume
from medadv_jax.data.table import Part, Table

SHAPE = (4, 5, 6)


@pytest.fixture
def volume():
    rng = np.random.default_rng(0)
    return Volume(rng.random(SHAPE), rng.integers(0, 28, SHAPE).astype(np.uint8), (1.0, 2.0, 3.0))


def make_table(volume, plane, **changes):
    rows = list(slices.records("sub-1_ses-2", volume, plane, "sub-1", dict(age=4.5)))
    table = dict(
        name="toy",
        class_names=structures.NAMES,
        group="subject",
        description="Toy.",
        homepage="",
        fields={**slices.FIELDS, "age": np.float32},
        splits={"train": Part(len(rows), rows.__iter__)},
        fingerprint=(plane,),
        dense=True,
    )
    return Table(**{**table, **changes})


def test_slices_are_upright():
    # One voxel at the left, one anterior, one superior of the rest.
    image = np.zeros((5, 5, 5))
    for value, place in {0.2: (0, 2, 2), 0.4: (2, 4, 2), 0.6: (2, 2, 4)}.items():
        image[place] = value
    coronal, axial, sagittal, whole = (slices.stacked(image, plane) for plane in slices.PLANES)
    assert coronal[2, 0, 2] == 0.6 and coronal[2, 2, 0] == 0.2 and coronal[4, 2, 2] == 0.4
    assert axial[2, 0, 2] == 0.4 and axial[2, 2, 0] == 0.2 and axial[4, 2, 2] == 0.6
    assert sagittal[2, 0, 2] == 0.6 and sagittal[2, 2, 4] == 0.4 and sagittal[0, 2, 2] == 0.2
    np.testing.assert_array_equal(whole, coronal)


@pytest.mark.parametrize(
    "plane, shape, spacing",
    [
        ("coronal", (5, 6, 4), (3.0, 1.0, 2.0)),
        ("axial", (6, 5, 4), (2.0, 1.0, 3.0)),
        ("sagittal", (4, 6, 5), (3.0, 2.0, 1.0)),
    ],
)
def test_records_come_back(tmp_path, volume, plane, shape, spacing):
    source = prepare.prepare(make_table(volume, plane), "train", tmp_path)
    assert len(source) == shape[0] == slices.count(SHAPE, plane) and source.dense
    images, labels = slices.stacked(volume.image, plane), slices.stacked(volume.label, plane)
    for number in range(shape[0]):
        record = source[number]
        image, label = record.pop("image"), record.pop("label")
        assert (image.shape, image.dtype) == ((*shape[1:], 1), np.float32)
        np.testing.assert_allclose(image[..., 0], images[number], atol=0.6 / 65535)
        np.testing.assert_array_equal(label, labels[number])
        assert label.dtype == np.uint8
        foreground = np.count_nonzero(labels[number])
        known = dict(subject="sub-1", scan="sub-1_ses-2", slice=number, foreground=foreground)
        sizes = {f"spacing_{i}": mm for i, mm in enumerate(spacing)}
        assert record == known | sizes | dict(age=4.5)
    assert source.column("slice").tolist() == list(range(shape[0]))
    assert source.column("subject").tolist() == ["sub-1"] * shape[0]


def test_a_whole_volume_is_one_record(tmp_path, volume):
    source = prepare.prepare(make_table(volume, "volume", shard=1), "train", tmp_path)
    (record,) = [source[i] for i in range(len(source))]
    assert record["image"].shape == (5, 6, 4, 1) and record["slice"] == -1
    np.testing.assert_array_equal(record["label"], slices.stacked(volume.label, "coronal"))
    assert [record[f"spacing_{i}"] for i in range(3)] == [2.0, 3.0, 1.0]
    assert slices.count(SHAPE, "volume") == 1


def test_eight_bits_stay_eight_bits(tmp_path, volume):
    codes = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8)
    for image in (codes, (codes / 255).astype(np.float32), codes / np.float64(255)):
        table = make_table(volume._replace(image=image), "axial", fingerprint=(str(image.dtype),))
        source = prepare.prepare(table, "train", tmp_path)
        expected = slices.stacked(codes, "axial")[2] / np.float32(255)
        np.testing.assert_array_equal(source[2]["image"][..., 0], expected)
    assert dense.quantize(codes / 255).dtype == np.uint8
    assert dense.quantize(np.array([0.5001])).dtype == np.uint16


@pytest.mark.parametrize(
    "change, rule",
    [
        (dict(image=np.full(SHAPE, 1.5)), "pixels are in .0, 1., got 1.5"),
        (dict(image=np.full(SHAPE, np.nan)), "pixels are in"),
        (dict(label=np.full(SHAPE, 28)), "integers from 0 to 27, got int64 from 28"),
        (dict(label=np.full(SHAPE, -1)), "integers from 0 to 27, got int64 from -1"),
        (dict(label=np.zeros(SHAPE)), "integers from 0 to 27, got float64"),
    ],
)
def test_bad_arrays(tmp_path, volume, change, rule):
    with pytest.raises(ValueError, match=f"record sub-1_ses-2_coronal_0000: .*{rule}"):
        table = make_table(volume._replace(**change), "coronal")
        prepare.prepare(table, "train", tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


def test_shapes_that_differ(volume):
    with pytest.raises(ValueError, match=r"record a: .* got \(2, 3\) and \(3, 2\)"):
        dense.encoded("a", dict(image=np.zeros((2, 3)), label=np.zeros((3, 2), int)), 28)
    with pytest.raises(ValueError, match=r"got \(2,\) and \(2,\)"):
        dense.encoded("a", dict(image=np.zeros(2), label=np.zeros(2, int)), 28)


def test_no_such_plane(volume):
    with pytest.raises(ValueError, match="plane is one of coronal, axial.*'frontal'"):
        slices.count(SHAPE, "frontal")
    with pytest.raises(ValueError, match="plane is one of"):
        next(slices.records("a", volume, "frontal", "a"))


def test_the_cache_knows_dense_tables_apart(volume):
    table = make_table(volume, "axial")
    apart = {
        prepare._fingerprint(make_table(volume, "axial", dense=flag)) for flag in (True, False)
    }
    assert len(apart) == 2 and prepare._fingerprint(table) in apart
