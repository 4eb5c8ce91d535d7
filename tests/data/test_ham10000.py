import os
import pathlib
import shutil

import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import ham10000
from medadv_jax.data.splits import SPLITS

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"
REAL = pathlib.Path(
    os.environ.get("MEDADV_HAM10000")
    or pathlib.Path(__file__).parents[2] / "../shared/data/ham10000"
).resolve()


@pytest.fixture
def tree(tmp_path, write_image, write_csv):
    """Two images of each of five lesions of each class, in the published layout."""
    folder, rows = tmp_path / "ham10000", []
    for number in range(70):
        lesion, dx = number // 2, ham10000.CLASS_NAMES[number // 10]
        name = f"ISIC_{number:07d}"
        write_image(folder / f"HAM10000_images_part_{1 + number % 2}" / f"{name}.jpg", number)
        age = "" if number == 3 else "50.0"
        rows.append(f"HAM_{lesion:07d},{name},{dx},histo,{age},male,back")
    write_csv(folder / "HAM10000_metadata.csv", HEADER, *rows)
    return folder


def change(tree, line, old, new):
    """Changes a line of the table, the header being line 1."""
    path = tree / "HAM10000_metadata.csv"
    lines = path.read_text().splitlines()
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines) + "\n")


def test_the_tree_is_read_and_not_touched(tree, cache, untouched):
    before = untouched(tree)
    sources = {split: data.load("ham10000", split, tree) for split in SPLITS}
    assert untouched(tree) == before
    assert sum(map(len, sources.values())) == 70
    lesions = [set(source.column("lesion_id")) for source in sources.values()]
    assert len(set.union(*lesions)) == sum(map(len, lesions)) == 35
    for source in sources.values():
        assert source.class_names == ham10000.CLASS_NAMES and source.group == "lesion_id"
        for i in range(len(source)):
            record = source[i]
            number = int(record["image_id"][5:])
            assert record["label"] == number // 10 and record["image"].shape == (9, 12, 3)
            assert record["lesion_id"] == f"HAM_{number // 2:07d}"
            assert np.isnan(record["age"]) if number == 3 else record["age"] == 50
            assert (record["sex"], record["site"], record["dx_type"]) == ("male", "back", "histo")
    assert list(cache.rglob("*.array_record*"))
    assert "70 real dermoscopic images" in sources["test"].description


def test_changed_input_and_another_seed_are_prepared_anew(tree, cache, write_image):
    first = data.load("ham10000", "test", tree)
    assert (
        first.column("image_id") == data.load("ham10000", "test", tree).column("image_id")
    ).all()
    other = data.load("ham10000", "test", tree, seed=1)
    assert set(other.column("lesion_id")) != set(first.column("lesion_id"))
    name = first.column("image_id")[0]
    pixels = write_image(next(tree.rglob(f"{name}.jpg")), seed=999, size=(8, 8))
    assert data.load("ham10000", "test", tree)[0]["image"].shape == pixels.shape


def test_one_folder_of_images(tree, cache):
    for part in (1, 2):
        shutil.copytree(
            tree / f"HAM10000_images_part_{part}", tree / "HAM10000_images", dirs_exist_ok=True
        )
        shutil.rmtree(tree / f"HAM10000_images_part_{part}")
    assert len(data.load("ham10000", "train", tree)) > 40


@pytest.mark.parametrize(
    "line, old, new, message",
    [
        (5, "akiec", "wart", "line 5: dx is one of akiec, .*; got 'wart'"),
        (1, "lesion_id", "lesion", "lacks the column 'lesion_id'; it has"),
        (7, "ISIC_0000005", "ISIC_0000004", "line 7: image_id 'ISIC_0000004' .* in line 6"),
        (7, "50.0", "old", "line 7: age is a number or empty, got 'old'"),
        (7, ",male", "", "line 7: 6 fields where the header has 7"),
        (7, "ISIC_0000005", "", "line 7: image_id is empty"),
    ],
)
def test_a_broken_table_is_named_by_line_and_rule(tree, cache, line, old, new, message):
    change(tree, line, old, new)
    with pytest.raises(ValueError, match="HAM10000_metadata.csv.*" + message):
        data.load("ham10000", "train", tree)


def test_a_class_of_one_lesion_is_refused(tree, cache):
    for line in range(4, 12):
        change(tree, line, "akiec", "bcc")
    with pytest.raises(ValueError, match="metadata.csv: Class 'akiec' has 1 groups"):
        data.load("ham10000", "train", tree)


def test_missing_files_are_named_with_where_to_get_them(tree, cache):
    (tree / "HAM10000_images_part_2" / "ISIC_0000005.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="line 7: .* ISIC_0000005.*doi.org/10.7910"):
        data.load("ham10000", "train", tree)
    for part in (1, 2):
        shutil.rmtree(tree / f"HAM10000_images_part_{part}")
    with pytest.raises(FileNotFoundError, match="HAM10000_images_part_1 is missing.*doi.org"):
        data.load("ham10000", "train", tree)
    with pytest.raises(FileNotFoundError, match="HAM10000_metadata.csv is missing.*doi.org"):
        data.load("ham10000", "train", tree / "nowhere")


def test_a_truncated_image_is_named(tree, cache):
    path = tree / "HAM10000_images_part_1" / "ISIC_0000004.jpg"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="ISIC_0000004.jpg is not a whole image"):
        data.load("ham10000", "train", tree)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"HAM10000 is not at {REAL}; set MEDADV_HAM10000")
def test_the_real_table():
    table = ham10000.table(REAL)
    fields = {split: [fields for _, fields in part.start()] for split, part in table.splits.items()}
    assert [len(fields[split]) for split in SPLITS] == pytest.approx((7010, 1001, 2003), abs=5)
    counts = np.bincount([row["label"] for rows in fields.values() for row in rows])
    assert counts.tolist() == [327, 514, 1099, 115, 1113, 6705, 142]
    lesions = [{row["lesion_id"] for row in rows} for rows in fields.values()]
    assert len(set.union(*lesions)) == sum(map(len, lesions)) == 7470
    assert sum(np.isnan(row["age"]) for rows in fields.values() for row in rows) == 57
