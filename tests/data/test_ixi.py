"""IXI with DLMUSE's labels, where it lies: `$MEDADV_IXI`, or ../shared/data/ixi_bids."""

import csv
import os
import pathlib

import numpy as np
import pytest

from medadv_jax import data
from medadv_jax.data import bids, structures
from medadv_jax.data.splits import SPLITS

FOLDER = pathlib.Path(
    os.environ.get("MEDADV_IXI", pathlib.Path(__file__).parents[3] / "shared/data/ixi_bids")
)
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no IXI in {FOLDER}; set MEDADV_IXI to its BIDS folder"
)
LABELS = FOLDER / "derivatives" / "dlmuse"


def test_the_whole_tree_is_found_and_divided():
    table = bids.table(FOLDER.resolve())
    assert {split: part.size for split, part in table.splits.items()} == {
        "train": 24 * 120,
        "validation": 4 * 120,
        "test": 6 * 120,
    }


def test_the_label_table_is_muse():
    with open(LABELS / "desc-dlmuse_dseg.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    numbers = {int(row["index"]): structures.NAMES.index(row["structure27"]) for row in rows}
    assert numbers == structures.MUSE


def test_three_subjects(tmp_path, cache):
    names = ("sub-IXI132", "sub-IXI162", "sub-IXI174")
    root = tmp_path / "ixi"
    (root / "derivatives" / "dlmuse").mkdir(parents=True)
    for name in names:
        (root / name).symlink_to(FOLDER.resolve() / name)
        (root / "derivatives/dlmuse" / name).symlink_to(LABELS.resolve() / name)
    (root / "participants.tsv").symlink_to(FOLDER.resolve() / "participants.tsv")
    # Without the label table: what DLMUSE's ids mean is known.
    sources = [data.load("bids", split, root, spacing=4.0) for split in SPLITS]
    assert [len(source) for source in sources] == [60] * 3
    ages = {source[0]["subject"]: source[0]["age"] for source in sources}
    assert {name: round(age, 2) for name, age in ages.items()} == {
        **{"sub-IXI132": 58.72, "sub-IXI162": 50.52, "sub-IXI174": 63.1}
    }
    (whole,) = data.batches(sources[0], 60)
    assert whole.images.shape == (60, 60, 45, 1)
    assert set(np.unique(whole.labels)) == set(range(28))
    brain = whole.images[..., 0][whole.labels > 0]
    # Grey and white matter are brighter than the rest of the head and the air.
    assert brain.mean() > 0.3 > whole.images[whole.labels == 0].mean()
    left = np.isin(whole.labels, np.arange(1, 13)).nonzero()[2].mean()
    right = np.isin(whole.labels, np.arange(13, 25)).nonzero()[2].mean()
    assert left < 22 < right
    rows = [np.isin(whole.labels, n).nonzero()[1].mean() for n in (3, 5)]
    assert rows[0] < rows[1]  # the lateral ventricle above the cerebellum
    slices = [np.isin(whole.labels, n).nonzero()[0].mean() for n in (5, 7)]
    assert slices[0] < slices[1]  # the cerebellum behind the caudate
