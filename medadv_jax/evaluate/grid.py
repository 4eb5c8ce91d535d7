"""The grid of an evaluation: which perturbation is made on which model, and who judges it."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
import rich.progress

from medadv_jax.evaluate import cells, identity, making
from medadv_jax.evaluate.cells import Cell
from medadv_jax.metrics import Metric
from medadv_jax.types import Attack, Batch, Predict, PRNGKey

Perturbation: TypeAlias = (
    Attack | Sequence[Attack] | Mapping[str, Attack] | Mapping[str, Sequence[Attack]]
)
"""What one label stands for: an attack, several sizes of it, or either for each model by name."""


class Crossing(NamedTuple):
    """One perturbation made on one model, to be judged by some.

    Attributes:
      perturbation: Its label.
      attack: What perturbs, None for nothing.
      source: Name of the model that it is made on; None if it does not see a model.
      judges: Names of the models that judge it.
    """

    perturbation: str
    attack: Attack | None
    source: str | None
    judges: tuple[str, ...]

    @property
    def eps(self) -> float | None:
        """The value of the knob that makes the attack stronger, None if it has no such knob.

        Of an attack that knows the `radius` of its changes, whose knob is a factor, the radius.
        """
        knob = "radius" if hasattr(self.attack, "radius") else getattr(self.attack, "size", None)
        value = None if knob is None else getattr(self.attack, knob)
        return None if value is None else float(value)

    @property
    def name(self) -> str:
        """Its name for a reader."""
        strength = "" if self.eps is None else f" {self.eps:g}"
        return f"{self.perturbation}{strength}" + (f" on {self.source}" if self.source else "")

    def access(self, judge: str) -> str:
        """What the perturbation knew of a judge: "clean", "noise", "white" or "black"."""
        if self.attack is None:
            return "clean"
        if self.source is None:
            return "noise"
        return "white" if self.source == judge else "black"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The cells of a grid; `rows`, `parts` and `examples` read it.

    Attributes:
      metrics: The scores to compute.
      cells: Every crossing with its cell; the first is the clean one, judged by all models.
      gallery: The records whose images the cells keep.
      memory: What was pooled by subject so far, see `subjects.read`.
    """

    metrics: tuple[Metric, ...]
    cells: tuple[tuple[Crossing, Cell], ...]
    gallery: tuple[int, ...]
    memory: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def misclassified(self, model: str, place: int = 0) -> np.ndarray:
        """Whether a model has each record wrong when clean, `(n,)`, by the rule of a cell."""
        crossing, cell = self.cells[place]
        if cell.wrong is not None:
            return cell.wrong[crossing.judges.index(model)]
        crossing, cell = self.cells[0]
        return cell.fooled[crossing.judges.index(model)]


def run(
    key: PRNGKey,
    models: Mapping[str, Predict],
    perturbations: Mapping[str, Perturbation],
    batches: Iterable[Batch],
    *,
    metric: Metric | Sequence[Metric],
    black_box: bool = True,
    cache: str | os.PathLike[str] | None = None,
    gallery: Sequence[int] | np.ndarray | None = None,
    progress: bool = False,
) -> Evaluation:
    """Crosses models with perturbations and keeps all that was found.

    Its arguments and errors are those of `matrix`, which makes rows of it, and besides:

    Args:
      gallery: Numbers of the records whose images are kept for `examples`, in the order of the
        batches (all slices of one subject, say); None for the first eight.

    Raises:
      ValueError: The batches do not hold a record of the gallery.
    """
    scores = _scores(metric)
    shown = None if gallery is None else sorted(set(map(int, gallery)))
    outcomes = _outcomes(scores)
    crossings = plan(models, perturbations, black_box)
    paths: list[pathlib.Path | None] = [None] * len(crossings)
    if cache is not None:
        names = _names(key, models, crossings, batches, outcomes, shown)
        paths = [pathlib.Path(cache) / f"{name}.npz" for name in names]
    found = []
    with _Bar(len(crossings), batches, progress) as bar:
        for crossing, path in zip(crossings, paths, strict=True):
            bar.begin(crossing.name)
            cell = None if path is None else cells.load(path)
            if cell is None:
                bar.making(crossing.name)
                source = models[crossing.source or crossing.judges[0]]
                judges = {name: models[name] for name in crossing.judges}
                cell = making.make(
                    *(key, crossing.attack, source, judges, batches, outcomes),
                    gallery=shown,
                    advance=bar.advance,
                )
                _check(cell, found, shown)
                if path is not None:
                    cells.save(path, cell)
            found.append((crossing, cell))
    records = found[0][1].records
    kept = records[: cells.GALLERY] if shown is None else records[np.isin(records, shown)]
    return Evaluation(scores, tuple(found), tuple(kept.tolist()))


def plan(
    models: Mapping[str, Predict],
    perturbations: Mapping[str, Perturbation],
    black_box: bool,
) -> list[Crossing]:
    """Returns the crossings of a grid, the clean one first.

    Raises:
      ValueError: There is no model, a model is not a pytree of arrays, or a perturbation has a name
        that is taken, or one has the name and the size of another.
    """
    if not models:
        raise ValueError("An evaluation needs at least one model, got none.")
    for name, predict in models.items():
        if not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(predict)):
            raise ValueError(
                f"Model {name!r} is a callable pytree whose leaves are arrays, as `models.bind` "
                f"makes it; got {type(predict).__name__}, which has other leaves."
            )
    if "clean" in perturbations:
        raise ValueError("A perturbation cannot be called 'clean': those rows are always there.")
    everyone = tuple(models)
    crossings = [Crossing("clean", None, None, everyone)]
    for label, given in perturbations.items():
        for attack, sources in _made_on(label, given, everyone):
            for source in sources:
                judges = everyone if black_box or source is None else (source,)
                crossings.append(Crossing(label, attack, source, judges))
    seen = set()
    for crossing in crossings:
        if (names := (crossing.perturbation, crossing.eps, crossing.source)) in seen:
            raise ValueError(
                f"Two perturbations are called {crossing.perturbation!r} and have the size "
                f"{crossing.eps}: rows could not tell them apart, so give them two names."
            )
        seen.add(names)
    return crossings


def _made_on(
    label: str, given: Perturbation, models: tuple[str, ...]
) -> Iterator[tuple[Attack, tuple[str | None, ...]]]:
    """Yields the attacks of a label, each with the models that it is made on; None for noise."""
    each = given.items() if isinstance(given, Mapping) else [(None, given)]
    for own, several in each:
        if own is not None and own not in models:
            raise ValueError(f"{label!r} has attacks on {own!r}, which is none of the models.")
        for attack in several if isinstance(several, Sequence) else (several,):
            noise = getattr(attack, "noise", False)
            yield attack, (None,) if noise else models if own is None else (own,)


def _check(
    cell: Cell, found: Sequence[tuple[Crossing, Cell]], gallery: Sequence[int] | None
) -> None:
    """Refuses batches without the gallery, or in another order than for the clean images."""
    if absent := sorted(set(gallery or ()) - set(cell.records.tolist())):
        raise ValueError(f"gallery names record {absent[0]}, which the batches do not hold.")
    if found and not np.array_equal(cell.records, found[0][1].records):
        raise ValueError(
            "Batches are iterated over many times and hold the same records in the same order each "
            "time, but these do not: give a list, or `data.batches` without a seed."
        )


def _scores(metric: Any) -> tuple[Metric, ...]:
    """Returns the metrics, or refuses what is none."""
    scores: Sequence[Any] = metric if isinstance(metric, (list, tuple)) else (metric,)
    for score in scores:
        if not isinstance(score, Metric):
            raise ValueError(
                "metric is a Metric, such as metrics.accuracy(num_classes), or several; got "
                f"{score!r}."
            )
    return tuple(scores)


def _outcomes(scores: Sequence[Metric]) -> tuple[making.Outcome, ...]:
    """Returns the distinct outcome functions; two scores of one function share its values."""
    if not scores:
        raise ValueError("An evaluation needs at least one metric, got none.")
    by_name = {score.outcome.__name__: score.outcome for score in scores}
    distinct = tuple(dict.fromkeys(score.outcome for score in scores))
    if len(by_name) < len(distinct):
        raise ValueError(
            "Outcome functions are stored by name, but two different ones are called alike: "
            f"{[outcome.__qualname__ for outcome in distinct]}."
        )
    return distinct


def _names(
    key: PRNGKey,
    models: Mapping[str, Predict],
    crossings: Sequence[Crossing],
    batches: Iterable[Batch],
    outcomes: Sequence[making.Outcome],
    gallery: Sequence[int] | None,
) -> list[str]:
    """Returns the hash of all that each cell depends on; models are known by their weights."""
    of_model = {name: identity.of_model(predict) for name, predict in models.items()}
    data, random = identity.of_data(batches), identity.of_key(key)
    judged_by = [f"{outcome.__module__}.{outcome.__qualname__}" for outcome in outcomes]
    shown = [] if gallery is None else [f"gallery {gallery}"]

    def one(crossing: Crossing) -> str:
        attack = "clean" if crossing.attack is None else identity.of_attack(crossing.attack)
        source = "no model" if crossing.source is None else of_model[crossing.source]
        judges = [of_model[name] for name in crossing.judges]
        return identity.of_all([data, random, attack, source, *judges, *judged_by, *shown])

    return [one(crossing) for crossing in crossings]


class _Bar:
    """A progress bar of cells that names the cell at work, and moves with its batches."""

    def __init__(self, cells: int, batches: Any, shown: bool):
        columns = rich.progress.Progress.get_default_columns()
        counter = rich.progress.MofNCompleteColumn()
        self._progress = rich.progress.Progress(*columns, counter, disable=not shown)
        self._lines = shown and not self._progress.console.is_terminal
        self._cells = cells
        self._task = self._progress.add_task("", total=cells)
        known = hasattr(batches, "__len__") and len(batches)
        self._share = 1 / len(batches) if known else 0.0
        self._begun = 0

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, failure: Any, *_: Any) -> None:
        if failure is None:
            self._progress.update(self._task, description="all cells", completed=self._begun)
        self._progress.stop()

    def begin(self, name: str) -> None:
        """Names the next cell; those before it are complete."""
        self._progress.update(self._task, description=name, completed=self._begun)
        self._begun += 1

    def making(self, name: str) -> None:
        """Says in a file, where a bar cannot, that a cell is made now."""
        if self._lines:
            print(f"evaluating {self._begun} of {self._cells}: {name}", flush=True)

    def advance(self) -> None:
        """Moves by one batch of the cell at work."""
        self._progress.advance(self._task, self._share)
