"""The rows of an evaluation as text: JSON for programs, CSV for spreadsheets."""

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from medadv_jax.report.files import as_json, jsonable
from medadv_jax.report.rows import KEYS, Row

SCHEMA = 1
"""Version of the layout of `rows.json`."""


def rows_json(config: Any, rows: Sequence[Row]) -> str:
    """Returns the text of `rows.json`: `{"schema": 1, "config": ..., "rows": [...]}`."""
    return as_json({"schema": SCHEMA, "config": config, "rows": list(rows)})


def rows_csv(rows: Sequence[Row]) -> str:
    """Returns the text of `rows.csv`: a header, then a line a row; unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, KEYS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(jsonable(row) for row in rows)
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
