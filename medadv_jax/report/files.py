"""Values as JSON can hold them; `replace` writes a file whole or not at all."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from medadv_jax.evaluate.files import replace as replace


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
