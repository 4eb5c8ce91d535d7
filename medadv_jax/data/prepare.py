"""Turns a table into array_record files, once, by a TFDS builder and without TensorFlow."""

import contextlib
import fcntl
import hashlib
import io
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from medadv_jax.data.source import Source
from medadv_jax.data.table import Record, Table

FORMAT = 1
"""Version of what is written; a higher one is prepared anew."""


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
      ValueError: An image cannot be decoded, or a field has the wrong type.
    """
    recipe = (FORMAT, table.name, table.class_names, sorted(table.fields), table.fingerprint)
    fingerprint = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    folder = cache_dir / table.name / fingerprint
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not folder.exists():
                _write(table, folder)
    return Source(
        name=table.name,
        split=split,
        class_names=table.class_names,
        group=table.group,
        description=table.description,
        records=_Records(folder, table, split),
        columns=_read_columns(folder, split),
    )


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock that the system releases when the process ends, however it ends."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(table: Table, folder: pathlib.Path) -> None:
    """Writes all splits of a table; to be called under the lock."""
    temporary = folder.with_suffix(".incomplete")
    if temporary.exists():
        shutil.rmtree(temporary)
    columns = {split: {field: [] for field in ("label", *table.fields)} for split in table.splits}
    try:
        _builder(table, temporary, columns).download_and_prepare()
        for split, part in columns.items():
            arrays = {name: np.array(part[name], _dtype(table, name)) for name in part}
            np.savez(temporary / f"{split}.npz", **arrays)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _dtype(table: Table, field: str) -> Any:
    return np.int32 if field == "label" else table.fields[field]


def _builder(
    table: Table, folder: pathlib.Path, columns: Mapping[str, Mapping[str, list]] | None = None
) -> Any:
    """Returns the TFDS builder of a table; what it generates is noted in `columns` too."""
    import tensorflow_datasets as tfds  # takes 0.3 s, which a user of `batches` alone need not pay

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = table.name
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            scalar = {
                name: tfds.features.Text() if dtype is str else tfds.features.Scalar(dtype)
                for name, dtype in table.fields.items()
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description=table.description,
                homepage=table.homepage,
                features=tfds.features.FeaturesDict(
                    dict(
                        image=tfds.features.Image(),
                        label=tfds.features.ClassLabel(names=list(table.class_names)),
                        **scalar,
                    )
                ),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            assert columns is not None
            return {
                split: _numbered(records(), columns[split])
                for split, records in table.splits.items()
            }

        def _generate_examples(self):
            raise NotImplementedError("Each split has its own generator.")

    return Builder(data_dir=folder, file_format="array_record")


def _numbered(
    records: Iterable[Record], columns: Mapping[str, list]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields records with a running number, their images checked and encoded."""
    for number, (key, record) in enumerate(records):
        for field, column in columns.items():
            column.append(record[field])
        yield number, dict(record, image=_encoded(key, record["image"]))


def _encoded(key: str, image: Any) -> bytes:
    """Returns the bytes of an image that decodes to RGB: as they are if they do, else as PNG."""
    origin = image if isinstance(image, os.PathLike) else f"record {key}"
    if isinstance(image, PIL.Image.Image):
        return _png(image)
    content = pathlib.Path(image).read_bytes() if isinstance(image, os.PathLike) else image
    try:
        decoded = PIL.Image.open(io.BytesIO(content))
        decoded.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{origin} is not a whole image: {error}. Every image must decode fully."
        ) from error
    return content if decoded.mode == "RGB" else _png(decoded)


def _png(image: PIL.Image.Image) -> bytes:
    """Returns an image as a lossless RGB file."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "png")
    return buffer.getvalue()


def _read_columns(folder: pathlib.Path, split: str) -> dict[str, np.ndarray]:
    """Returns the metadata that lie beside the records."""
    with np.load(folder / f"{split}.npz", allow_pickle=False) as file:
        return dict(file)


class _Records(Sequence):
    """The prepared records of a split, decoded one at a time."""

    def __init__(self, folder: pathlib.Path, table: Table, split: str):
        import tensorflow_datasets as tfds

        builder = _builder(table, folder)
        # PIL decodes the image later: TFDS would use OpenCV where it is installed, whose JPEG
        # decoder gives other pixels.
        self._records = builder.as_data_source(
            split, decoders=dict(image=tfds.decode.SkipDecoding())
        )

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {name: _plain(name, value) for name, value in self._records[number].items()}


def _plain(name: str, value: Any) -> Any:
    """Returns a field as a user expects it: image array, `str` or Python number."""
    if name == "image":
        return np.asarray(PIL.Image.open(io.BytesIO(value)))
    return value.decode() if isinstance(value, bytes) else np.asarray(value).item()
