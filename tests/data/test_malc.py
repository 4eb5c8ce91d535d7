"""The layout of the MICCAI 2012 multi-atlas challenge."""

import gzip

import pytest

from medadv_jax import data
from medadv_jax.data.structures import NAMES

TRAINING = ("1000_3", "1001_3", "1001_4", "1002_3")
TESTING = ("1003_3", "1004_3")
IDS = (45, 44, 101, 100, 59, 35, 63)


@pytest.fixture
def tree(tmp_path, write_scan):
    root = tmp_path / "malc"
    for part, names in dict(training=TRAINING, testing=TESTING).items():
        for seed, name in enumerate(names):
            label = root / f"{part}-labels" / f"{name}_glm.nii.gz"
            write_scan(root / f"{part}-images" / f"{name}.nii.gz", label, IDS, seed)
    (root / "training-images" / "notes.txt").write_text("passed over")
    return root


def load(root, split="train", **options):
    return data.load("malc", split, root, **options)


def test_official_parts_and_subjects_together(tree, cache):
    for seed in range(4):
        parts = [
            set(load(tree, split, validation=1, seed=seed).column("scan"))
            for split in ("train", "validation", "test")
        ]
        assert parts[2] == set(TESTING) and parts[0] | parts[1] == set(TRAINING)
        assert not parts[0] & parts[1]
        assert any({"1001_3", "1001_4"} <= part for part in parts[:2])
    source = load(tree, "test", validation=2)
    assert set(source.column("subject")) == {"1003", "1004"} and source.group == "subject"
    assert source.class_names == NAMES and len(source) == 2 * 6
    found = {NAMES[int(i)] for n in range(12) for i in set(source[n]["label"].ravel())}
    assert found == {
        *("background", "left-cerebral-white-matter", "right-cerebral-white-matter"),
        *("left-cerebral-cortex", "right-cerebral-cortex", "right-thalamus", "brain-stem"),
    }


def test_refusals(tree, cache, write_scan):
    for validation in (0, 3):
        with pytest.raises(ValueError, match=f"validation is from 1 to 2.* got {validation}"):
            load(tree, validation=validation)
    label = tree / "testing-labels" / "1004_3_glm.nii.gz"
    moved = label.rename(tree / "testing-labels" / "1005_3_glm.nii.gz")
    with pytest.raises(FileNotFoundError, match="1004_3_glm.nii.gz is missing"):
        load(tree, validation=1)
    moved.rename(label)
    image = tree / "testing-images" / "1004_3.nii.gz"
    image.rename(tree / "1004_3.nii.gz")
    with pytest.raises(FileNotFoundError, match="1004_3_glm.nii.gz has no image"):
        load(tree, validation=1)
    (tree / "1004_3.nii.gz").rename(image)
    extra = [
        tree / f"testing-{kind}" / f"1000_4{end}"
        for kind, end in (("images", ""), ("labels", "_glm"))
    ]
    write_scan(*(path.with_name(f"{path.name}.nii.gz") for path in extra), IDS)
    with pytest.raises(
        ValueError, match="1000_4.nii.gz: subject 1000 is in test and in (train|val)"
    ):
        load(tree, validation=1)


def test_a_scan_stored_twice(tree, cache):
    image = tree / "training-images" / "1000_3.nii.gz"
    image.with_name("1000_3.nii").write_bytes(gzip.decompress(image.read_bytes()))
    with pytest.raises(ValueError, match="1000_3.nii.* and .*1000_3.nii.* are the same scan twice"):
        load(tree, validation=1)


def test_missing_folders(tree, cache):
    (tree / "testing-labels").rename(tree / "labels")
    with pytest.raises(FileNotFoundError, match="testing-labels is missing. Get the data from"):
        load(tree)
    for path in (tree / "training-images").iterdir():
        path.unlink()
    for path in (tree / "training-labels").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="training-images holds no image named like 1000_3.nii.gz"):
        load(tree)
