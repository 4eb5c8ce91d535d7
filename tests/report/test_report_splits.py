import numpy as np
import pytest

from medadv_jax import report
from medadv_jax.data import Source
from medadv_jax.report import splits


def source(group="lesion_id", names=("nevus", "melanoma", "other"), **columns):
    columns = {name: np.array(values) for name, values in columns.items()}
    number = len(next(iter(columns.values())))
    return Source("d", "train", names, group, "D.", [{}] * number, columns)


def test_sizes_of_classes_and_lesions():
    train = source(label=[0, 1, 1, 1], lesion_id=["a", "b", "b", "c"])
    sizes = report.sizes({"train": train, "evaluated": train.take(1)})
    assert sizes["train"] == {"nevus": 1, "melanoma": 3, "other": 0, "lesions": 3}
    assert sum(sizes["evaluated"].values()) == 2  # an image, a lesion


def test_sizes_of_label_maps():
    slices = source("subject", subject=["s", "s", "t"], slice=[0, 1, 0])
    volumes = source("subject", subject=["s", "t"], slice=[-1, -1])
    assert report.sizes({"train": slices, "test": volumes}) == {
        "train": {"slices": 3, "subjects": 2},
        "test": {"volumes": 2, "subjects": 2},
    }


def test_table_sums_classes_and_only_classes():
    sizes = {"train": {"a": 1000, "b": 2, "lesions": 7}, "test": {"a": 3, "lesions": 3}}
    assert splits.table(sizes, ("a", "b")) == {
        "columns": ["train", "test"],
        "lines": [
            ("a", ["1,000", "3"]),
            ("b", ["2", "–"]),
            (splits.TOTAL, ["1,002", "3"]),
            ("lesions", ["7", "3"]),
        ],
    }
    assert splits.table({"test": {"slices": 4}}, ("a",))["lines"] == [("slices", ["4"])]


def test_page_has_the_sizes_and_refuses_what_is_none(make_row, tmp_path):
    rows = [make_row("a", "clean", "clean", 0.9, clean_score=0.9)]
    write = lambda sizes: report.write(tmp_path, {}, rows, title="t", data="d", splits=sizes)
    for wrong in (-1, True):
        with pytest.raises(ValueError, match="The size of 'a' in the split 'test'"):
            write({"test": {"a": wrong}})
    assert list(tmp_path.iterdir()) == []
    text = write({"train": {"slices": 4321}}).read_text()
    assert ">4,321</td>" in text and ">train</th>" in text
    assert "splits" not in write({}).read_text().split("</style>")[1]
