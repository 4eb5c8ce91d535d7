"""The one entry to every data set."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

from medadv_jax.data import (
    bids,
    brain_phantom,
    brain_template,
    dermofit,
    folder,
    freesurfer,
    ham10000,
    isic2017,
    isic2019,
    malc,
    phantom,
)
from medadv_jax.data.prepare import prepare
from medadv_jax.data.source import Source
from medadv_jax.data.splits import SPLITS
from medadv_jax.data.table import Table

GENERATED: dict[str, Callable[..., Table]] = {
    "lesion_phantom": phantom.lesion,
    "brain_template": brain_template.table,
    "brain_phantom": brain_phantom.table,
}
"""Data sets that need no files: name to `table(split, **options)`."""
ON_DISK: dict[str, Callable[..., Table]] = {
    "ham10000": ham10000.table,
    "isic2017": isic2017.table,
    "isic2019": isic2019.table,
    "dermofit": dermofit.table,
    "folder": folder.table,
    "bids": bids.table,
    "malc": malc.table,
    "freesurfer": freesurfer.table,
}
"""Data sets that the user has in a folder: name to `table(data_dir, **options)`."""
NAMES = (*GENERATED, *ON_DISK)
"""Names that `load` knows."""


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike | None = None,
    *,
    cache_dir: str | os.PathLike | None = None,
    **options: Any,
) -> Source:
    """Opens a split of a data set; the first time it prepares the records.

    Args:
      name: One of `NAMES`.
      split: "train", "validation" or "test".
      data_dir: The folder of the data set in its published layout; it is only read. `None` for a
        data set that is generated.
      cache_dir: Where prepared records lie; default `$MEDADV_CACHE`, else `~/.cache/medadv_jax`.
      **options: What the data set takes besides, see its module: for "lesion_phantom" `size`,
        `count` and `seed`, for "folder" `csv` and `seed`, for "ham10000", "isic2019" and
        "dermofit" the `seed` of their division; every brain data set has `plane` and `spacing`,
        the generated ones `count` and `seed` besides, "bids" `pipeline`, `desc`, `labels`,
        `fractions` and `seed`, "malc" `validation` and `seed`, "freesurfer" `image`, `labels`,
        `horns`, `subject`, `fractions` and `seed`.

    Returns:
      A random-access source of records.

    Raises:
      FileNotFoundError: A file is missing; the message says where to get the data.
      ImportError: A package is missing; the message says how to install it.
      ValueError: A name is not known, or the data break a rule; the message names file, line, rule.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(NAMES)}.")
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are {', '.join(SPLITS)}.")
    if (data_dir is None) != (name in GENERATED):
        rule = "is generated and takes no" if name in GENERATED else "needs"
        raise ValueError(f"Data set {name!r} {rule} data_dir, got {data_dir!r}.")
    if data_dir is None:
        table = GENERATED[name](split, **options)
    else:
        table = ON_DISK[name](pathlib.Path(data_dir).resolve(), **options)
    table = dataclasses.replace(table, fingerprint=(*table.fingerprint, *sorted(options.items())))
    return prepare(table, split, _cache_dir(cache_dir))


def _cache_dir(given: str | os.PathLike | None) -> pathlib.Path:
    """Returns where prepared records lie."""
    chosen = given or os.environ.get("MEDADV_CACHE") or "~/.cache/medadv_jax"
    return pathlib.Path(chosen).expanduser()
