"""Scores of a segmenter as metrics: per subject, then the mean over subjects and structures.

The slices of a subject are pooled first: Dice is that of the whole subject, not a mean of slices,
whose empty ones would have none. A part is one of the structures 1 .. k-1 (0 is the background and
left out): the mean over the subjects that have it. The score is the mean of the parts.

What the truth of a subject does not hold is undefined, left out and counted, whatever is predicted:
a clean and a perturbed score are means over the same structures of the same subjects.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, Shaped, UInt8

from medadv_jax.metrics import segmentation
from medadv_jax.metrics.metric import Metric, over_records, ratio

SpacingOfRecords: TypeAlias = Sequence[float] | Real[np.ndarray, "..."]
"""Side lengths of a voxel in mm: one triple, or a row for every record of the source."""


def overlaps(
    logits: Float[Array, "*space k"], label: Int[Array, "*space"]
) -> Int[Array, "3 structures"]:
    """Pixels of every structure: shared, predicted and true, int32; label -1 does not count."""
    structures = jnp.arange(1, logits.shape[-1]).reshape((1,) * label.ndim + (-1,))
    counts = (label >= 0)[..., None]
    predicted = (jnp.argmax(logits, axis=-1)[..., None] == structures) & counts
    true = label[..., None] == structures
    pixels = lambda masks: jnp.sum(masks, axis=tuple(range(label.ndim)), dtype=jnp.int32)
    return jnp.stack([pixels(predicted & true), pixels(predicted), pixels(true)])


def label_maps(
    logits: Float[Array, "*space k"], label: Int[Array, "*space"]
) -> UInt8[Array, "2 *space"]:
    """The predicted and the true label map; where the label is -1 both are background."""
    if logits.shape[-1] > 256:
        raise ValueError(f"Label maps are kept as uint8, got {logits.shape[-1]} classes.")
    counts = label >= 0
    both = jnp.stack([jnp.argmax(logits, axis=-1).astype(label.dtype), label])
    return jnp.where(counts[None], both, 0).astype(jnp.uint8)


def dice(num_classes: int) -> Metric:
    """Dice overlap, $2 |P \\cap T| / (|P| + |T|)$ of all pixels of a subject.

    0 where nothing of a structure is predicted, undefined where the truth does not have it.

    >>> two_subjects = np.array([[[4], [5], [7]], [[0], [0], [0]]])
    >>> metric = dice(2)
    >>> round(metric.score(two_subjects, np.ones(2)), 4), metric.undefined(two_subjects, np.ones(2))
    (0.6667, array([1]))
    """
    return _overlap("dice", segmentation.dice_of, num_classes)


def iou(num_classes: int) -> Metric:
    """Intersection over union of all pixels of a subject; undefined where `dice` is."""
    return _overlap("iou", segmentation.iou_of, num_classes)


def volume_error(num_classes: int) -> Metric:
    """Relative error of a subject's volume, (V_pred - V_true) / V_true, positive for too much.

    Errors of two subjects may cancel in the mean: see `absolute_volume_error`.
    """
    return _overlap("volume_error", segmentation.volume_error_of, num_classes)


def absolute_volume_error(num_classes: int) -> Metric:
    """Relative error of a subject's volume without its sign, |V_pred - V_true| / V_true."""
    return _overlap("absolute_volume_error", _absolute_volume_error, num_classes)


def hd95(
    num_classes: int,
    spacing: SpacingOfRecords,
    slices: Int[np.ndarray, " n"] | None = None,
    scans: Shaped[np.ndarray, " n"] | None = None,
) -> Metric:
    """Hausdorff distance of 95 % in mm, of a subject's volume; see `segmentation.hd95`.

    The slices of a scan, in the order of their records, are stacked into its volume (a single slice
    stays plane); a record of three axes is a volume itself. They must be neighbours: of slices
    picked at random no surface can be made. With `slices` that is checked, and every second slice,
    say, is that much thicker. The distance of a subject is the mean of its scans'.

    A structure of which nothing is predicted has no surface to measure to. To leave it out would
    reward whoever erases it, and infinity would end every mean: it counts as the diagonal of the
    volume, the largest distance that there can be.

    Args:
      num_classes: k, at most 256.
      spacing: Side lengths of a voxel in mm, `(3,)`, or `(n, 3)` for each record of the source: of
        a slice its two axes, then from slice to slice; of a volume along its axes.
      slices: The slice number of each record of the source, as `source.column("slice")`.
      scans: The scan of each record, as `source.column("scan")`; None if a subject has one.

    Raises:
      ValueError: A spacing is not positive; when pooled, the slices of a scan are not evenly spaced
        or differ in spacing.
    """
    return _surface("hd95", 0, num_classes, spacing, slices, scans)


def average_surface_distance(
    num_classes: int,
    spacing: SpacingOfRecords,
    slices: Int[np.ndarray, " n"] | None = None,
    scans: Shaped[np.ndarray, " n"] | None = None,
) -> Metric:
    """Average distance in mm between the surfaces of a subject; arguments and rules as in `hd95`.

    See `segmentation.average_surface_distance`.
    """
    return _surface("average_surface_distance", 1, num_classes, spacing, slices, scans)


def _overlap(name: str, each: Callable[[np.ndarray], np.ndarray], num_classes: int) -> Metric:
    values = _Values(each, num_classes, 3)
    return Metric(name, overlaps, over_records(values), pool=_summed, each=values)


def _surface(
    name: str,
    row: int,
    num_classes: int,
    spacing: SpacingOfRecords,
    slices: np.ndarray | None,
    scans: np.ndarray | None,
) -> Metric:
    sides = np.asarray(spacing, np.float64)
    if sides.ndim > 2 or sides.shape[-1:] != (3,) or not (np.isfinite(sides) & (sides > 0)).all():
        raise ValueError(
            "spacing is three positive lengths in mm, or three for each record, got "
            f"{spacing if sides.ndim == 1 else f'an array {sides.shape}'}."
        )
    # Tuples: two metrics that measure the same surfaces have equal pools, so one measuring will do.
    rows = tuple(sides.tolist()) if sides.ndim == 1 else tuple(map(tuple, sides.tolist()))
    listed = lambda column: None if column is None else tuple(column.tolist())
    pool = _Stack(num_classes, rows, listed(slices), listed(scans))
    values = _Values(_Row(row), num_classes, 2)
    return Metric(name, label_maps, over_records(values), pool=pool, each=values)


def _summed(outcomes: np.ndarray, records: np.ndarray) -> np.ndarray:
    return outcomes.sum(axis=0, dtype=np.int64)


def _absolute_volume_error(overlaps: np.ndarray) -> np.ndarray:
    return np.abs(segmentation.volume_error_of(overlaps))


@dataclasses.dataclass(frozen=True)
class _Row:
    row: int

    def __call__(self, outcomes: np.ndarray) -> np.ndarray:
        return outcomes[:, self.row]


@dataclasses.dataclass(frozen=True)
class _Values:
    """The value of every record and structure, from outcomes `(n, rows, k-1)`."""

    each: Callable[[np.ndarray], np.ndarray]
    num_classes: int
    rows: int

    def __call__(self, outcomes: Shaped[np.ndarray, "n ..."]) -> Float[np.ndarray, "n structures"]:
        if outcomes.shape[1:] != (expected := (self.rows, self.num_classes - 1)):
            raise ValueError(
                f"Outcomes of {self.num_classes} classes, pooled by subject (`metrics.pooled`), "
                f"are (n, {expected[0]}, {expected[1]}), got {outcomes.shape}."
            )
        return self.each(outcomes)


@dataclasses.dataclass(frozen=True)
class _Stack:
    """Makes surface distances `(2, k-1)` of the label maps of one subject; see `hd95`."""

    num_classes: int
    spacing: tuple
    slices: tuple | None
    scans: tuple | None

    def __call__(self, outcomes: np.ndarray, records: np.ndarray) -> Float[np.ndarray, "2 k"]:
        if outcomes.ndim == 5:  # each record is a volume
            scans = np.arange(len(records))
        else:
            scans = np.zeros(len(records)) if self.scans is None else np.array(self.scans)[records]
        found = [self._scan(outcomes[scans == s], records[scans == s]) for s in np.unique(scans)]
        defined = ~np.isnan(found)
        return ratio(np.sum(found, axis=0, where=defined), defined.sum(axis=0))

    def _scan(self, outcomes: np.ndarray, records: np.ndarray) -> Float[np.ndarray, "2 k"]:
        """Returns the distances of one volume."""
        maps, spacing = outcomes[0], self._spacing(records)
        if outcomes.ndim == 4:
            maps = np.moveaxis(outcomes, 0, -1) if len(outcomes) > 1 else maps
            spacing = spacing * [1, 1, self._step(records)]
        spacing = spacing[: maps.ndim - 1]
        found = segmentation.surface_distances(maps[0], maps[1], self.num_classes, spacing)
        diagonal = np.linalg.norm((np.array(maps.shape[1:]) - 1) * spacing)
        return np.where(np.isinf(found), diagonal, found)

    def _spacing(self, records: np.ndarray) -> np.ndarray:
        rows = np.asarray(self.spacing)
        rows = rows[None] if rows.ndim == 1 else rows[records]
        if (rows != rows[0]).any():
            raise ValueError(
                f"The slices of a scan have one spacing, got {np.unique(rows, axis=0).tolist()} "
                f"in the scan of record {records[0]}."
            )
        return rows[0]

    def _step(self, records: np.ndarray) -> int:
        """How many slices it is from one record to the next."""
        if self.slices is None or len(records) == 1:
            return 1
        places = np.asarray(self.slices)[records]
        steps = np.unique(np.diff(places))
        if len(steps) > 1 or steps[0] == 0:
            raise ValueError(
                "Surface distances need evenly spaced slices in their order, got the slices "
                f"{places.tolist()} in the scan of record {records[0]}; of a subject with several, "
                "say which record belongs to which (`scans`)."
            )
        return abs(int(steps[0]))
