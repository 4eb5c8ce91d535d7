"""Prepares a table once, in a cache that a killed preparation leaves clean."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import rich.console
import rich.progress

from medadv_jax.data import dense
from medadv_jax.data.records import Records, builder, stored
from medadv_jax.data.source import Source
from medadv_jax.data.table import Part, Table

FORMAT = 3
"""Version of what is written; a higher one is prepared anew."""
CONTENT = "hash of the records"
"""Under this name it lies among the columns; no field of a record is called so."""


def prepare(table: Table, split: str, cache_dir: pathlib.Path) -> Source:
    """Returns a split of a table, read from prepared records; prepares them if need be.

    Every image is decoded once, so that a truncated one is found here and not during training.
    Records are written to a temporary folder that is renamed when it is whole: a killed preparation
    leaves nothing that counts. A second process waits for the first.

    Args:
      table: What to prepare.
      split: The split to open; all splits of the table are prepared together.
      cache_dir: Where prepared records lie.

    Raises:
      ValueError: An image cannot be decoded.
    """
    folder = cache_dir / table.name / _fingerprint(table)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not folder.exists():
                _write(table, folder)
    with np.load(folder / f"{split}.npz", allow_pickle=False) as file:
        columns = dict(file)
    content = str(columns.pop(CONTENT))
    return Source(
        name=table.name,
        split=split,
        class_names=table.class_names,
        group=table.group,
        description=table.description,
        records=Records(table, folder, split),
        columns=columns,
        fingerprint=content,
    )


def _fingerprint(table: Table) -> str:
    """Returns a name that changes with the input, the options and the format."""
    fields = {name: np.dtype(dtype).str for name, dtype in table.fields.items()}
    recipe = (FORMAT, table.name, table.class_names, sorted(fields.items()), table.fingerprint)
    if table.dense:
        recipe = (*recipe, dense.FORMAT)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock that the system releases when the process ends, however it ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(table: Table, folder: pathlib.Path) -> None:
    """Writes all splits of a table; to be called under the lock."""
    temporary = folder.with_suffix(".incomplete")
    if temporary.exists():  # of a preparation that was killed
        shutil.rmtree(temporary)
    fields = (*(() if table.dense else ("label",)), *table.fields)
    columns = {split: {field: [] for field in fields} for split in table.splits}
    digests = {split: hashlib.sha256(repr(table.class_names).encode()) for split in table.splits}
    parts = {
        split: _watched(table, split, columns[split], digests[split]) for split in table.splits
    }
    try:
        # TFDS prints where it writes; the folder's final name is another.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            builder(table, temporary, parts).download_and_prepare()
        for split, part in columns.items():
            dtypes = {"label": np.int32, **table.fields}
            arrays: dict[str, Any] = {name: np.array(part[name], dtypes[name]) for name in part}
            arrays[CONTENT] = np.array(digests[split].hexdigest()[:16])
            np.savez(temporary / f"{split}.npz", **arrays)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _watched(table: Table, split: str, columns: Mapping[str, list], digest: Any) -> Part:
    """Returns a part whose records are checked, noted, hashed and counted on the console."""
    part = table.splits[split]

    def start() -> Iterator[tuple[str, dict[str, Any]]]:
        for name, record in rich.progress.track(
            part.start(),
            description=f"Preparing {table.name} {split}",
            total=part.size,
            console=rich.console.Console(stderr=True),
        ):
            for field, column in columns.items():
                column.append(record[field])
            kept = stored(table, name, record)
            for field, value in sorted(kept.items()):
                digest.update(f"{name} {field} {np.shape(value)} ".encode())
                digest.update(_content(value))
            yield name, kept

    return Part(part.size, start)


def _content(value: Any) -> bytes:
    """Returns the bytes of a field."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return value if isinstance(value, bytes) else repr(value).encode()
