"""Records in array_record files: written and read by TFDS, without TensorFlow."""

import functools
import io
import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from medadv_jax.data import dense
from medadv_jax.data.table import Part, Table

SHARD = 256
"""Records in a file. TFDS holds one file's records in memory while it writes them."""
EIGHT_BIT = ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "YCbCr")
"""Modes of PIL that become RGB without a loss of depth."""


def builder(table: Table, folder: pathlib.Path, parts: Mapping[str, Part] | None = None) -> Any:
    """Returns the TFDS builder of a table.

    It writes shard by shard: the usual builder, which shuffles, needs TensorFlow as soon as a split
    exceeds one gigabyte.

    Args:
      table: Names and types of the fields.
      folder: Where the records lie or shall lie.
      parts: The records to write, their images encoded; not needed to read.
    """
    import tensorflow_datasets as tfds  # takes 0.3 s, which a user of `batches` alone need not pay

    class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
        name = table.name
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            metadata = {
                field: tfds.features.Text() if dtype is str else tfds.features.Scalar(dtype)
                for field, dtype in table.fields.items()
            }
            encoded = dict(image=tfds.features.Text(), label=tfds.features.Text())  # any bytes
            decoded = dict(
                image=tfds.features.Image(),
                label=tfds.features.ClassLabel(names=list(table.class_names)),
            )
            return tfds.core.DatasetInfo(
                builder=self,
                description=table.description,
                homepage=table.homepage,
                features=tfds.features.FeaturesDict(
                    {**(encoded if table.dense else decoded), **metadata}
                ),
                disable_shuffling=True,
            )

        def _shard_iterators_per_split(self, dl_manager):
            del dl_manager
            size = table.shard or SHARD
            return {split: _shards(part, size) for split, part in (parts or {}).items()}

    return Builder(data_dir=folder, file_format="array_record")


def _shards(part: Part, size: int) -> list[Any]:
    """Returns functions that give the records of one file each, to be called in order."""
    whole = iter(part.start())
    return [functools.partial(itertools.islice, whole, size)] * -(-part.size // size)


def stored(table: Table, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a record of a table, checked, as it is written.

    Raises:
      ValueError: See `checked`, and `dense.encoded` for a dense table.
    """
    if table.dense:
        return dense.encoded(name, record, len(table.class_names))
    return checked(name, record)


def checked(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a record whose image is encoded, in RGB and whole.

    A file stays as it is, byte by byte, if it is RGB; else it becomes a PNG file. Transparency is
    dropped.

    Args:
      name: Name of the record, for the message.
      record: Its `image` is a path, encoded bytes or a PIL image.

    Raises:
      ValueError: The image cannot be decoded, or has more than 8 bits a channel.
    """
    image = record["image"]
    origin = image if isinstance(image, os.PathLike) else f"record {name}"
    if isinstance(image, PIL.Image.Image):
        return dict(record, image=_png(image, origin))
    content = pathlib.Path(image).read_bytes() if isinstance(image, os.PathLike) else image
    try:
        decoded = PIL.Image.open(io.BytesIO(content))
        stored = str(decoded.tile)  # such as 'RGB;16B', which PIL reads as RGB
        decoded.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{origin} is not a whole image ({error}); every image must decode to its end."
        ) from error
    if decoded.mode in EIGHT_BIT and ";16" in stored:
        raise ValueError(f"{origin} has 16 bits a channel; an image has 8.")
    return dict(record, image=content if decoded.mode == "RGB" else _png(decoded, origin))


def _png(image: PIL.Image.Image, origin: Any) -> bytes:
    """Returns an image as a lossless RGB file."""
    if image.mode not in EIGHT_BIT:
        raise ValueError(
            f"{origin} has the mode {image.mode}; an image has one of {', '.join(EIGHT_BIT)}, "
            "8 bits a channel."
        )
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "png")
    return buffer.getvalue()


class Records(Sequence[dict[str, Any]]):
    """The prepared records of a split, decoded one at a time."""

    def __init__(self, table: Table, folder: pathlib.Path, split: str):
        import tensorflow_datasets as tfds

        # PIL decodes the image below: TFDS would use OpenCV where it is installed, whose JPEG
        # decoder gives other pixels.
        self._dense = table.dense
        decoders = None if table.dense else dict(image=tfds.decode.SkipDecoding())
        self._records = builder(table, folder).as_data_source(split, decoders=decoders)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns a record: its image as an array, the rest as `str` or Python numbers."""
        record = dict(self._records[number])
        if self._dense:
            arrays = dense.decoded(record.pop("image"), record.pop("label"))
            return {**arrays, **{field: _plain(field, value) for field, value in record.items()}}
        return {field: _plain(field, value) for field, value in record.items()}


def _plain(field: str, value: Any) -> Any:
    if field == "image":
        return np.asarray(PIL.Image.open(io.BytesIO(value)))
    return value.decode() if isinstance(value, bytes) else np.asarray(value).item()
