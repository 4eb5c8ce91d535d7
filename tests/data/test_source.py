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
