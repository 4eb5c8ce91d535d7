"""What the ids of a BIDS label volume mean."""

import pathlib

from medadv_jax.data.structures import NAMES, NUMBERINGS, Numbering
from medadv_jax.data.table import read_csv

WELL_KNOWN = {
    "aseg": "freesurfer",
    "aparcaseg": "desikan_killiany",
    "dlmuse": "muse",
    "muse": "muse",
}
"""Entity `desc` of label files to the numbering that its makers use (fMRIPrep, NiChart)."""
COLUMN = "structure27"
"""Column of a label table that names one of `structures.NAMES` for each id."""


def numbering_of(
    data_dir: pathlib.Path, folder: pathlib.Path, desc: str, labels: str | None
) -> tuple[Numbering, list[pathlib.Path]]:
    """Returns the numbering of some label volumes and the label table that it was read from.

    In this order: the numbering named by `labels`; a label table whose column COLUMN gives the
    structure of each `index`; a `desc` that is WELL_KNOWN. Label tables are `desc-<desc>_dseg.tsv`
    and `dseg.tsv`, in the derivative's folder or at the top level; where they have no row for id 0,
    it is background. The structure is not guessed from the names of regions, which differ from one
    pipeline to the next.

    Args:
      data_dir: The data set.
      folder: Its derivative.
      desc: Entity `desc` of the labels, "" for none.
      labels: A name of `structures.NUMBERINGS`, or `None`.

    Raises:
      ValueError: `labels` is no numbering, a table breaks a rule, or nothing says what ids mean.
    """
    if labels is not None:
        if labels not in NUMBERINGS:
            raise ValueError(f"labels is one of {', '.join(NUMBERINGS)}; got {labels!r}.")
        return NUMBERINGS[labels], []
    names = [*([f"desc-{desc}_dseg.tsv"] if desc else []), "dseg.tsv"]
    tables = [place / name for name in names for place in (folder, data_dir)]
    for path in filter(pathlib.Path.exists, tables):
        if (numbering := _read(path)) is not None:
            return numbering, [path]
    if desc in WELL_KNOWN:
        return NUMBERINGS[WELL_KNOWN[desc]], []
    raise ValueError(
        f"{folder}: what the ids of *_dseg with desc {desc!r} mean is said neither by labels= "
        f"({', '.join(NUMBERINGS)}) nor by a table with the columns index and {COLUMN} "
        f"({', '.join(map(str, tables))})."
    )


def _read(path: pathlib.Path) -> Numbering | None:
    """Returns the numbering of a label table, None if it has no column COLUMN."""
    rows = read_csv(path, ("index",), key="index", homepage="its makers", delimiter="\t")
    if COLUMN not in rows[0].values:
        return None
    numbering = {0: 0}  # what no tool marks, whether or not the table has a row for it
    for row in rows:
        number = row.number("index")
        if not (number >= 0 and number.is_integer()):
            raise row.error(f"index is a whole number from 0, got {row['index']!r}.")
        numbering[int(number)] = row.choice(COLUMN, NAMES)
    return numbering
