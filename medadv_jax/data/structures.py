"""The 27 structures of whole-brain segmentation, and the numberings that label volumes use."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

SIDED = (
    "cerebral-white-matter",
    "cerebral-cortex",
    "lateral-ventricle",
    "cerebellum-white-matter",
    "cerebellum-cortex",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "hippocampus",
    "amygdala",
    "ventral-dc",
)
"""Structures that there are twice, left and right."""
MIDLINE = ("third-ventricle", "fourth-ventricle", "brain-stem")
"""Structures that there are once."""
NAMES = (
    "background",
    *(f"left-{name}" for name in SIDED),
    *(f"right-{name}" for name in SIDED),
    *MIDLINE,
)
"""Number to name: 0 background, 1 to 12 left, 13 to 24 right, 25 to 27 on the midline."""

Numbering = Mapping[int, int]
"""From the id in a label volume to the number of its structure; 0 for a known id that is none."""


def _numbering(
    left: Iterable[tuple[int, ...]],
    right: Iterable[tuple[int, ...]],
    midline: Iterable[int],
    background: Iterable[int],
) -> dict[int, int]:
    """Returns a numbering from the ids of each structure, in the order of SIDED and MIDLINE."""
    groups = [(0, *background), *left, *right, *((one,) for one in midline)]
    return {raw: number for number, group in enumerate(groups) for raw in group}


# Which recon-all writes besides: inferior horns 5 44, CSF 24, accumbens 26 58, vessels 30 62,
# choroid plexus 31 63, fifth ventricle 72, hypointensities 77 to 82, optic chiasm 85, corpus
# callosum 192 and 251 to 255 (250 is the fornix).
_ASEG_OTHER = (5, 24, 26, 30, 31, 44, 58, 62, 63, 72, *range(77, 83), 85, 192, *range(250, 256))
_ASEG_LEFT = ((2,), (3,), (4,), (7,), (8,), (10,), (11,), (12,), (13,), (17,), (18,), (28,))
_ASEG_RIGHT = ((41,), (42,), (43,), (46,), (47,), (49,), (50,), (51,), (52,), (53,), (54,), (60,))

FREESURFER: Numbering = _numbering(_ASEG_LEFT, _ASEG_RIGHT, (14, 15, 16), _ASEG_OTHER)
"""Ids of FreeSurfer's `aseg.mgz`; the inferior horns (5, 44) are background, see `with_horns`."""

DESIKAN_KILLIANY: Numbering = {
    **FREESURFER,
    **dict.fromkeys(range(1000, 1036), NAMES.index("left-cerebral-cortex")),
    **dict.fromkeys(range(2000, 2036), NAMES.index("right-cerebral-cortex")),
}
"""Ids of FreeSurfer's `aparc+aseg.mgz`: as FREESURFER, the cortex in parcels."""

# Not every number between 100 and 207 is a gyrus.
_GYRI = tuple(sorted({*range(100, 208)} - {110, 111, 126, 127, 130, 131, 158, 159, 188, 189}))
_DEEP_LEFT = ((41,), (39,), (60,), (37,), (58,), (56,), (48,), (32,), (62,))
_DEEP_RIGHT = ((40,), (38,), (59,), (36,), (57,), (55,), (47,), (31,), (61,))
_LEFT_GYRI, _RIGHT_GYRI = _GYRI[1::2], _GYRI[::2]

MUSE: Numbering = _numbering(
    (tuple(range(82, 95, 2)), _LEFT_GYRI, (50, 52), *_DEEP_LEFT),
    (tuple(range(81, 94, 2)), _RIGHT_GYRI, (49, 51), *_DEEP_RIGHT),
    (4, 11, 35),
    (1, 23, 30, 46, 69, 71, 72, 73, 75, 76, 95),
)
"""Ids of MUSE and DLMUSE, white matter by lobes; accumbens, vermis, basal forebrain, CSF and corpus
callosum are background."""

NEUROMORPHOMETRICS: Numbering = _numbering(
    ((45,), tuple(range(101, 208, 2)), (50, 52), *_DEEP_LEFT),
    ((44,), tuple(range(100, 207, 2)), (49, 51), *_DEEP_RIGHT),
    (4, 11, 35),
    (23, 30, 46, 53, 54, 63, 64, 69, 71, 72, 73, 75, 76),
)
"""Ids of Neuromorphometrics, Inc., as in the MICCAI 2012 challenge: white matter 44 and 45, every
gyrus from 100 to 207 is cortex, those too that the challenge did not judge; lesions (53, 54),
vessels (63, 64) and the optic chiasm (69) are background besides what is so in MUSE."""

NUMBERINGS: Mapping[str, Numbering] = {
    "freesurfer": FREESURFER,
    "desikan_killiany": DESIKAN_KILLIANY,
    "muse": MUSE,
    "neuromorphometrics": NEUROMORPHOMETRICS,
}
"""Name to numbering, for options."""


def with_horns(numbering: Numbering) -> dict[int, int]:
    """Returns a FreeSurfer numbering whose inferior horns count as lateral ventricle, as in MUSE.

    >>> FREESURFER[5], NAMES[with_horns(FREESURFER)[5]]
    (0, 'left-lateral-ventricle')
    """
    left, right = NAMES.index("left-lateral-ventricle"), NAMES.index("right-lateral-ventricle")
    return {**numbering, 5: left, 44: right}


def to_structures(labels: np.ndarray, numbering: Numbering, origin: Any) -> np.ndarray:
    """Turns the ids of a label volume into the numbers of structures.

    Args:
      labels: Ids, of any shape and any integer type.
      numbering: From id to number, for example `MUSE`.
      origin: The file, for the message.

    Returns:
      uint8 numbers 0 to 27, of the same shape.

    Raises:
      ValueError: `labels` is not of an integer type, or holds an id that is not in the numbering.

    >>> to_structures(np.array([[0, 10], [49, 16]]), FREESURFER, "aseg.mgz")
    array([[ 0,  6],
           [18, 27]], dtype=uint8)
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{origin}: labels are of an integer type, got {labels.dtype}.")
    unknown = 255
    known = np.full(max(numbering) + 2, unknown, np.uint8)
    known[list(numbering)] = list(numbering.values())
    places = labels.astype(np.intp)
    numbers = known.take(places, mode="clip")  # beyond the table is its last entry, unknown
    numbers[places < 0] = unknown
    if (strange := numbers == unknown).any():
        ids = np.unique(labels[strange])
        named = ", ".join(map(str, ids[:20])) + (", …" if len(ids) > 20 else "")
        raise ValueError(
            f"{origin}: the label ids {named} are not in the table of structures; every id of a "
            "label volume is."
        )
    return numbers
