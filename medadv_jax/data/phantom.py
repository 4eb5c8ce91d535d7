"""Tables of generated data sets: they need no files, and each split is drawn on its own."""

import pathlib

from medadv_jax.data import lesion_phantom
from medadv_jax.data.table import Part, Table


def lesion(split: str, *, size: int = 96, count: int | None = None, seed: int = 0) -> Table:
    """Returns one split of the lesion phantoms; see `lesion_phantom`.

    Args:
      split: "train", "validation" or "test".
      size: Width and height in pixels.
      count: How many images; `None` for the split's own number.
      seed: Another seed is another data set.

    Raises:
      ValueError: `count` is below one, or `lesion_phantom.records` refuses an argument.
    """
    if count is not None and count < 1:
        raise ValueError(f"count is at least 1, got {count}.")
    start = lambda: lesion_phantom.records(split, size=size, count=count, seed=seed)
    start()  # refuses bad arguments here, before anything is written
    here = pathlib.Path(__file__).parent
    return Table(
        name="lesion_phantom",
        class_names=tuple(lesion_phantom.CLASS_NAMES),
        group="lesion_id",
        description=lesion_phantom.DESCRIPTION,
        homepage="",
        fields=lesion_phantom.FEATURES,
        splits={split: Part(count or lesion_phantom.COUNTS[split], start)},
        # A change of the drawing makes other images.
        fingerprint=(split, *(path.read_text() for path in sorted(here.glob("lesion_*.py")))),
    )
