"""Tables of generated brains, of which each split is drawn on its own."""

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from medadv_jax.data import slices
from medadv_jax.data.splits import SPLITS
from medadv_jax.data.table import Part, Record, Table


def check(
    name: str, split: str, number: int, seed: int, spacing: float, limits: Sequence[float]
) -> None:
    """Raises ValueError for what no generated brain data set takes.

    Args:
      name: Name of the data set, for the message.
      split: One of SPLITS.
      number: Which brain, from 0.
      seed: Of the data set, from 0.
      spacing: Edge of a voxel in mm.
      limits: Smallest and largest spacing.
    """
    if split not in SPLITS:
        raise ValueError(f"The splits of {name} are {', '.join(SPLITS)}; got {split!r}.")
    if number < 0 or seed < 0:
        raise ValueError(f"{name}: number and seed are at least 0, got {number} and {seed}.")
    if not limits[0] <= spacing <= limits[1]:
        raise ValueError(
            f"{name}: spacing is {limits[0]} to {limits[1]} mm, got {spacing}; beyond it "
            "structures are lost or there is nothing more to see."
        )


def table(
    draw: Callable[[int], slices.Volume],
    split: str,
    *,
    name: str,
    subject: str,
    description: str,
    shape: tuple[int, int, int],
    plane: str,
    count: int,
    fingerprint: tuple[Any, ...] = (),
) -> Table:
    """Returns the table of one split of a generated data set.

    Args:
      draw: From the number of a brain, from 0, to its volume.
      split: The split.
      name: Name of the data set.
      subject: First part of the subjects' names, as in "template-test-003".
      description: One sentence for reports.
      shape: Of every volume.
      plane: See `slices.PLANES`.
      count: How many brains.
      fingerprint: Of what is read besides the source text.

    Raises:
      ValueError: An unknown plane, or `count` is below one.
    """
    if count < 1:
        raise ValueError(f"{name}: count is at least 1, got {count}.")

    def records() -> Iterator[Record]:
        for number in range(count):
            who = f"{subject}-{split}-{number:03d}"
            yield from slices.records(who, draw(number), plane, who)

    here = pathlib.Path(__file__).parent
    code = [*sorted(here.glob("brain_*.py")), here / "slices.py", here / "structures.py"]
    return Table(
        name=name,
        description=description,
        homepage="",
        fields=slices.FIELDS,
        splits={split: Part(count * slices.count(shape, plane), records)},
        # A change of the drawing makes other volumes.
        fingerprint=(split, *fingerprint, *(path.read_text() for path in code)),
        **slices.kind(plane),
    )
