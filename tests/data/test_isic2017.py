import pytest

from medadv_jax import data
from medadv_jax.data.splits import SPLITS


@pytest.fixture
def tree(tmp_path, write_image, write_csv):
    """Four images of each class in each official split, with superpixels beside them."""
    folder, number = tmp_path / "isic2017", 0
    for part in ("Training", "Validation", "Test_v2"):
        rows = ["image_id,melanoma,seborrheic_keratosis"]
        for label in ("1.0,0.0", "0.0,1.0", "0.0,0.0") * 4:
            number += 1
            name = f"ISIC_{number:07d}"
            write_image(folder / f"ISIC-2017_{part}_Data" / f"{name}.jpg", number)
            write_image(folder / f"ISIC-2017_{part}_Data" / f"{name}_superpixels.png", number)
            rows.append(f"{name},{label}")
        write_csv(folder / f"ISIC-2017_{part}_Part3_GroundTruth.csv", *rows)
    return folder


def test_the_official_splits(tree, cache, untouched):
    before = untouched(tree)
    for i, split in enumerate(SPLITS):
        source = data.load("isic2017", split, tree)
        assert source.class_names == ("melanoma", "seborrheic_keratosis", "nevus")
        numbers = [int(name[5:]) for name in source.column("image_id")]
        assert numbers == list(range(12 * i + 1, 12 * i + 13))
        assert source.column("label").tolist() == [0, 1, 2] * 4
        assert source[0]["image"].shape == (9, 12, 3)
    assert untouched(tree) == before


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("ISIC_0000001,1.0,0.0", "ISIC_0000001,1.0,1.0", "line 2: at most one .*; got 1.0, 1.0"),
        ("ISIC_0000001,1.0,0.0", "ISIC_0000001,0.5,0.0", "line 2: at most one .*; got 0.5, 0.0"),
        ("ISIC_0000001,1.0,0.0", "ISIC_0000001,yes,0.0", "line 2: melanoma is a number"),
        ("seborrheic_keratosis", "keratosis", "lacks the column 'seborrheic_keratosis'"),
        ("1.0,0.0", "0.0,0.0", "the train split has no record of class 'melanoma'"),
    ],
)
def test_a_broken_table(tree, cache, old, new, message):
    path = tree / "ISIC-2017_Training_Part3_GroundTruth.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        data.load("isic2017", "train", tree)


def test_an_image_in_two_splits(tree, cache, write_image):
    path = tree / "ISIC-2017_Test_v2_Part3_GroundTruth.csv"
    path.write_text(path.read_text().replace("ISIC_0000025", "ISIC_0000001"))
    write_image(tree / "ISIC-2017_Test_v2_Data" / "ISIC_0000001.jpg")
    with pytest.raises(ValueError, match="ISIC_0000001 is in train and in test"):
        data.load("isic2017", "train", tree)


def test_missing_files(tree, cache):
    (tree / "ISIC-2017_Validation_Data" / "ISIC_0000014.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="Validation.*line 3: .*ISIC_0000014.*isic-archive"):
        data.load("isic2017", "train", tree)
    (tree / "ISIC-2017_Training_Data").rename(tree / "elsewhere")
    with pytest.raises(FileNotFoundError, match="ISIC-2017_Training_Data is missing.*isic-archive"):
        data.load("isic2017", "train", tree)
