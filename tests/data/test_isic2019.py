import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import isic2019
from medadv_jax.data.splits import SPLITS


@pytest.fixture
def tree(tmp_path, write_image, write_csv):
    """Eight images of each class: two of one lesion, two without a lesion number, four others."""
    folder = tmp_path / "isic2019"
    truth = [f"image,{','.join(isic2019.CLASS_NAMES)},UNK"]
    metadata = ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for number in range(64):
        name = f"ISIC_{number:07d}"
        write_image(folder / "ISIC_2019_Training_Input" / f"{name}.jpg", number)
        truth.append(",".join([name, *("1.0" if i == number // 8 else "0.0" for i in range(9))]))
        lesion = {0: "BCN_A", 1: "BCN_A", 2: "", 3: ""}.get(number % 8, f"BCN_{number}")
        lesion = f"{lesion}_{number // 8}" if lesion == "BCN_A" else lesion
        metadata.append(f"{name},{'' if number == 5 else '45.0'},anterior torso,{lesion},female")
    write_csv(folder / "ISIC_2019_Training_GroundTruth.csv", *truth)
    # The two tables need not have one order.
    write_csv(folder / "ISIC_2019_Training_Metadata.csv", metadata[0], *metadata[:0:-1])
    return folder


def test_the_tree(tree, cache, untouched):
    before = untouched(tree)
    sources = [data.load("isic2019", split, tree) for split in SPLITS]
    assert untouched(tree) == before
    assert sum(map(len, sources)) == 64
    lesions = [set(source.column("lesion_id")) for source in sources]
    assert len(set.union(*lesions)) == sum(map(len, lesions)) == 56
    for source in sources:
        assert source.class_names == isic2019.CLASS_NAMES
        for i in range(len(source)):
            record = source[i]
            number = int(record["image_id"][5:])
            assert record["label"] == number // 8
            assert np.isnan(record["age"]) if number == 5 else record["age"] == 45
            assert (record["sex"], record["site"]) == ("female", "anterior torso")
            if number % 8 in (2, 3):
                assert record["lesion_id"] == record["image_id"]


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("GroundTruth", "0.0,0.0\n", "0.0,1.0\n", "line 2: at most one of"),
        ("GroundTruth", "1.0,0.0\n", "0.0,1.0\n", "line 58: no diagnosis of MEL.* is 1"),
        (
            "GroundTruth",
            "ISIC_0000000,1.0",
            "ISIC_0000000,0.0",
            "line 2: no diagnosis of MEL.* is 1",
        ),
        ("GroundTruth", "ISIC_0000000,1.0,0.0", "ISIC_0000000,1.0,1.0", "line 2: at most one of"),
        ("GroundTruth", "SCC", "XYZ", "lacks the column 'SCC'"),
        (
            "Metadata",
            "ISIC_0000003",
            "ISIC_9000003",
            "line 5: ISIC_0000003 has no line in .*Metadata",
        ),
        ("Metadata", "anatom_site_general", "site", "lacks the column 'anatom_site_general'"),
    ],
)
def test_a_broken_table(tree, cache, file, old, new, message):
    path = tree / f"ISIC_2019_Training_{file}.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        data.load("isic2019", "train", tree)


def test_missing_images(tree, cache):
    next((tree / "ISIC_2019_Training_Input").iterdir()).unlink()
    with pytest.raises(FileNotFoundError, match="there is no image file of ISIC_.*#2019"):
        data.load("isic2019", "train", tree)
