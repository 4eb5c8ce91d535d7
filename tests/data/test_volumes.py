"""Volumes in files: what is read is the same however it is stored, and bad files are refused."""

import gzip
import itertools
import struct

import nibabel
import numpy as np
import pytest

from medadv_jax.data import volumes
from medadv_jax.data.structures import FREESURFER, to_structures

SPACING = np.diag([1.0, 2.0, 3.0, 1.0])
IDS = (0, 2, 3, 41, 16)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 1000, (4, 5, 6)).astype(np.float32)


@pytest.fixture
def ids():
    return np.random.default_rng(1).choice(np.array(IDS, np.int32), (4, 5, 6))


@pytest.fixture
def pair(tmp_path, pixels, ids, write_volume):
    """An image and its labels as they should be."""
    return (
        write_volume(tmp_path / "t1.nii.gz", pixels),
        write_volume(tmp_path / "aseg.nii.gz", ids),
    )


def read(pair):
    return volumes.read(*pair, FREESURFER)


def same(one, other):
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_allclose(one.spacing, other.spacing, rtol=1e-6)


def stored_otherwise(array, order, flips):
    """An array with its axes in another order and direction, and its affine."""
    affine = SPACING.copy()
    for axis in flips:
        step = np.diag([-1.0 if i == axis else 1.0 for i in range(4)])
        step[axis, 3] = array.shape[axis] - 1
        affine = affine @ step
    swap = np.zeros((4, 4))
    swap[3, 3] = 1
    for new, old in enumerate(order):
        swap[old, new] = 1
    turned = np.flip(array, flips) if flips else array
    return np.ascontiguousarray(turned.transpose(order)), affine @ swap


def test_values(pair, pixels, ids):
    volume = read(pair)
    low, high = np.percentile(pixels[pixels != 0], (0.5, 99.5))
    expected = np.clip((pixels - low) / (high - low), 0, 1)
    np.testing.assert_allclose(volume.image, expected, atol=1e-6)
    assert volume.image.dtype == np.float32
    np.testing.assert_array_equal(volume.label, to_structures(ids, FREESURFER, ""))
    assert volume.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (0, 1), (0, 1, 2)])
def test_any_orientation_gives_the_same_volume(
    tmp_path, pair, pixels, ids, write_volume, order, flips
):
    # The image is stored anew, the labels stay in RAS: only the turned grids must agree.
    turned = write_volume(tmp_path / "turned.nii", *stored_otherwise(pixels, order, flips))
    same(volumes.read(turned, pair[1], FREESURFER), read(pair))


def test_a_tilted_volume_is_turned_to_the_closest_axes(tmp_path, pair, pixels, ids, write_volume):
    tilt = np.eye(4)
    tilt[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    files = []
    for name, array in (("a.nii", pixels), ("b.nii", ids)):
        turned, affine = stored_otherwise(array, (2, 0, 1), (1,))
        files.append(write_volume(tmp_path / name, turned, tilt @ affine))
    same(read(files), read(pair))


def test_mgz_equals_nifti(tmp_path, pair, pixels, ids, write_volume):
    turned = [stored_otherwise(array, (0, 2, 1), (0, 2)) for array in (pixels, ids)]
    files = [
        write_volume(tmp_path / "T1.mgz", *turned[0]),
        write_volume(tmp_path / "aseg.mgz", turned[1][0].astype(np.uint8), turned[1][1]),
    ]
    same(read(files), read(pair))


def test_a_trailing_axis_of_one_and_labels_in_floats(tmp_path, pair, pixels, ids, write_volume):
    files = (
        write_volume(tmp_path / "a.nii", pixels[..., None]),
        write_volume(tmp_path / "b.nii", ids[..., None, None].astype(np.float64)),
    )
    same(read(files), read(pair))


def test_scaled_integers_are_what_they_stand_for(tmp_path, pair, pixels, write_volume):
    path = write_volume(tmp_path / "a.nii", pixels.astype(np.int16))
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", 0.5, 0.0)  # scl_slope, scl_inter
    path.write_bytes(content)
    # Percentiles do not know the unit.
    np.testing.assert_allclose(read((path, pair[1])).image, read(pair).image, atol=1e-6)


def refused(pair, rule, kind=ValueError):
    with pytest.raises(kind, match=rule):
        read(pair)


def test_grids_that_disagree(tmp_path, pair, pixels, ids, write_volume):
    image, label = pair
    refused((image, write_volume(tmp_path / "b.nii", ids[1:])), r"b.nii has the shape \(3, 5, 6\)")
    moved = SPACING.copy()
    moved[0, 3] = 0.06
    refused((image, write_volume(tmp_path / "c.nii", ids, moved)), "c.nii and .*0.06 mm apart")
    moved[0, 3] = 0.04  # a rounded affine
    read((image, write_volume(tmp_path / "d.nii", ids, moved)))
    stretched = SPACING @ np.diag([1, 1, 1.01, 1])
    refused((image, write_volume(tmp_path / "e.nii", ids, stretched)), "0.15 mm apart")


@pytest.mark.parametrize(
    "change, rule",
    [
        (lambda ids: np.where(ids == 16, 19, ids), "b.nii: the label ids 19 are not in the table"),
        (lambda ids: ids + 0.5, "b.nii holds the label .*5; labels are integers"),
        (lambda ids: np.stack([ids, ids], -1), r"b.nii has the shape \(4, 5, 6, 2\).*three axes"),
        (lambda ids: ids[0], r"b.nii has the shape \(5, 6\).*three axes"),
        (lambda ids: np.where(ids == 16, np.nan, ids), "b.nii has .* NaN or infinite"),
        (lambda ids: ids * 1j, "b.nii has voxels of complex128; they are real"),
    ],
)
def test_bad_labels(tmp_path, pair, ids, write_volume, change, rule):
    refused((pair[0], write_volume(tmp_path / "b.nii", change(ids))), rule)


@pytest.mark.parametrize(
    "change, rule",
    [
        (lambda pixels: np.where(pixels > 900, np.inf, pixels), "a.nii has .* NaN or infinite"),
        (lambda pixels: pixels * 0, "a.nii is constant"),
        (lambda pixels: pixels * 0 + 7, "a.nii is constant.* both 7"),
    ],
)
def test_bad_images(tmp_path, pair, pixels, write_volume, change, rule):
    changed = change(pixels).astype(np.float32)
    refused((write_volume(tmp_path / "a.nii", changed), pair[1]), rule)


def test_missing_and_foreign_files(tmp_path, pair):
    image, label = pair
    refused((tmp_path / "no.nii", label), "no.nii is missing", FileNotFoundError)
    for name, content in {
        "text.nii": b"no header" * 99,
        "empty.nii": b"",
        "text.mgz": gzip.compress(b"\7" * 999),
        "short.mgz": gzip.compress(b"\0\0\0\1"),
    }.items():
        (tmp_path / name).write_bytes(content)
        refused((tmp_path / name, label), f"{name} has no header of NIfTI or MGZ")
    (tmp_path / "text.nii.gz").write_bytes(b"no gzip" * 99)
    refused((tmp_path / "text.nii.gz", label), "text.nii.gz is not a whole gzip file")
    (tmp_path / "a.img").write_bytes(b"")
    refused((tmp_path / "a.img", label), "a.img: the name of a volume ends in one of .nii")


@pytest.mark.parametrize("name", ["t1.nii.gz", "t1.mgz"])
@pytest.mark.parametrize("cut", [-9, 0.6])
def test_a_truncated_gzip(tmp_path, pair, pixels, write_volume, name, cut):
    path = write_volume(tmp_path / name, pixels)
    content = path.read_bytes()
    path.write_bytes(content[: cut if cut < 0 else int(len(content) * cut)])
    refused((path, pair[1]), f"{name} is not a whole gzip file")


def test_a_damaged_gzip(tmp_path, pair):
    content = bytearray(pair[0].read_bytes())
    content[-6] ^= 1  # of the checksum
    (tmp_path / "a.nii.gz").write_bytes(content)
    refused((tmp_path / "a.nii.gz", pair[1]), "not a whole gzip file.*CRC")


@pytest.mark.parametrize("name, rule", [("a.nii", "cannot hold"), ("a.nii.gz", "cannot hold")])
def test_a_header_larger_than_its_file_takes_no_memory(
    tmp_path, pair, pixels, write_volume, name, rule
):
    header = bytearray(write_volume(tmp_path / "b.nii", pixels).read_bytes())
    header[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    write = gzip.compress if name.endswith("gz") else bytes
    (tmp_path / name).write_bytes(write(header))
    refused((tmp_path / name, pair[1]), rf"{name}: the header declares 1080000\d+ bytes.*{rule}")


def test_a_gzip_shorter_than_its_header_says(tmp_path, pair, pixels, write_volume):
    content = write_volume(tmp_path / "b.nii", pixels).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[:-40]))
    refused((tmp_path / "a.nii.gz", pair[1]), "a.nii.gz: the header declares 832 .* has 792")


def test_a_volume_that_does_not_say_where_left_is(tmp_path, pair, pixels):
    for change, rule in {
        lambda image: image.set_sform(None, 0) or image.set_qform(None, 0): "neither sform_code",
        lambda image: image.header.set_xyzt_units("micron"): "measures space in micron",
    }.items():
        image = nibabel.Nifti1Image(pixels, SPACING)
        change(image)
        nibabel.save(image, tmp_path / "a.nii")
        refused((tmp_path / "a.nii", pair[1]), rule)


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
@pytest.mark.parametrize("flag", [0, -1])
def test_an_mgh_that_does_not_say_where_left_is(tmp_path, pair, pixels, write_volume, name, flag):
    content = bytearray(write_volume(tmp_path / "b.mgh", pixels).read_bytes())
    assert struct.unpack(">h", content[28:30]) == (1,)
    content[28:30] = struct.pack(">h", flag)
    write = gzip.compress if name.endswith("mgz") else bytes
    (tmp_path / name).write_bytes(write(content))
    refused((tmp_path / name, pair[1]), f"{name} has goodRASFlag {flag}: which side is left")


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
@pytest.mark.parametrize(
    "shape, rule",
    [
        ((30000, 30000, 30000, 1), r"declares 108000000000284 bytes, shape \(30000, 30000, 30000"),
        ((30000, 30000, 30000, 0), r"declares 108000000000284 bytes, shape \(30000, 30000, 30000"),
        ((-4, 5, 6, 1), r"has the shape \(-4, 5, 6\); a volume has three axes"),
        ((4, 5, 3, 2), r"has the shape \(4, 5, 3, 2\); a volume has three axes"),
    ],
)
def test_an_mgh_header_of_another_shape(tmp_path, pair, pixels, write_volume, name, shape, rule):
    content = bytearray(write_volume(tmp_path / "b.mgh", pixels).read_bytes())
    content[4:20] = struct.pack(">4i", *shape)
    write = gzip.compress if name.endswith("mgz") else bytes
    (tmp_path / name).write_bytes(write(content))
    refused((tmp_path / name, pair[1]), f"{name}:? .*{rule}")


def two_forms(path, pixels, change, codes=(1, 1)):
    """Writes an image whose qform is another affine than its sform."""
    image = nibabel.Nifti1Image(pixels, SPACING)
    image.set_qform(change @ SPACING, codes[0])
    image.set_sform(SPACING, codes[1])
    nibabel.save(image, path)
    return path


def test_two_orientations_that_disagree(tmp_path, pair, pixels):
    path, tilt = tmp_path / "a.nii", np.eye(4)
    refused(
        (two_forms(path, pixels, np.diag([-1.0, 1, 1, 1])), pair[1]),
        r"a.nii: qform \[\[-1.* \(LAS, code 1\) and sform .* \(RAS, code 1\) .* 6 voxels apart",
    )
    tilt[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    refused((two_forms(path, pixels, tilt), pair[1]), r"qform .*RAS.*sform .*RAS.*2.5 voxels apart")
    two_spaces = two_forms(path, pixels, tilt, codes=(1, 4))  # the scanner's and a template's
    same(read((two_spaces, pair[1])), read(pair))
    for place, away in enumerate((1.1, 2.2, 3.3)):
        moved = np.eye(4)
        moved[place, 3] = away
        refused((two_forms(path, pixels, moved), pair[1]), "a corner 1.1 voxels apart")
        moved[place, 3] = away * 0.8
        same(read((two_forms(path, pixels, moved), pair[1])), read(pair))
    flat = np.diag([-1.0, 1, 1, 1])  # of the thinnest side, which puts no corner far away
    flat[0, 3] = 1
    refused((two_forms(path, pixels[:2], flat), pair[1]), "LAS.*RAS.* 1 voxels apart")
    for codes in ((0, 1), (0, 2)):  # a qform that does not count
        same(read((two_forms(path, pixels, np.diag([-1.0, 1, 1, 1]), codes), pair[1])), read(pair))


def test_a_qform_that_is_no_rotation(tmp_path, pair, pixels):
    whole = two_forms(tmp_path / "a.nii", pixels, np.eye(4)).read_bytes()
    for start, numbers in {256: (1, 1, 1), 80: (np.nan,)}.items():  # quatern_b, _c, _d; pixdim[1]
        content = bytearray(whole)
        content[start : start + 4 * len(numbers)] = struct.pack(f"<{len(numbers)}f", *numbers)
        (tmp_path / "a.nii").write_bytes(content)
        refused((tmp_path / "a.nii", pair[1]), "a.nii has a qform that is no rotation")


def test_a_flat_affine(tmp_path, pair, pixels):
    image = nibabel.Nifti1Image(pixels, SPACING)
    image.header["srow_x"] = 0
    content = bytearray(image.to_bytes())
    content[280:296] = bytes(16)  # srow_x
    (tmp_path / "a.nii").write_bytes(content)
    refused((tmp_path / "a.nii", pair[1]), "must be invertible")
