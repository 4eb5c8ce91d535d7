import numpy as np
import pytest

from medadv_jax.data import structures
from medadv_jax.data.structures import (
    DESIKAN_KILLIANY,
    FREESURFER,
    MUSE,
    NAMES,
    NEUROMORPHOMETRICS,
    NUMBERINGS,
    to_structures,
)


def test_names():
    assert len(NAMES) == len(set(NAMES)) == 28 and NAMES[0] == "background"
    left, right = NAMES[1:13], NAMES[13:25]
    assert [name.removeprefix("left-") for name in left] == [
        name.removeprefix("right-") for name in right
    ]
    assert NAMES[25:] == ("third-ventricle", "fourth-ventricle", "brain-stem")


@pytest.mark.parametrize("numbering", NUMBERINGS.values(), ids=NUMBERINGS)
def test_every_structure_has_an_id_and_zero_is_background(numbering):
    assert set(numbering.values()) == set(range(28)) and numbering[0] == 0


@pytest.mark.parametrize(
    "numbering, raw, name",
    [
        (FREESURFER, 2, "left-cerebral-white-matter"),
        (FREESURFER, 42, "right-cerebral-cortex"),
        (FREESURFER, 10, "left-thalamus"),
        (FREESURFER, 60, "right-ventral-dc"),
        (FREESURFER, 5, "background"),
        (FREESURFER, 255, "background"),
        (structures.with_horns(FREESURFER), 44, "right-lateral-ventricle"),
        (DESIKAN_KILLIANY, 1035, "left-cerebral-cortex"),
        (DESIKAN_KILLIANY, 2000, "right-cerebral-cortex"),
        (DESIKAN_KILLIANY, 53, "right-hippocampus"),
        (MUSE, 94, "left-cerebral-white-matter"),
        (MUSE, 81, "right-cerebral-white-matter"),
        (MUSE, 50, "left-lateral-ventricle"),
        (MUSE, 207, "left-cerebral-cortex"),
        (MUSE, 100, "right-cerebral-cortex"),
        (MUSE, 38, "right-cerebellum-cortex"),
        (MUSE, 41, "left-cerebellum-white-matter"),
        (MUSE, 35, "brain-stem"),
        (MUSE, 95, "background"),
        (NEUROMORPHOMETRICS, 45, "left-cerebral-white-matter"),
        (NEUROMORPHOMETRICS, 44, "right-cerebral-white-matter"),
        (NEUROMORPHOMETRICS, 69, "background"),
        (NEUROMORPHOMETRICS, 62, "left-ventral-dc"),
    ],
)
def test_ids_mean_what_their_makers_say(numbering, raw, name):
    assert NAMES[numbering[raw]] == name


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64])
def test_ids_become_numbers(dtype):
    raw = np.array(sorted(key for key in FREESURFER if key < 128), dtype).reshape(1, -1)
    numbers = to_structures(raw, FREESURFER, "f")
    assert numbers.dtype == np.uint8 and numbers.shape == raw.shape
    assert numbers[0].tolist() == [FREESURFER[int(one)] for one in raw[0]]


@pytest.mark.parametrize(
    "ids, named", [([19, 2, 19, 21], "19, 21"), ([-3], "-3"), ([9999], "9999")]
)
def test_strange_ids_are_named(ids, named):
    with pytest.raises(ValueError, match=f"a.mgz: the label ids {named} are not in the table"):
        to_structures(np.array(ids), FREESURFER, "a.mgz")


def test_many_strange_ids_and_other_types():
    with pytest.raises(ValueError, match="1019, …"):
        to_structures(np.arange(1000, 1100), FREESURFER, "f")
    with pytest.raises(ValueError, match="integer type, got float64"):
        to_structures(np.zeros(3), FREESURFER, "f")
