"""A subjects directory of FreeSurfer."""

import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data.structures import NAMES

SUBJECTS = ("bert", "sub-01_ses-1", "sub-01_ses-2", "t1", "t1.long.base", "base")
IDS = (2, 3, 5, 44, 16, 77)


@pytest.fixture
def tree(tmp_path, write_scan, write_volume):
    root = tmp_path / "subjects"
    for seed, name in enumerate(SUBJECTS):
        mri = root / name / "mri"
        _, ids = write_scan(mri / "T1.mgz", mri / "aseg.mgz", IDS, seed)
        write_volume(mri / "norm.mgz", np.where(ids > 0, ids + seed, 0).astype(np.uint8))
        parcels = np.where(ids == 3, 1012, ids).astype(np.int32)
        write_volume(mri / "aparc+aseg.mgz", parcels)
    (root / "fsaverage" / "mri").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "log.txt").write_text("no folder")
    return root


def load(root, split="train", **options):
    return data.load("freesurfer", split, root, **options)


def structures_of(source):
    return {NAMES[int(i)] for n in range(len(source)) for i in np.unique(source[n]["label"])}


def test_scans_of_one_subject_stay_together(tree, cache):
    sources = [load(tree, split) for split in ("train", "validation", "test")]
    members = {
        subject: set(source.column("scan")[source.column("subject") == subject])
        for source in sources
        for subject in set(source.column("subject"))
    }
    assert members == {
        "bert": {"bert"},
        "sub-01": {"sub-01_ses-1", "sub-01_ses-2"},
        "base": {"t1", "t1.long.base", "base"},
    }
    assert sum(len(set(source.column("subject"))) for source in sources) == 3
    assert structures_of(sources[0]) == {
        *("background", "left-cerebral-white-matter", "left-cerebral-cortex", "brain-stem")
    }


def test_options(tree, cache):
    horns = load(tree, labels="aparc+aseg", horns=True, image="norm")
    plain = load(tree)
    assert structures_of(horns) - structures_of(plain) == {
        *("left-lateral-ventricle", "right-lateral-ventricle")
    }
    assert horns[0]["image"].shape == plain[0]["image"].shape == (7, 5, 1)
    assert np.abs(horns[0]["image"] - plain[0]["image"]).max() > 0.1
    with pytest.raises(ValueError, match="image is one of T1, norm, orig .*'brain' and 'aseg'"):
        load(tree, image="brain")
    with pytest.raises(ValueError, match="labels one of aseg"):
        load(tree, labels="wmparc")


def test_a_subject_that_lacks_a_file(tree, cache):
    with pytest.raises(FileNotFoundError, match="base/mri/orig.mgz is missing"):
        load(tree, image="orig")
    (tree / "bert" / "mri" / "aseg.mgz").unlink()
    with pytest.raises(FileNotFoundError, match="bert/mri/aseg.mgz is missing"):
        load(tree)


def test_strange_ids(tree, cache, write_volume):
    write_volume(tree / "bert" / "mri" / "aseg.mgz", np.full((5, 6, 7), 1012, np.int32))
    with pytest.raises(ValueError, match="bert/mri/aseg.mgz: the label ids 1012"):
        load(tree)
