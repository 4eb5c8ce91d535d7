"""What the file of a volume must be, found from its header before its voxels are read."""

import gzip
import math
import pathlib
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh")
"""File name endings of a volume."""
DEFLATE = 1032
"""The most that a gzip file can shrink."""
MGH_BYTES = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}
"""Bytes of a voxel by the type in an MGH header: uint8, int32, float32, int16, uint16."""


def ending(path: pathlib.Path) -> str:
    """Returns which of ENDINGS a file name has, "" if none."""
    return next((one for one in ENDINGS if path.name.endswith(one)), "")


def checked_shape(path: pathlib.Path, stored: Any, declared: int) -> tuple[int, ...]:
    """Returns the three sides of a volume of which a header declares some bytes."""
    shape = tuple(map(int, stored))  # MGZ counts in int32
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"{path} has the shape {shape}; a volume has three axes.")
    size = path.stat().st_size
    if declared > size * (1 if ending(path) in (".nii", ".mgh") else DEFLATE):
        raise ValueError(
            f"{path}: the header declares {declared} bytes, shape {shape}; a file of {size} bytes "
            "cannot hold them."
        )
    return shape


def check_mgh(path: pathlib.Path) -> None:
    """Raises ValueError for a fault of an MGH header that nibabel would not name.

    Where goodRASFlag says that the orientation is not known, nibabel makes one up; and it looks for
    what follows the voxels before their number can be checked.
    """
    try:
        with (gzip.open if ending(path) == ".mgz" else open)(path, "rb") as file:
            version, *shape, kind, _, known = struct.unpack(">7ih", file.read(30))
    except (EOFError, OSError, struct.error, zlib.error):
        return  # the caller refuses what is cut off or damaged
    if version != 1 or kind not in MGH_BYTES:
        return  # so it does what is of another format
    shape = shape if shape[3] > 1 else shape[:3]
    checked_shape(path, shape, 284 + math.prod(shape) * MGH_BYTES[kind])
    if known <= 0:
        raise ValueError(f"{path} has goodRASFlag {known}: which side is left is unknown.")


def check_whole(path: pathlib.Path, declared: int) -> None:
    """Raises ValueError if a compressed file is cut off, damaged or shorter than it declares.

    It is read through piece by piece, before memory for the declared size is taken.
    """
    if ending(path) in (".nii", ".mgh"):
        return
    length = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(2**20):
                length += len(piece)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file, cut off or damaged: {error}") from None
    if length < declared:
        raise ValueError(f"{path}: the header declares {declared} bytes, the file has {length}.")


def check_orientation(path: pathlib.Path, image: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError if a header does not say which side is left, or how large a voxel is."""
    affine, header = np.asarray(image.affine), image.header
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError(f"{path} has the affine {affine.tolist()}; it must be invertible.")
    if not isinstance(image, nibabel.Nifti1Image):
        return
    codes = int(header["qform_code"]), int(header["sform_code"])
    if not any(codes):
        raise ValueError(
            f"{path} has neither sform_code nor qform_code: which side is left is unknown."
        )
    if (unit := header.get_xyzt_units()[0]) not in ("mm", "unknown"):
        raise ValueError(f"{path} measures space in {unit}; a brain volume is in mm.")
    if min(codes) > 0:
        _check_forms(path, header, affine, shape)


def _check_forms(path: pathlib.Path, header: Any, sform: np.ndarray, shape: Sequence[int]) -> None:
    """Raises ValueError if qform and sform, which both count, place the voxels differently.

    Of two spaces, the scanner's and a template's, say, they need only have left on one side.
    """
    try:
        qform = header.get_qform()
        sides = ["".join(map(str, nibabel.aff2axcodes(form))) for form in (qform, sform)]
    except (ValueError, HeaderDataError) as error:
        raise ValueError(f"{path} has a qform that is no rotation: {error}.") from None
    away = (np.linalg.inv(sform) @ qform - np.eye(4)) @ corners(shape)
    apart, one_space = float(np.abs(away).max()), header["qform_code"] == header["sform_code"]
    if sides[0] != sides[1] or (one_space and not apart <= 1):
        raise ValueError(
            f"{path}: qform {qform.tolist()} ({sides[0]}, code {header['qform_code']}) and sform "
            f"{sform.tolist()} ({sides[1]}, code {header['sform_code']}) put a corner {apart:.3g} "
            "voxels apart; both count, so they agree about the axes and, with one code, to a voxel."
        )


def corners(shape: Sequence[int]) -> np.ndarray:
    """Returns the eight corners of a volume in voxels, homogeneous, `(4, 8)`."""
    return np.array(np.meshgrid(*((0, n - 1) for n in shape), [1.0])).reshape(4, -1)
