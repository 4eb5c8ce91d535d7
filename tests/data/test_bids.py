"""A BIDS tree: what belongs together, what ids mean, who is in which split."""

import shutil

import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import bids, sampling, structures
from medadv_jax.data.slices import stacked

TABLE = (
    "index\tname\tstructure27",
    "0\tair\tbackground",
    "7\tx\tleft-thalamus",
    "9\ty\tbrain-stem",
)
PEOPLE = ("participant_id\tage\tsex", "sub-01\t61.5\tF", "sub-02\tn/a\tn/a")
SUBJECTS = ("sub-01", "sub-02", "sub-03", "sub-04")


@pytest.fixture(scope="session")
def tree(tmp_path_factory, write_scan):
    """Four subjects, the third with two sessions, labels of a pipeline with a table."""
    root = tmp_path_factory.mktemp("bids")
    derivative = root / "derivatives" / "seg"
    for number, name in enumerate([*SUBJECTS[:2], "sub-03_ses-a", "sub-03_ses-b", SUBJECTS[3]]):
        folder = f"{name.replace('_', '/')}/anat"
        image = root / folder / f"{name}_T1w.nii.gz"
        write_scan(image, derivative / folder / f"{name}_desc-x_dseg.nii.gz", (7, 9), number)
    (derivative / "desc-x_dseg.tsv").write_text("\n".join(TABLE))
    (root / "participants.tsv").write_text("\n".join(PEOPLE))
    return root


@pytest.fixture
def copy(tree, tmp_path):
    """A tree of one's own to spoil."""
    return shutil.copytree(tree, tmp_path / "bids")


def load(root, split="train", **options):
    return data.load("bids", split, root, **options)


def every(root, **options):
    return [load(root, split, **options) for split in ("train", "validation", "test")]


def test_every_subject_is_in_one_split(tree, cache, untouched):
    before = untouched(tree)
    sources = every(tree)
    assert untouched(tree) == before
    subjects = [set(source.column("subject")) for source in sources]
    assert sum(map(len, subjects)) == 4 and set.union(*subjects) == set(SUBJECTS)
    assert sum(map(len, sources)) == 5 * 6  # scans times coronal slices
    (third,) = [source for source in sources if "sub-03" in source.column("subject")]
    own = third.select(third.column("subject") == "sub-03")
    assert own.column("session").tolist() == ["a"] * 6 + ["b"] * 6
    assert own.column("slice").tolist() == [*range(6)] * 2
    assert set(own.column("scan")) == {"sub-03_ses-a", "sub-03_ses-b"}
    assert (third.group, third.class_names) == ("subject", structures.NAMES)
    others = [set(source.column("subject")) for source in every(tree, seed=3)]
    assert others != subjects


def test_records_and_what_is_known_of_people(tree, cache):
    records = {}
    for source in every(tree, plane="axial"):
        for number in range(len(source)):
            record = source[number]
            records[record["scan"], record["slice"]] = record
    first, second, fourth = (records[name, 3] for name in ("sub-01", "sub-02", "sub-04"))
    assert (first["age"], first["sex"], first["session"]) == (61.5, "F", "")
    assert np.isnan(second["age"]) and second["sex"] == ""
    assert np.isnan(fourth["age"]) and fourth["sex"] == ""
    rng = np.random.default_rng(1)  # as `write_scan` drew sub-02
    pixels = rng.integers(0, 1000, (5, 6, 7)).astype(np.float32)
    ids = rng.choice(np.array([0, 7, 9]), (5, 6, 7))
    image = stacked(sampling.scaled(pixels, ""), "axial")[3]
    np.testing.assert_allclose(second["image"][..., 0], image, atol=1e-5)
    numbers = np.select([ids == 7, ids == 9], [6, 27])
    np.testing.assert_array_equal(second["label"], stacked(numbers, "axial")[3])
    assert second["foreground"] == np.count_nonzero(second["label"])
    assert [second[f"spacing_{i}"] for i in range(3)] == [2.0, 1.0, 3.0]


def test_volumes_and_spacing(tree, cache):
    source = load(tree, "test", plane="volume", spacing=2)
    assert len(source) == len(set(source.column("scan")))
    record = source[0]
    assert record["image"].shape == (6, 10, 2, 1) and record["label"].shape == (6, 10, 2)
    assert [record[f"spacing_{i}"] for i in range(3)] == [2.0, 2.0, 2.0]
    assert len(load(tree, "test", spacing=4.0)) == 3 * len(source)
    (batch,) = data.batches(source.select([0]), 1, image_size=8)
    assert batch.images.shape == (1, 8, 8, 8, 1)


def test_labels_by_a_named_numbering(copy, cache, write_scan):
    table = copy / "derivatives" / "seg" / "desc-x_dseg.tsv"
    table.unlink()
    with pytest.raises(
        ValueError, match="desc 'x' mean is said neither by labels=.*muse.*dseg.tsv"
    ):
        load(copy)
    with pytest.raises(ValueError, match="labels is one of freesurfer.*'aseg'"):
        load(copy, labels="aseg")
    with pytest.raises(ValueError, match="the label ids 9 are not in the table"):
        load(copy, labels="freesurfer")
    for number, path in enumerate(sorted(copy.rglob("*_T1w.nii.gz"))):
        place = path.parent.relative_to(copy)
        label = copy / "derivatives/seg" / place / path.name.replace("T1w", "desc-x_dseg")
        write_scan(path, label, (7, 46), number)
    source = load(copy, labels="freesurfer")
    assert set(np.unique(source[0]["label"])) == {0, 4, 16}


def test_labels_that_the_table_lacks(copy, cache):
    table = copy / "derivatives" / "seg" / "desc-x_dseg.tsv"
    table.write_text("\n".join(TABLE[:3]))
    with pytest.raises(
        ValueError, match="_desc-x_dseg.nii.gz: the label ids 9 are not in the table"
    ):
        load(copy)
    table.rename(copy / "dseg.tsv")
    (copy / "dseg.tsv").write_text("\n".join(TABLE))
    assert len(load(copy))


@pytest.mark.parametrize(
    "line, rule",
    [
        ("9\ty\tbrainstem", "dseg.tsv, line 4: structure27 is one of background.*'brainstem'"),
        ("9.5\ty\tbrain-stem", "line 4: index is a whole number from 0, got '9.5'"),
        ("7\ty\tbrain-stem", "line 4: index '7' stands already in line 3"),
    ],
)
def test_a_bad_label_table(copy, cache, line, rule):
    table = copy / "derivatives" / "seg" / "desc-x_dseg.tsv"
    table.write_text("\n".join([*TABLE[:3], line]))
    with pytest.raises(ValueError, match=rule):
        load(copy)


def test_what_fmriprep_writes_needs_no_table(copy, cache):
    derivative = copy / "derivatives" / "seg"
    (derivative / "desc-x_dseg.tsv").write_text("index\tname\n0\ta\n7\tb\n9\tc")
    for path in [*derivative.rglob("*_desc-x_dseg.nii.gz")]:
        template = path.name.replace("_desc-x", "_space-MNI_desc-x")
        shutil.copy(path, path.with_name(template))
        path.rename(path.with_name(path.name.replace("desc-x", "desc-muse")))
    with pytest.raises(ValueError, match="the label ids 7, 9 are not in the table"):
        load(copy)  # the labels in MNI space are passed over


def test_a_subject_that_lacks_a_file(copy, cache):
    label = copy / "derivatives/seg/sub-02/anat/sub-02_desc-x_dseg.nii.gz"
    content = label.read_bytes()
    label.unlink()
    with pytest.raises(FileNotFoundError, match="sub-02_T1w.nii.gz has no labels"):
        load(copy)
    label.write_bytes(content)
    (copy / "sub-01/anat/sub-01_T1w.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"sub-01 has no anat/\*_T1w"):
        load(copy)
    shutil.rmtree(copy / "sub-01")
    with pytest.raises(FileNotFoundError, match="sub-01_desc-x_dseg.nii.gz has no image"):
        load(copy)


def test_several_candidates(copy, cache):
    derivatives = copy / "derivatives"
    label = derivatives / "seg/sub-02/anat/sub-02_desc-x_dseg.nii.gz"
    twice = label.with_name("sub-02_res-1_desc-x_dseg.nii.gz")
    shutil.copy(label, twice)
    with pytest.raises(ValueError, match="sub-02_T1w.nii.gz has several labels: .*res-1"):
        load(copy)
    twice.rename(label.with_name("sub-02_desc-y_dseg.nii.gz"))
    with pytest.raises(ValueError, match=r"seg has .* desc \['x', 'y'\]; desc= names one"):
        load(copy)
    assert len(load(copy, desc="x"))
    shutil.copytree(derivatives / "seg", derivatives / "other")
    with pytest.raises(ValueError, match=r"2 folders \['other', 'seg'\]; give pipeline="):
        load(copy)
    assert len(load(copy, desc="x", pipeline="other"))
    with pytest.raises(FileNotFoundError, match="derivatives/third is missing"):
        load(copy, pipeline="third")


@pytest.fixture
def add(copy, write_scan):
    """Adds an image, labels, or both, to the first subject."""

    def write(image=None, label=None, seed=7):
        spare = copy.parent / "spare.nii.gz"
        image = copy / f"sub-01/anat/sub-01_{image}" if image else spare
        folder = copy / "derivatives/seg/sub-01/anat"
        write_scan(image, folder / f"sub-01_{label}" if label else spare, (7, 9), seed)

    return write


def pairs(root):
    """Names of the images and of their labels."""
    images, labels = bids._files(root, "T1w"), bids._files(root / "derivatives/seg", "dseg")
    found = bids._pairs(root, root / "derivatives/seg", images, labels)
    return {one.name[:-7]: other.name[:-12] for one, other in found}


def test_each_of_two_runs_has_its_own_labels(copy, cache, add):
    add("run-2_T1w.nii.gz", "run-2_desc-x_dseg.nii.gz")
    assert pairs(copy) == {
        "sub-01_T1w": "sub-01_desc-x",
        "sub-01_run-2_T1w": "sub-01_run-2_desc-x",
        **{f"{name}_T1w": f"{name}_desc-x" for name in SUBJECTS[1::2]},
        **{f"sub-03_ses-{ses}_T1w": f"sub-03_ses-{ses}_desc-x" for ses in "ab"},
    }
    assert sum(map(len, every(copy))) == 6 * 6
    (copy / "derivatives/seg/sub-01/anat/sub-01_desc-x_dseg.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match="sub-01_T1w.nii.gz has no labels"):
        load(copy)  # those of run 2 are not its own


def test_labels_with_further_entities(copy, cache, add):
    (copy / "derivatives/seg/sub-01/anat/sub-01_desc-x_dseg.nii.gz").unlink()
    add(label="atlas-a_space-T1w_desc-x_dseg.nii.gz")
    assert pairs(copy)["sub-01_T1w"] == "sub-01_atlas-a_space-T1w_desc-x"
    add(label="atlas-b_desc-x_dseg.nii.gz")
    with pytest.raises(ValueError, match="sub-01_T1w.nii.gz has several labels: .*atlas-b"):
        load(copy)


def test_labels_of_two_images(copy, cache, add):
    add("desc-x_T1w.nii.gz")
    with pytest.raises(ValueError, match="_dseg.nii.gz would label both .*_T1w.* and .*_T1w"):
        load(copy)


def test_a_scan_stored_twice(copy, cache, add):
    add("T1w.nii")
    with pytest.raises(ValueError, match="sub-01_T1w.nii.* and .*sub-01_T1w.nii.* same scan twice"):
        load(copy)
    (copy / "sub-01/anat/sub-01_T1w.nii").unlink()
    add(label="desc-x_dseg.nii")
    with pytest.raises(ValueError, match="sub-01_T1w.nii.gz has several labels"):
        load(copy)


def test_an_age_cut_off_for_privacy(copy, cache, write_csv):
    write_csv(copy / "participants.tsv", PEOPLE[0], *(f"{name}\t89+\tF" for name in SUBJECTS))
    assert set(load(copy).column("age")) == {89.0}


def test_a_label_table_without_zero(copy, cache):
    with_zero = [source.fingerprint for source in every(copy)]
    table = copy / "derivatives" / "seg" / "desc-x_dseg.tsv"
    table.write_text("\n".join([TABLE[0], *TABLE[2:]]))
    assert [source.fingerprint for source in every(copy)] == with_zero


def test_other_refusals(copy, cache, write_csv):
    for options, rule in {
        ("plane", "frontal"): "plane is one of",
        ("spacing", -1.0): "spacing is above 0 mm",
        ("fractions", (0.5, 0.5, 0.5)): "fractions are three shares",
        ("fractions", (0.5, 0.5, 0.0)): "fractions are three shares",
    }.items():
        with pytest.raises(ValueError, match=rule):
            load(copy, **dict([options]))
    write_csv(copy / "participants.tsv", PEOPLE[0], "sub-01\told\tF")
    with pytest.raises(ValueError, match="participants.tsv, line 2: age is a number or empty, got"):
        load(copy)
    for subject in SUBJECTS[1:3]:
        shutil.rmtree(copy / subject)
        shutil.rmtree(copy / "derivatives/seg" / subject)
    (copy / "participants.tsv").unlink()
    with pytest.raises(ValueError, match=r"subjects \['sub-01', 'sub-04'\]; a division .* 3"):
        load(copy)


def test_a_changed_file_is_prepared_anew(copy, cache, write_scan):
    prints = lambda **options: [source.fingerprint for source in every(copy, **options)]
    first = prints()
    assert prints() == first
    image = copy / "sub-01/anat/sub-01_T1w.nii.gz"
    label = copy / "derivatives/seg/sub-01/anat/sub-01_desc-x_dseg.nii.gz"
    write_scan(image, label, (7, 9), 9)
    changed = [one != other for one, other in zip(first, prints(), strict=True)]
    assert sorted(changed) == [False, False, True], "the split of the changed subject"
    assert not set(prints(plane="axial")) & set(prints())
