"""Brain volumes in NIfTI and MGZ files: found whole, turned to RAS, scaled to [0, 1]."""

import math
import pathlib
from typing import Any, NamedTuple

import nibabel
import nibabel.affines
import nibabel.orientations
import numpy as np

from medadv_jax.data.sampling import resampled, scaled
from medadv_jax.data.slices import Volume
from medadv_jax.data.structures import Numbering, to_structures
from medadv_jax.data.volume_checks import (
    ENDINGS,
    check_mgh,
    check_orientation,
    check_whole,
    checked_shape,
    corners,
    ending,
)

APART = 0.05
"""How many mm a voxel of the image and its label may lie apart: files round their affines."""


class Grid(NamedTuple):
    """Where the voxels of a file lie once its axes point to right, anterior and superior.

    Attributes:
      shape: Voxels along each axis.
      spacing: Distance of voxels along each axis in mm.
      affine: From voxel to mm, `(4, 4)`.
      turn: How the stored axes become these, as nibabel has it.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    affine: np.ndarray
    turn: np.ndarray


def grid(path: pathlib.Path) -> Grid:
    """Reads the header of a volume.

    A file may have trailing axes of length one: it is one volume all the same.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is no NIfTI or MGZ, its header declares more than the file can hold, it
        holds several volumes or colours, or it does not say how the volume lies, or says it in two
        ways; the message names the file.
    """
    return _grid(path, _opened(path))


def _opened(path: pathlib.Path) -> Any:
    """Returns a nibabel image of a file whose voxels have not been read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing.")
    if not ending(path):
        raise ValueError(f"{path}: the name of a volume ends in one of {', '.join(ENDINGS)}.")
    if ending(path) in (".mgz", ".mgh"):
        check_mgh(path)
    try:
        image: Any = nibabel.load(path)
    except Exception as error:  # a damaged header makes nibabel raise errors of many kinds
        check_whole(path, 0)
        raise ValueError(f"{path} has no header of NIfTI or MGZ: {error!r}") from error
    kinds = (nibabel.Nifti1Image, nibabel.MGHImage)  # NIfTI-2 is a kind of the first
    if not isinstance(image, kinds):
        raise ValueError(f"{path} is {type(image).__name__}, not NIfTI or MGZ.")
    return image


def _grid(path: pathlib.Path, image: Any) -> Grid:
    """Returns the grid of an opened volume after checks of its header."""
    shape = checked_shape(path, image.shape, _declared(image))
    if image.dataobj.dtype.kind not in "uif":
        raise ValueError(f"{path} has voxels of {image.dataobj.dtype}; they are real numbers.")
    check_orientation(path, image, shape)
    turn = nibabel.orientations.io_orientation(image.affine)
    affine = image.affine @ nibabel.orientations.inv_ornt_aff(turn, shape)
    x, y, z = np.argsort(turn[:, 0])  # stored axis of each new one
    spacing = nibabel.affines.voxel_sizes(affine)
    return Grid(
        shape=(shape[x], shape[y], shape[z]),
        spacing=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        affine=affine,
        turn=turn,
    )


def _declared(image: Any) -> int:
    """Returns the bytes that header and voxels take when they are not compressed."""
    proxy = image.dataobj
    return int(proxy.offset) + math.prod(map(int, proxy.shape)) * proxy.dtype.itemsize


def check_pair(image: pathlib.Path, label: pathlib.Path) -> Grid:
    """Returns the grid that image and label share.

    Raises:
      ValueError: Their shapes differ, or a voxel lies more than APART away from its label; and as
        `grid`.
    """
    own, other = grid(image), grid(label)
    if own.shape != other.shape:
        raise ValueError(
            f"{label} has the shape {other.shape} and {image} {own.shape} (axes turned to right, "
            "anterior, superior); image and label have the same."
        )
    away = (own.affine - other.affine) @ corners(own.shape)
    apart = float(np.linalg.norm(away, axis=0).max())
    if apart > APART:
        raise ValueError(
            f"{label} and {image} have affines that put a voxel {apart:.3g} mm apart; at most "
            f"{APART} mm."
        )
    return own


def read(
    image: pathlib.Path,
    label: pathlib.Path,
    numbering: Numbering,
    spacing: float | int | None = None,
) -> Volume:
    """Reads an image and its labels.

    Axes are turned and flipped to the closest RAS; a volume that is oblique stays so. Intensities
    are scaled by percentiles of this image alone, see `sampling.scaled`.

    Args:
      image: The file of the image.
      label: The file of the ids, on the grid of the image.
      numbering: From id to structure.
      spacing: Isotropic spacing in mm to sample at, see `resampled`; `None` leaves the grid.

    Raises:
      FileNotFoundError: A file is missing.
      ValueError: A file breaks a rule; the message names the file and the rule. See `check_pair`.
    """
    own = check_pair(image, label)
    pixels = scaled(_voxels(image).astype(np.float32), image)
    ids = _integers(_voxels(label), label)
    volume = Volume(pixels, to_structures(ids, numbering, label), own.spacing)
    return volume if spacing is None else resampled(volume, spacing)


def _voxels(path: pathlib.Path) -> np.ndarray:
    """Returns the voxels of a file in RAS, after a look whether the file is whole."""
    image = _opened(path)
    turn = _grid(path, image).turn
    check_whole(path, _declared(image))
    try:
        array = np.asanyarray(image.dataobj)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read to its end: {error}") from None
    if not np.isfinite(array).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(f"{path} has {count} voxels that are NaN or infinite; all are finite.")
    return nibabel.orientations.apply_orientation(array.reshape(array.shape[:3]), turn)


def _integers(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
    """Returns labels as integers, which some programs write as floats."""
    if array.dtype.kind in "ui":
        return array
    whole = array.astype(np.int32)
    if (wrong := whole != array).any():
        raise ValueError(f"{path} holds the label {array[wrong].flat[0]}; labels are integers.")
    return whole
