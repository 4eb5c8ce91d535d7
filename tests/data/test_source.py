import numpy as np
import pytest

from medadv_jax import data


@pytest.fixture
def source():
    records = [dict(image=np.full((2, 2, 3), i, np.uint8), label=i % 3) for i in range(20)]
    columns = dict(label=np.arange(20, dtype=np.int32) % 3, site=np.array(list("abcde" * 4)))
    return data.Source("toy", "test", ("x", "y", "z"), "site", "Toy.", records, columns)


def test_records_and_columns(source):
    assert len(source) == 20 and source.num_classes == 3
    assert source[4]["label"] == 1 and source[-1]["image"][0, 0, 0] == 19
    np.testing.assert_array_equal(source.column("site")[:5], list("abcde"))
    with pytest.raises(IndexError, match="toy test has 20 records, not 20"):
        source[20]
    with pytest.raises(ValueError, match="has the columns .'label', 'site'., not 'sex'"):
        source.column("sex")


def test_a_column_is_a_copy(source):
    source.column("label")[:] = 9
    assert source.column("label").max() == 2


def test_take_is_seeded_and_nested(source):
    small, large, other = source.take(5), source.take(9), source.take(9, seed=1)
    shown = lambda part: [part[i]["image"][0, 0, 0] for i in range(len(part))]
    assert len(set(shown(large))) == 9 and shown(large)[:5] == shown(small)
    assert shown(other) != shown(large)
    assert [small[i]["label"] for i in range(5)] == small.column("label").tolist()
    assert len(source.take(99)) == 20 and len(large.take(3).take(2)) == 2
    assert (small.name, small.split, small.group) == ("toy", "test", "site")
    with pytest.raises(ValueError, match="count=0"):
        source.take(0)


def test_select_by_mask_or_numbers(source):
    shown = lambda part: [part[i]["image"][0, 0, 0] for i in range(len(part))]
    by_mask = source.select(source.column("site") == "b")
    assert shown(by_mask) == [1, 6, 11, 16]
    assert by_mask.column("label").tolist() == [1, 0, 2, 1]
    assert shown(by_mask.select([3, 0])) == [16, 1] and shown(source.select(np.array([7]))) == [7]
    assert shown(source.take(9).select(np.arange(9) < 4)) == shown(source.take(4))
    assert (by_mask.name, by_mask.split, by_mask.group) == ("toy", "test", "site")


@pytest.mark.parametrize(
    "chosen, rule",
    [
        (np.ones(19, bool), "each of the 20 records of toy test, got shape .19,"),
        (np.zeros(20, bool), "At least one record"),
        ([], "At least one record"),
        (np.array([[1]]), "At least one record"),
        ([0, 20], "has the records 0 to 19; got numbers of type int64 from 0 to 20"),
        ([-1], "has the records 0 to 19"),
        (np.array([1.0]), "type float64"),
    ],
)
def test_bad_selections(source, chosen, rule):
    with pytest.raises(ValueError, match=rule):
        source.select(chosen)


def test_dense_labels_are_no_column():
    records = [dict(image=np.zeros((2, 2, 1), np.float32), label=np.zeros((2, 2), np.uint8))]
    source = data.Source("toy", "test", ("x",), "subject", "", records, dict(slice=np.arange(1)))
    assert source.dense
    with pytest.raises(ValueError, match="toy has dense labels, a map for each record"):
        source.column("label")


def test_it_is_written_in_a_line(source):
    assert repr(source) == "<toy test: 20 records, 3 classes>"
