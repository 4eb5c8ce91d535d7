"""What the models were trained, chosen and tested on: how many images of each split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medadv_jax.data import Source
from medadv_jax.report import formats
from medadv_jax.report.rows import unique

TOTAL = "images of all classes"


def sizes(sources: Mapping[str, Source]) -> dict[str, dict[str, int]]:
    """Returns how many images of each class, and how many lesions or subjects, a split has.

    Args:
      sources: The records of each split by its name, such as "train" or "test".

    Returns:
      For each split the images of each class, or the slices or volumes of label maps; then the
      groups that are never split, such as "lesions".
    """
    found = {}
    for name, source in sources.items():
        groups = f"{source.group.removesuffix('_id')}s"
        found[name] = _images(source) | {groups: len(np.unique(source.column(source.group)))}
    return found


def _images(source: Source) -> dict[str, int]:
    if source.dense:
        whole = "slice" not in source.columns or bool((source.column("slice") < 0).all())
        return {"volumes" if whole else "slices": len(source)}
    counts = np.bincount(source.column("label"), minlength=source.num_classes)
    return dict(zip(source.class_names, counts.tolist(), strict=True))


def check(splits: Mapping[str, Mapping[str, int]]) -> None:
    """Refuses what is no count.

    Raises:
      ValueError: if a count is not a whole number from 0 up.
    """
    for split, counts in splits.items():
        for name, count in counts.items():
            whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
            if not whole or count < 0:
                raise ValueError(
                    f"The size of {name!r} in the split {split!r} is a whole number from 0 up, "
                    f"got {count!r}."
                )


def table(splits: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> dict[str, Any]:
    """Returns a table with a column a split; where there are classes, also their sum.

    Args:
      splits: For each split its counts by name.
      names: Names of the classes.
    """
    keys = unique(key for counts in splits.values() for key in counts)
    classes, others = ([k for k in keys if (k in names) == inside] for inside in (True, False))
    cell = lambda counts, key: formats.plain(int(counts[key])) if key in counts else formats.MISSING
    lines = [(key, [cell(counts, key) for counts in splits.values()]) for key in classes]
    if classes:
        sums = [sum(int(counts.get(key, 0)) for key in classes) for counts in splits.values()]
        lines.append((TOTAL, [formats.plain(number) for number in sums]))
    lines += [(key, [cell(counts, key) for counts in splits.values()]) for key in others]
    return {"columns": list(splits), "lines": lines}
