"""Everything that the folder of a run receives from an evaluation."""

import itertools
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from medadv_jax.evaluate import Picture
from medadv_jax.report import (
    alarms,
    breakdown,
    dumbbells,
    figures,
    files,
    gallery,
    matrix,
    slices,
    splits as splits_module,
    stopping,
    store,
)
from medadv_jax.report.breakdown import Breakdown
from medadv_jax.report.page import Content, render
from medadv_jax.report.rows import Row, check, of_metric
from medadv_jax.report.slices import Slider


def write(
    directory: str | pathlib.Path,
    config: Any,
    rows: Sequence[Row],
    *,
    title: str,
    data: str,
    synthetic: bool | None = None,
    models: Sequence[Mapping[str, Any]] = (),
    class_names: Sequence[str] = (),
    examples: Sequence[Picture] = (),
    recalls: Sequence[Breakdown] = (),
    structures: Sequence[Breakdown] = (),
    slider: Slider | None = None,
    kinds: Mapping[str, str] | None = None,
    early: Collection[str] = (),
    splits: Mapping[str, Mapping[str, int]] | None = None,
    reproduce: Mapping[str, Any] | None = None,
    metric: str | None = None,
    eps: float | None = None,
) -> pathlib.Path:
    """Writes `config.json`, `rows.json`, `rows.csv`, `figures/` and `report.html` of a run.

    Each file is replaced in one move, the page last. Figures of an earlier report in the same
    folder go.

    Args:
      directory: The folder of the run; made if it is not there.
      config: The configuration, a dict or a dataclass.
      rows: Rows of the evaluation, see `report.rows.KEYS`.
      title: Heading of the page.
      data: One sentence: what data, how many, real or synthetic.
      synthetic: Whether the images are made and not measured, which the page says loudly; None
        looks for the word in `data`.
      models: For each model a dict with `name` and whatever else is known, such as `parameters`,
        `image_size`, or `backbone` (the same for models that share weights).
      class_names: Names of the classes; of label maps the background first.
      examples: Pictures for the gallery; of many, the most telling are chosen.
      recalls: Recall of each class, by model and perturbation, see `recalls`.
      structures: Score of each structure, by model and perturbation, see `structures`.
      slider: All slices of one subject, see `slider`.
      kinds: What the alarms should know of attacks, by the label of the perturbation: "one step" or
        "many steps" do all the damage they can within a size, "targeted" wants one certain answer,
        "other". What is not listed is told by its name, see `alarms.KINDS`.
      early: Labels of the perturbations that stop at the first change that fools and leave alone
        what was misclassified before (minimal attacks, and those with `until_fooled`). The page
        says which of their numbers cannot be compared with those of the others.
      splits: For "train", "validation" and "test" the images of each class, or such counts as
        {"slices": 600, "subjects": 10}; see `sizes`.
      reproduce: Facts such as `command`, `versions`, `seed` and `hardware`.
      metric: The metric of figures and words; the first row's if not named. The table has all.
      eps: The size that bars, pictures, recalls and structures are about; None for all sizes.
        Curves, matrices and the table have all.

    Returns:
      The path of `report.html`.

    Raises:
      ValueError: if a row has wrong keys, no row has the metric, a model has no name, or an example
        or a recall, a structure or a slice does not fit the classes, no row has a perturbation of
        `early`, or the size of a split is not a whole number.
    """
    content = Content(
        title=title,
        data=data,
        synthetic="synthetic" in data.lower() if synthetic is None else synthetic,
        models=models,
        rows=check(rows),
        class_names=class_names,
        examples=examples,
        recalls=recalls,
        structures=structures,
        slider=slider,
        kinds=kinds or {},
        early=early,
        splits=splits or {},
        reproduce=reproduce or {},
        config=files.jsonable(config),
        metric=metric,
        eps=eps,
    )
    _check(content)
    return _write(
        pathlib.Path(directory),
        content._replace(examples=gallery.select(examples, eps, class_names)),
    )


def _check(content: Content) -> None:
    """Refuses what does not fit together, before a file is written."""
    names = content.class_names
    of_metric(content.rows, content.metric)
    gallery.check(content.examples, names)
    breakdown.check(content.recalls, names)
    breakdown.check(content.structures, names[1:], "structures")
    if content.slider is not None:
        slices.check(content.slider, len(names))
    alarms.check(content.kinds)
    stopping.check(content.early, content.rows)
    splits_module.check(content.splits)
    for facts in content.models:
        if "name" not in facts:
            raise ValueError(f"Every model of a report has a name, got {dict(facts)}.")


def _write(folder: pathlib.Path, content: Content) -> pathlib.Path:
    """Writes all files, the page last."""
    files.replace(folder / "config.json", files.as_json(content.config))
    files.replace(folder / "rows.json", store.rows_json(content.config, content.rows))
    files.replace(folder / "rows.csv", store.rows_csv(content.rows))
    rows, names = of_metric(content.rows, content.metric), content.class_names
    panels = {
        "bars": figures.bars(rows, content.eps),
        "curves": figures.curves(rows),
        "structures": dumbbells.dumbbells(content.structures, names[1:], content.eps),
    }
    heat_maps = [matrix.heat_map(found) for found in matrix.matrices(rows)]
    drawn = [*itertools.chain.from_iterable(panels.values()), *heat_maps]
    _write_figures(folder / "figures", drawn, content.examples, names)
    return files.replace(folder / "report.html", render(content, panels))


def _write_figures(
    folder: pathlib.Path,
    panels: Sequence[figures.Panel],
    examples: Sequence[Picture],
    class_names: Sequence[str],
) -> None:
    written = [files.replace(folder / f"{panel.name}.svg", panel.svg) for panel in panels]
    if examples:
        written.append(files.replace(folder / "examples.png", gallery.sheet(examples, class_names)))
    for old in {*folder.glob("*.svg"), *folder.glob("*.png")} - set(written):
        old.unlink()
