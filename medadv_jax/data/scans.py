"""A data set of brain scans in files: each an image and its labels, divided by subject."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from medadv_jax.data import sampling, slices, structures, volumes
from medadv_jax.data.splits import SPLITS, by_group
from medadv_jax.data.table import Part, Record, Table, stamp

FRACTIONS = (0.7, 0.12, 0.18)
"""Shares of the subjects for training, validation and test where there is no official division."""


class Scan(NamedTuple):
    """A scan in files.

    Attributes:
      name: Unique in the data set.
      subject: Whose scan it is.
      image: File of the image.
      label: File of the ids.
      fields: What else is known of it.
    """

    name: str
    subject: str
    image: pathlib.Path
    label: pathlib.Path
    fields: Mapping[str, Any]


def divided(
    scans: Sequence[Scan],
    origin: pathlib.Path,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> list[str]:
    """Returns the split of each scan such that no subject is in two; see `splits.by_group`.

    Raises:
      ValueError: There are fewer than three subjects, or the fractions are none.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions are three shares above 0 of sum 1, got {fractions}.")
    subjects = [scan.subject for scan in scans]
    if len(set(subjects)) < 3:
        raise ValueError(
            f"{origin} has the subjects {sorted(set(subjects))}; a division into "
            f"{', '.join(SPLITS)} needs at least 3."
        )
    return by_group(subjects, [0] * len(scans), ["brain"], fractions=fractions, seed=seed)


def table(
    name: str,
    scans: Sequence[Scan],
    splits: Sequence[str],
    *,
    numbering: structures.Numbering,
    plane: str,
    spacing: float | int | None,
    fields: Mapping[str, Any],
    description: str,
    homepage: str,
    files: Iterable[pathlib.Path] = (),
) -> Table:
    """Returns the table of some scans whose headers have been checked.

    Args:
      name: Name of the data set.
      scans: The scans.
      splits: The split of each.
      numbering: From id to structure.
      plane: One of `slices.PLANES`.
      spacing: Isotropic spacing in mm, or `None` for each scan's own.
      fields: Type of each of the scans' own fields.
      description: One sentence for reports.
      homepage: Where the data set comes from.
      files: What the records depend on besides images and labels.

    Raises:
      FileNotFoundError: A file is missing.
      ValueError: A header breaks a rule, two scans have one name or one file of labels, a subject
        is in two splits, or a split is empty.
    """
    slices.check_plane(plane)
    _check_once(scans)
    parts: dict[str, list[Scan]] = {split: [] for split in SPLITS}
    split_of: dict[str, str] = {}
    for scan, split in sorted(zip(scans, splits, strict=True), key=lambda pair: pair[0][:2][::-1]):
        if split_of.setdefault(scan.subject, split) != split:
            raise ValueError(
                f"{scan.image}: subject {scan.subject} is in {split} and in "
                f"{split_of[scan.subject]}; a subject is in one split."
            )
        parts[split].append(scan)
    if empty := [split for split, own in parts.items() if not own]:
        raise ValueError(f"{name}: the {empty[0]} split has no scan.")
    return Table(
        name=name,
        description=description,
        homepage=homepage,
        fields={**slices.FIELDS, **fields},
        splits={split: _part(own, numbering, plane, spacing) for split, own in parts.items()},
        fingerprint=(
            *stamp([*files, *(file for scan in scans for file in (scan.image, scan.label))]),
            sorted(numbering.items()),
            [(scan.name, scan.subject, split) for scan, split in zip(scans, splits, strict=True)],
            sampling.PERCENTILES,
        ),
        **slices.kind(plane),
    )


def _check_once(scans: Sequence[Scan]) -> None:
    """Raises ValueError if two scans have one name, or share their labels."""
    named: dict[str, Scan] = {}
    labelled: dict[pathlib.Path, Scan] = {}
    for scan in scans:
        if (other := named.setdefault(scan.name, scan)) is not scan:
            raise ValueError(f"{scan.image} and {other.image} are the same scan twice.")
        if (other := labelled.setdefault(scan.label, scan)) is not scan:
            raise ValueError(
                f"{scan.label} would label both {scan.image} and {other.image}; a label file "
                "belongs to one image."
            )


def _part(
    scans: Sequence[Scan], numbering: structures.Numbering, plane: str, spacing: float | int | None
) -> Part:
    """Returns the records of some scans, of which one at a time is in memory."""
    size = 0
    for scan in scans:
        grid = volumes.check_pair(scan.image, scan.label)
        size += slices.count(sampling.sampled_shape(grid.shape, grid.spacing, spacing), plane)

    def start() -> Iterator[Record]:
        for scan in scans:
            volume = volumes.read(scan.image, scan.label, numbering, spacing)
            yield from slices.records(scan.name, volume, plane, scan.subject, scan.fields)

    return Part(size, start)
