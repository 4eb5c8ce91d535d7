"""Files that are whole or absent, never half written, and values as JSON can hold them."""

import dataclasses
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np


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


def jsonable(value: Any) -> Any:
    """Returns a value as JSON can hold it: what is not a finite number becomes null.

    Args:
      value: Nested dicts, sequences, dataclasses, numbers, NumPy or JAX scalars and arrays, paths.

    Returns:
      Nested dicts, lists, strings, numbers, booleans and None.

    Raises:
      TypeError: for a value of another kind.

    >>> jsonable({"a": float("nan"), "b": (np.float32(0.5), pathlib.Path("runs"))})
    {'a': None, 'b': [0.5, 'runs']}
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: jsonable(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(name): jsonable(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(entry) for entry in value]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and of JAX
        return jsonable(np.asarray(value).tolist())
    raise TypeError(f"No JSON for {value!r} of type {type(value).__name__}.")


def as_json(value: Any) -> str:
    """Returns JSON text, indented, without the NaN and Infinity that JSON does not know."""
    return json.dumps(jsonable(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
