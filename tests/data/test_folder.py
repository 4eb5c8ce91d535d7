import pytest

from medadv_jax import data
from medadv_jax.data.splits import SPLITS


@pytest.fixture
def tree(tmp_path, write_image):
    """Ten images of each of two classes, one subfolder a class."""
    for name in ("benign", "malignant"):
        for number in range(10):
            write_image(tmp_path / "mine" / name / f"{number}.png", number)
    return tmp_path / "mine"


@pytest.fixture
def table(tree, write_csv):
    """Writes a CSV file beside the images, with the columns asked for."""

    def write(*columns, change=lambda row, number: row):
        rows = []
        for number in range(20):
            label = ("malignant", "benign")[number // 10]
            row = dict(
                image=f"{label}/{number % 10}.png",
                label=label,
                group=f"patient {number // 2}",
                split=(*["train"] * 6, *["validation"] * 2, *["test"] * 2)[number % 10],
            )
            row = change(row, number)
            rows.append(",".join(row[column] for column in columns))
        write_csv(tree / "mine.csv", ",".join(columns), *rows)

    return write


def test_subfolders_are_classes(tree, cache, untouched):
    before = untouched(tree)
    sources = [data.load("folder", split, tree) for split in SPLITS]
    assert untouched(tree) == before
    assert [len(source) for source in sources] == [14, 2, 4]
    assert sources[0].class_names == ("benign", "malignant") and sources[0].group == "group"
    assert set(sources[1].column("label")) == {0, 1}
    record = sources[2][0]
    assert record["image_id"].split("/")[0] == sources[2].class_names[record["label"]]
    assert "20 images in 2 classes" in sources[0].description


def test_a_table_with_groups(tree, table, cache):
    table("image", "label", "group")
    sources = [data.load("folder", split, tree, csv="mine.csv") for split in SPLITS]
    groups = [set(source.column("group")) for source in sources]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 10
    assert sources[0].class_names == ("benign", "malignant")


def test_a_table_with_splits(tree, table, cache):
    table("image", "label", "split")
    sources = [data.load("folder", split, tree, csv="mine.csv") for split in SPLITS]
    assert [len(source) for source in sources] == [12, 4, 4]
    assert sorted(sources[2].column("image_id")) == [
        f"{name}/{number}.png" for name in ("benign", "malignant") for number in (8, 9)
    ]


@pytest.mark.parametrize(
    "columns, change, message",
    [
        (("image",), {}, "lacks the column 'label'"),
        (("image", "label"), {4: dict(label="")}, "line 6: label is empty"),
        (("image", "label"), {4: dict(image="malignant/3.png")}, "line 6: image .* in line 5"),
        (("image", "label"), {4: dict(image="./malignant/3.png")}, "line 6: .* of line 5"),
        (("image", "label", "split"), {4: dict(split="dev")}, "line 6: split is one of train"),
        (
            ("image", "label", "group", "split"),
            {6: dict(group="patient 0")},
            "line 8: group 'patient 0' is in validation and in train",
        ),
        (
            ("image", "label", "split"),
            {number: dict(split="train") for number in range(6, 10)},
            "the validation split has no record of class 'malignant'",
        ),
        (("image", "label"), {4: dict(label="rare")}, "mine.csv: Class 'rare' has 1 groups"),
    ],
)
def test_a_broken_table(tree, table, cache, columns, change, message):
    table(*columns, change=lambda row, number: row | change.get(number, {}))
    with pytest.raises(ValueError, match=message):
        data.load("folder", "train", tree, csv="mine.csv")


def test_missing_and_empty_folders(tree, table, cache):
    table("image", "label", change=lambda row, n: row | ({"image": "x.png"} if n == 4 else {}))
    with pytest.raises(FileNotFoundError, match="line 6: .*x.png is missing"):
        data.load("folder", "train", tree, csv="mine.csv")
    with pytest.raises(FileNotFoundError, match="other.csv is missing"):
        data.load("folder", "train", tree, csv="other.csv")
    with pytest.raises(FileNotFoundError, match="nowhere is missing"):
        data.load("folder", "train", tree / "nowhere")
    with pytest.raises(ValueError, match="benign has no subfolder"):
        data.load("folder", "train", tree / "benign")
    (tree / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no image"):
        data.load("folder", "train", tree)
