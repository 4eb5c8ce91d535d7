"""A random-access source of records: what `load` returns and `batches` reads."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """The records of one split of a data set.

    `source[i]` is a dictionary: `image`, uint8 `(h, w, 3)` as stored, `label`, and whatever else is
    known of the record; strings are `str`, numbers are Python numbers, an unknown number is NaN.
    A dense record has an `image`, float32 `(h, w, 1)` in [0, 1], and a `label` of integers
    `(h, w)`; for volumes `(d, h, w, 1)` and `(d, h, w)`.

    Attributes:
      name: Name of the data set.
      split: "train", "validation" or "test".
      class_names: Names of the classes; `label` counts in them.
      group: Name of the field whose values are never split between training and test: "lesion_id"
        or "subject".
      description: One sentence for reports: what the data are, real or synthetic.
      records: The records as prepared.
      columns: Every field of the records but the image and a dense label, one array a field.
      numbers: Which of `records` this source holds, in which order; `None` for all of them.
      fingerprint: Hash of the content of all records of the split, the same wherever they lie.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    group: str
    description: str
    records: Sequence[Mapping[str, Any]]
    columns: Mapping[str, np.ndarray]
    numbers: np.ndarray | None = None
    fingerprint: str = ""

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def dense(self) -> bool:
        """Whether a label is a map of its image's shape and not one class."""
        return "label" not in self.columns

    def __repr__(self) -> str:
        """Says what it holds in a line."""
        return f"<{self.name} {self.split}: {len(self)} records, {self.num_classes} classes>"

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.records) if self.numbers is None else len(self.numbers)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Returns a record, its image decoded."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.name} {self.split} has {len(self)} records, not {number}.")
        number = number % len(self)
        return dict(self.records[number if self.numbers is None else int(self.numbers[number])])

    def column(self, field: str) -> np.ndarray:
        """Returns one field of all records without decoding an image.

        Args:
          field: "label" or a name of further metadata; not "image".

        Returns:
          An array `(len(self),)`: int32 for the label, strings as a string array.

        Raises:
          ValueError: The records have no such field, or it is a dense label.
        """
        if field == "label" and self.dense:
            raise ValueError(
                f"{self.name} has dense labels, a map for each record: read them as "
                'source[number]["label"] or from batches.'
            )
        if field not in self.columns:
            raise ValueError(f"{self.name} has the columns {sorted(self.columns)}, not {field!r}.")
        column = self.columns[field]
        return column.copy() if self.numbers is None else column[self.numbers]

    def take(self, count: int, seed: int = 0) -> "Source":
        """Returns a random part of the source, the same for the same seed.

        A larger part begins with the smaller ones.

        Args:
          count: How many records; all of them where there are fewer.
          seed: Seed of the permutation whose first `count` entries are taken.

        Raises:
          ValueError: `count` is below one.
        """
        if count < 1:
            raise ValueError(f"A part of a source has at least one record, got count={count}.")
        order = np.random.default_rng(seed).permutation(len(self))[:count]
        return dataclasses.replace(
            self, numbers=order if self.numbers is None else self.numbers[order]
        )

    def select(self, chosen: Sequence[int] | Sequence[bool] | np.ndarray) -> "Source":
        """Returns some of the records.

        Args:
          chosen: A mask, one bool a record of this source, or the numbers of the records, in the
            order that they shall have.

        Raises:
          ValueError: A mask of another length, numbers outside the source, or no record at all.
        """
        numbers = np.asarray(chosen)
        if numbers.dtype == bool:
            if numbers.shape != (len(self),):
                raise ValueError(
                    f"A mask has one entry for each of the {len(self)} records of {self.name} "
                    f"{self.split}, got shape {numbers.shape}."
                )
            numbers = np.flatnonzero(numbers)
        if numbers.ndim != 1 or not numbers.size:
            raise ValueError(f"At least one record of {self.name} {self.split} is selected.")
        if numbers.dtype.kind not in "ui" or numbers.min() < 0 or numbers.max() >= len(self):
            raise ValueError(
                f"{self.name} {self.split} has the records 0 to {len(self) - 1}; got numbers of "
                f"type {numbers.dtype} from {numbers.min()} to {numbers.max()}."
            )
        return dataclasses.replace(
            self, numbers=numbers if self.numbers is None else self.numbers[numbers]
        )
