"""A subjects directory of FreeSurfer."""

import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import freesurfer
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


@pytest.mark.parametrize(
    "names, pattern, groups",
    [
        ("OAS1_0003_MR1 OAS1_0003_MR2 OAS1_0004_MR1", None, "0 0 1"),
        ("OAS30001_MR_d0129 OAS30001_MR_d0757 OAS30002_MR_d0001", None, "0 0 1"),
        ("A_ses-1 A_ses-2_run-1 A AD_S01 AD_S02 002_S_0295 002_S_0413", None, "0 0 0 1 2 3 4"),
        ("sub-01 sub-01_acq-x sub-02_ses-1", None, "0 0 1"),
        ("sub-01_ses-1 sub-01_ses-1.long.sub-01_base sub-01_base sub-01_ses-2", None, "0 0 0 0"),
        ("s1 s1.long.base s2 sub-01_ses-1.long.base sub-01_ses-2 base", None, "0 0 1 0 0 0"),
        ("a.long.b c a.long.d b d x x.long.d", None, "0 1 0 0 0 0 0"),
        ("a.long.b c.long.d b.long.d", None, "0 0 0"),
        ("p1x p1y p2 p2.long.base base", r"(p\d).*", "0 0 1 1 1"),
        ("A_ses-1 A_ses-2", "(.*)", "0 1"),
    ],
)
def test_names_of_one_subject(names, pattern, groups):
    names, groups = names.split(), groups.split()
    for order in (1, -1):
        found = freesurfer._subjects(names[::order], pattern)
        assert [[found[one] == found[two] for two in names] for one in names] == [
            [one == two for two in groups] for one in groups
        ], found


def test_no_subject_is_in_two_splits(tmp_path, cache, write_scan):
    names = [f"OAS1_000{subject}_MR{scan}" for subject in range(1, 6) for scan in (1, 2)]
    for seed, name in enumerate(names):
        mri = tmp_path / "oasis" / name / "mri"
        write_scan(mri / "T1.mgz", mri / "aseg.mgz", IDS, seed)
    for seed in range(3):
        parts = [
            {name[:9] for name in load(tmp_path / "oasis", split, seed=seed).column("scan")}
            for split in ("train", "validation", "test")
        ]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 5
    source = load(tmp_path / "oasis", subject=r"OAS1_(\d+)_MR\d")
    assert set(source.column("subject")) < {f"000{subject}" for subject in range(1, 6)}


def test_another_grouping_is_prepared_anew(tree, cache, monkeypatch):
    subjects = set(load(tree).column("subject"))
    monkeypatch.setattr(freesurfer, "SUBJECT", "(.{2}).*")
    assert not subjects & set(load(tree).column("subject"))


@pytest.mark.parametrize(
    "pattern, rule",
    [
        (r"(sub-\d+)_.*", "The folder bert does not match subject="),
        (r"(x?).*", "bert does not match subject=.*empty group"),
        (r"\w+", "subject has one group, got .* which has 0"),
        (r"(", "subject is a regular expression, got"),
    ],
)
def test_a_bad_pattern(tree, cache, pattern, rule):
    with pytest.raises(ValueError, match=rule):
        load(tree, subject=pattern)


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


def test_an_empty_folder(tmp_path, cache):
    with pytest.raises(ValueError, match=r"has the subjects \[\]"):
        load(tmp_path)


def test_strange_ids(tree, cache, write_volume):
    write_volume(tree / "bert" / "mri" / "aseg.mgz", np.full((5, 6, 7), 1012, np.int32))
    with pytest.raises(ValueError, match="bert/mri/aseg.mgz: the label ids 1012"):
        load(tree)
