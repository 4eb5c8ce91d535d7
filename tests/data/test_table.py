import numpy as np
import pytest

from medadv_jax.data import table


def read(path, text, columns=("name", "value")):
    path.write_bytes(text.encode())
    return table.read_csv(path, columns, key="name", homepage="https://example.org")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    # A byte order mark, Windows line ends, a quoted field over two lines, a blank line.
    text = '\ufeffname,value\r\na,1\r\nb,"2\n3"\r\n\r\nc,4\r\n'
    rows = read(tmp_path / "t.csv", text)
    assert [(row.line, row["name"], row["value"]) for row in rows] == [
        (2, "a", "1"),
        (4, "b", "2\n3"),
        (6, "c", "4"),
    ]


def test_numbers(tmp_path):
    rows = read(tmp_path / "t.csv", "name,value\na, 1.5\nb,\nc,x\n")
    assert rows[0].number("value") == 1.5 and np.isnan(rows[1].number("value"))
    with pytest.raises(ValueError, match="t.csv, line 4: value is a number or empty, got 'x'"):
        rows[2].number("value")


def test_one_hot(tmp_path):
    columns = ("name", "x", "y")
    rows = read(tmp_path / "t.csv", "name,x,y\na,1.0,0\nb,0,1\nc,0.0,0.0\nd,,1\ne,1,1\n", columns)
    assert [row.one_hot(("x", "y")) for row in rows[:3]] == [0, 1, None]
    for row in rows[3:]:
        with pytest.raises(ValueError, match=f"line {row.line}: at most one of x, y is 1"):
            row.one_hot(("x", "y"))


@pytest.mark.parametrize("text", ["", "name,value\n"])
def test_empty_files(tmp_path, text):
    with pytest.raises(ValueError, match="lacks the column 'name'|no line below its header"):
        read(tmp_path / "t.csv", text)


def test_a_column_that_is_there_twice_and_another_encoding(tmp_path):
    with pytest.raises(ValueError, match="t.csv has the column 'value' twice"):
        read(tmp_path / "t.csv", "name,value,value\na,1,2\n")
    (tmp_path / "t.csv").write_bytes("name,value\nnævus,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="t.csv must be text in UTF-8: .*position 12"):
        table.read_csv(tmp_path / "t.csv", ("name",), key="name", homepage="")


def test_one_image_in_two_folders(tmp_path, write_image):
    for part in ("one", "two"):
        write_image(tmp_path / part / "a.jpg")
    (tmp_path / "one" / "licence.txt").write_text("free")
    assert list(table.index_images([tmp_path / "one"])) == ["a"]
    with pytest.raises(ValueError, match="one.a.jpg are the same image twice"):
        table.index_images([tmp_path / "one", tmp_path / "two"])
