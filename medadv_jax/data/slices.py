"""Records of a brain volume: its slices along one plane, upright, or the whole of it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from medadv_jax.data.structures import NAMES
from medadv_jax.data.table import Record

PLANES = ("coronal", "axial", "sagittal", "volume")
"""How a volume becomes records: one a slice, or one for all of it."""
FIELDS: Mapping[str, Any] = {
    "subject": str,
    "scan": str,
    "slice": np.int32,
    "foreground": np.int32,
    "spacing_0": np.float32,
    "spacing_1": np.float32,
    "spacing_2": np.float32,
}
"""Type of each field that every dense brain record has besides `image` and `label`."""
VOLUMES_IN_A_FILE = 4
"""`Table.shard` for whole volumes."""
# Which RAS axis is walked along (d), and which run down (h) and across (w) the picture.
_AXES = {"coronal": (1, 2, 0), "axial": (2, 1, 0), "sagittal": (0, 2, 1), "volume": (1, 2, 0)}


class Volume(NamedTuple):
    """A brain image with its structures, axes towards right, anterior and superior (RAS).

    Attributes:
      image: Floats `(x, y, z)` in [0, 1], or uint8 or uint16 codes of them.
      label: Numbers of structures `(x, y, z)`, integers; 0 is background.
      spacing: Size of a voxel along x, y and z in mm.
    """

    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, float, float]


def check_plane(plane: str) -> None:
    """Raises ValueError if there is no such plane."""
    if plane not in PLANES:
        raise ValueError(f"plane is one of {', '.join(PLANES)}; got {plane!r}.")


def kind(plane: str) -> dict[str, Any]:
    """Returns what the `Table` of every data set of brains says alike."""
    return dict(
        class_names=NAMES,
        group="subject",
        dense=True,
        shard=VOLUMES_IN_A_FILE if plane == "volume" else None,
    )


def count(shape: tuple[int, ...], plane: str) -> int:
    """Returns how many records a volume of shape `(x, y, z)` has."""
    check_plane(plane)
    return 1 if plane == "volume" else shape[_AXES[plane][0]]


def stacked(array: np.ndarray, plane: str) -> np.ndarray:
    """Returns a volume `(x, y, z)` in RAS as a stack of upright slices `(d, h, w)`.

    Superior is up in coronal and sagittal slices, anterior is up in axial ones. The patient's left
    is at the left of coronal and axial slices (the neurological convention, slices are rotated and
    not mirrored), anterior is at the right of sagittal ones. Slices are counted from posterior,
    from inferior and from left. A whole volume is the stack of its coronal slices.

    >>> stacked(np.zeros((5, 6, 7)), "coronal").shape, stacked(np.zeros((5, 6, 7)), "axial").shape
    ((6, 7, 5), (7, 6, 5))
    """
    return array.transpose(_AXES[plane])[:, ::-1]


def records(
    scan: str, volume: Volume, plane: str, subject: str, fields: Mapping[str, Any] | None = None
) -> Iterator[Record]:
    """Yields the records of one volume, slice after slice, those without brain too.

    Args:
      scan: Name of the volume, unique in the data set; it becomes a field.
      volume: The volume.
      plane: One of PLANES.
      subject: Whose volume it is.
      fields: Further fields, the same for each slice.

    Yields:
      A unique name and a record: `image` and `label` `(h, w)`, or `(d, h, w)` for a whole volume,
      and FIELDS: `slice` counts from 0 and is -1 for a volume, `foreground` is the number of voxels
      that are not background, `spacing_0` and `spacing_1` are the size of a pixel down and across
      in mm and `spacing_2` the distance of slices; for a volume its spacing along d, h and w.
    """
    check_plane(plane)
    images, labels = stacked(volume.image, plane), stacked(volume.label, plane)
    depth, down, across = (float(volume.spacing[axis]) for axis in _AXES[plane])
    known = dict(subject=subject, scan=scan, **(fields or {}))
    if plane == "volume":
        spacing = dict(spacing_0=depth, spacing_1=down, spacing_2=across)
        parts = [(scan, -1, images, labels)]
    else:
        spacing = dict(spacing_0=down, spacing_1=across, spacing_2=depth)
        parts = [
            (f"{scan}_{plane}_{number:04d}", number, image, label)
            for number, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
    for name, number, image, label in parts:
        foreground = int(np.count_nonzero(label))
        own = dict(image=image, label=label, slice=number, foreground=foreground)
        yield name, {**known, **spacing, **own}
