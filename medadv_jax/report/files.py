"""JSON, CSV and text files that are whole or absent, never half written."""

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medadv_jax.report.rows import KEYS, Row

SCHEMA = 1
"""Version of the layout of `rows.json`."""


def replace(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
    """Writes a file beside the old one and puts it in its place in one move.

    Whoever kills the program at any moment finds either the old file or the new one.

    Args:
      path: Where to write; missing folders are made.
      content: Text (written as UTF-8) or bytes.

    Returns:
      The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0o600 would hide a report from its readers
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
    return path


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: what is not a finite number becomes null.

    Args:
      value: Nested dicts, sequences, dataclasses, numbers, NumPy or JAX scalars and arrays, paths.

    Returns:
      Nested dicts, lists, strings, numbers, booleans and None.

    Raises:
      TypeError: for a value of another kind.

    >>> plain({"a": float("nan"), "b": (np.float32(0.5), pathlib.Path("runs"))})
    {'a': None, 'b': [0.5, 'runs']}
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and of JAX
        return plain(np.asarray(value).tolist())
    raise TypeError(f"No JSON for {value!r} of type {type(value).__name__}.")


def as_json(value: Any) -> str:
    """Returns JSON text, indented, without the NaN and Infinity that JSON does not know."""
    return json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def rows_json(config: Any, rows: Sequence[Row]) -> str:
    """Returns the text of `rows.json`: `{"schema": 1, "config": ..., "rows": [...]}`."""
    return as_json({"schema": SCHEMA, "config": config, "rows": list(rows)})


def rows_csv(rows: Sequence[Row]) -> str:
    """Returns the text of `rows.csv`: a header, then a line a row; unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, KEYS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(row) for row in rows)
    return text.getvalue()


def read_rows(path: pathlib.Path) -> tuple[dict[str, Any], list[Row]]:
    """Reads a `rows.json`.

    Args:
      path: A file that `rows_json` wrote.

    Returns:
      The configuration and the rows.

    Raises:
      ValueError: if the file is not JSON, or has another schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file: {error}.") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"{path}: rows of schema {SCHEMA} can be read, got schema {found!r}.")
    return content["config"], content["rows"]
