"""The one entry to every data set."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from medadv_jax.data import ham10000
from medadv_jax.data.prepare import prepare
from medadv_jax.data.source import Source
from medadv_jax.data.splits import SPLITS
from medadv_jax.data.table import Table

ON_DISK: dict[str, Callable[..., Table]] = {
    "ham10000": ham10000.table,
}
"""Data sets that the user has in a folder: name to `table(data_dir, **options)`."""

NAMES = tuple(ON_DISK)
"""Names that `load` knows."""


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None = None,
    *,
    cache_dir: str | os.PathLike | None = None,
    **options: Any,
) -> Source:
    """Opens a split of a data set; the first time it prepares the records.

    Args:
      name: One of `NAMES`.
      split: "train", "validation" or "test".
      data_dir: The folder of the data set in its published layout; it is only read.
      cache_dir: Where prepared records lie; default `$MEDADV_CACHE`, else `~/.cache/medadv_jax`.
      **options: What the data set's own `table` function takes besides.

    Returns:
      A random-access source of records.

    Raises:
      FileNotFoundError: A file is missing; the message says where to get the data.
      ValueError: A name is not known, or the data break a rule; the message names file, line, rule.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(NAMES)}.")
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are {', '.join(SPLITS)}.")
    if data_dir is None:
        raise ValueError(f"Data set {name!r} needs data_dir, the folder that holds it.")
    default = os.environ.get("MEDADV_CACHE") or pathlib.Path("~/.cache/medadv_jax").expanduser()
    table = ON_DISK[name](pathlib.Path(data_dir).resolve(), **options)
    return prepare(table, split, pathlib.Path(cache_dir or default))
