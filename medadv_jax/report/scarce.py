"""Alarms about classes and structures with so few examples that a score of them says little."""

from collections.abc import Sequence

from medadv_jax.report import colors, formats
from medadv_jax.report.alarms import Alarm
from medadv_jax.report.breakdown import Breakdown

FEW = 5
"""Examples of a class, or subjects with a structure, below which an alarm is raised."""
LISTED = 8
"""Most parts that an alarm names, those with the fewest examples first."""


def find(
    recalls: Sequence[Breakdown], structures: Sequence[Breakdown], names: Sequence[str]
) -> list[Alarm]:
    """Returns an alarm if a class has few images, and one if few subjects have a structure.

    Args:
      recalls: Recall of each class; those with counts are read.
      structures: Score of each structure; those with counts are read.
      names: Names of the classes, of label maps the background first.
    """
    parts = [colors.words(name) for name in names[1:]]
    return [
        *_few(recalls, names, ("class", "classes"), "images"),
        *_few(structures, parts, ("structure", "structures"), "subjects"),
    ]


def counted(entries: Sequence[Breakdown]) -> Sequence[int] | None:
    """Returns the examples of each part on clean images, None if nobody told them."""
    told = [entry for entry in entries if entry.counts is not None]
    told.sort(key=lambda entry: entry.setting is not None)
    return told[0].counts if told else None


def _few(
    entries: Sequence[Breakdown], names: Sequence[str], words: tuple[str, str], unit: str
) -> list[Alarm]:
    counts = counted(entries)
    few = [
        (int(count), name)
        for count, name in zip(counts or (), names, strict=counts is not None)
        if count < FEW
    ]
    if not few:
        return []
    score = formats.metric(entries[0].metric)
    its, it = ("Its score", "it") if len(few) == 1 else ("Their scores", "them")
    rest = (
        f"{its}, and through {it} the {score} and its interval, rest on so few: one {unit[:-1]} "
        f"more or less would move them far."
    )
    if len(few) == len(names) > 1 and len({count for count, _ in few}) == 1:
        text = f"Each of the {len(names)} {words[1]} was evaluated on {_only(few[0][0], unit)}."
        return [Alarm(f"few {unit}", "", f"{text} {rest}")]
    few.sort(key=lambda entry: entry[0])
    listed = ", ".join(f"{name} ({_told(count, unit)})" for count, name in few[:LISTED])
    more = f" and {len(few) - LISTED} more" if len(few) > LISTED else ""
    number = f"{len(few)} {words[len(few) > 1]}"
    text = f"{number} had fewer than {FEW} test {unit}: {listed}{more}."
    return [Alarm(f"few {unit}", "", f"{text} {rest}")]


def _only(count: int, unit: str) -> str:
    return f"only {count} {unit if count != 1 else unit[:-1]}"


def _told(count: int, unit: str) -> str:
    return f"{count} {unit if count != 1 else unit[:-1]}" if count else "none, left out"
