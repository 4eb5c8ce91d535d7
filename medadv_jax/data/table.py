"""What a data set says of its records before an image is read, and the reading of its CSV files."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from medadv_jax.data.splits import SPLITS, by_group

Record = tuple[str, dict[str, Any]]
"""A unique name and the fields; `image` is a path, encoded bytes or a PIL image. In a dense table
`image` and `label` are arrays, see `dense.encoded`."""

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""File name endings that count as an image."""


class Part(NamedTuple):
    """The records of one split.

    Attributes:
      size: How many there are.
      start: Starts an iteration over them.
    """

    size: int
    start: Callable[[], Iterable[Record]]


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A data set that has been found and checked, but whose images have not been read.

    Attributes:
      name: Name of the data set.
      class_names: Names of the classes; `label` counts in them.
      group: Name of the field that is never split between training and test.
      description: One sentence for reports.
      homepage: Where the data set comes from.
      fields: Type of each field besides `image` and `label`: `str` or a numpy number type.
      splits: The records of each split; all are prepared together.
      fingerprint: Changes when the input changes: a new fingerprint is prepared anew.
      dense: Whether a label is a map of its image's shape and not one class.
      shard: Most records in a file; `None` for `records.SHARD`. TFDS holds a file's records in
        memory while it writes them: fewer where a record is large.
    """

    name: str
    class_names: tuple[str, ...]
    group: str
    description: str
    homepage: str
    fields: Mapping[str, Any]
    splits: Mapping[str, Part]
    fingerprint: tuple[Any, ...]
    dense: bool = False
    shard: int | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a CSV file.

    Attributes:
      file: The CSV file.
      line: Number of the line, the header being line 1.
      values: The text of each column, by name.
    """

    file: pathlib.Path
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Returns the text of a column."""
        return self.values[column]

    def error(self, rule: str) -> ValueError:
        """Returns an error that names the file, the line and the rule."""
        return ValueError(f"{self.file}, line {self.line}: {rule}")

    def number(self, column: str) -> float:
        """Returns a column as a number, NaN where it is empty."""
        text = self[column].strip()
        try:
            return float(text) if text else float("nan")
        except ValueError:
            raise self.error(f"{column} is a number or empty, got {text!r}.") from None

    def choice(self, column: str, allowed: Sequence[str]) -> int:
        """Returns the position of a column's value among the allowed ones."""
        if self[column] not in allowed:
            raise self.error(f"{column} is one of {', '.join(allowed)}; got {self[column]!r}.")
        return list(allowed).index(self[column])

    def one_hot(self, columns: Sequence[str]) -> int | None:
        """Returns the position of the column that is 1, the others being 0; `None` if all are."""
        numbers = [self.number(column) for column in columns]
        if any(number not in (0, 1) for number in numbers) or sum(numbers) > 1:
            raise self.error(
                f"at most one of {', '.join(columns)} is 1 and the others are 0; got "
                f"{', '.join(self[column] for column in columns)}."
            )
        return numbers.index(1) if 1 in numbers else None

    def image(self, name: str, images: Mapping[str, pathlib.Path], homepage: str) -> pathlib.Path:
        """Returns the file of an image by its name without the ending."""
        if name not in images:
            raise FileNotFoundError(
                f"{self.file}, line {self.line}: there is no image file of {name}. Get the data "
                f"from {homepage}."
            )
        return images[name]


def need(path: pathlib.Path, homepage: str) -> pathlib.Path:
    """Returns a path that exists.

    Raises:
      FileNotFoundError: It does not; the message says where to get the data.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing. Get the data from {homepage}.")
    return path


def read_csv(
    path: pathlib.Path, columns: Sequence[str], *, key: str, homepage: str, delimiter: str = ","
) -> list[Row]:
    """Reads a CSV file and checks its columns and its key.

    Args:
      path: The file.
      columns: Columns that it must have; others are kept.
      key: The column whose values are unique and not empty.
      homepage: Where to get the file, for the message.
      delimiter: What stands between two fields; a tab in a TSV file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is not UTF-8, a column is missing or there twice, a line has another
        number of fields than the header, a key is empty or repeated, or there is no line.
    """
    rows, seen = [], {}
    try:
        text = need(path, homepage).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8: {error}.") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = next(reader, [])
    if missing := [column for column in columns if column not in header]:
        raise ValueError(f"{path} lacks the column {missing[0]!r}; it has {header}.")
    if double := [column for column in header if column and header.count(column) > 1]:
        raise ValueError(f"{path} has the column {double[0]!r} twice.")
    for values in filter(None, reader):  # a blank line is no row
        row = Row(path, reader.line_num, dict(zip(header, values, strict=False)))
        if len(values) != len(header):
            raise row.error(f"{len(values)} fields where the header has {len(header)}.")
        if not row[key]:
            raise row.error(f"{key} is empty.")
        if row[key] in seen:
            raise row.error(f"{key} {row[key]!r} stands already in line {seen[row[key]]}.")
        seen[row[key]] = row.line
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no line below its header.")
    return rows


def index_images(
    folders: Sequence[pathlib.Path], endings: Sequence[str] = IMAGE_ENDINGS
) -> dict[str, pathlib.Path]:
    """Returns the files of some folders by their names without the ending; others are passed over.

    Raises:
      ValueError: Two files have the same name.
    """
    found: dict[str, pathlib.Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in endings:
                if path.stem in found:
                    raise ValueError(f"{path} and {found[path.stem]} are the same image twice.")
                found[path.stem] = path
    return found


def stamp(paths: Iterable[pathlib.Path]) -> tuple[tuple[str, int, int], ...]:
    """Returns name, size and time of change of some files: what a fingerprint needs."""
    stats = ((str(path), path.stat()) for path in paths)
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def arrange(
    records: Sequence[Record], splits: Sequence[str], class_names: Sequence[str], origin: str
) -> dict[str, Part]:
    """Sorts records into their splits.

    Args:
      records: All records of the data set.
      splits: The split of each.
      class_names: Names of the classes.
      origin: The file or folder at fault, for the message.

    Raises:
      ValueError: A split has no record of some class, or two records have one name.
    """
    parts: dict[str, list[Record]] = {split: [] for split in SPLITS}
    split_of: dict[str, str] = {}
    for record, split in zip(records, splits, strict=True):
        if record[0] in split_of:
            raise ValueError(f"{origin}: {record[0]} is in {split_of[record[0]]} and in {split}.")
        split_of[record[0]] = split
        parts[split].append(record)
    for split, part in parts.items():
        present = {fields["label"] for _, fields in part}
        for label, name in enumerate(class_names):
            if label not in present:
                raise ValueError(
                    f"{origin}: the {split} split has no record of class {name!r}; every split "
                    "needs every class."
                )
    return {split: Part(len(part), part.__iter__) for split, part in parts.items()}


def divide(
    records: Sequence[Record], class_names: Sequence[str], origin: str, *, group: str, seed: int
) -> dict[str, Part]:
    """Divides records that come without official splits: see `splits.by_group`.

    Args:
      records: All records of the data set.
      class_names: Names of the classes.
      origin: The file or folder at fault, for the message.
      group: The field whose values stay together.
      seed: Seed of the division.
    """
    groups = [fields[group] for _, fields in records]
    labels = [fields["label"] for _, fields in records]
    try:
        division = by_group(groups, labels, class_names, seed=seed)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from None
    return arrange(records, division, class_names, origin)
