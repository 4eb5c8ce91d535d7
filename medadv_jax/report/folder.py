"""Everything that the folder of a run receives from an evaluation."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
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
    slider as slider_module,
    store,
)
from medadv_jax.report.breakdown import Breakdown
from medadv_jax.report.page import Content, render
from medadv_jax.report.rows import Row, check, of_metric
from medadv_jax.report.slider import Slider


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
      slider: All slices of one subject, see `slices`.
      kinds: What the alarms should know of attacks, by the label of the perturbation: "one step" or
        "many steps" do all the damage they can within a size, "targeted" wants one certain answer,
        "other". What is not listed is told by its name, see `alarms.KINDS`.
      reproduce: Facts such as `command`, `versions`, `seed` and `hardware`.
      metric: The metric of figures and words; the first row's if not named. The table has all.
      eps: The size that bars, pictures, recalls and structures are about; None for all sizes.
        Curves, matrices and the table have all.

    Returns:
      The path of `report.html`.

    Raises:
      ValueError: if a row has wrong keys, no row has the metric, a model has no name, or an example
        or a recall, a structure or a slice does not fit the classes.
    """
    rows = check(rows)
    chosen = of_metric(rows, metric)
    gallery.check(examples, class_names)
    breakdown.check(recalls, class_names)
    breakdown.check(structures, class_names[1:], "structures")
    if slider is not None:
        slider_module.check(slider, len(class_names))
    alarms.check(kinds or {})
    _check(models)
    folder = pathlib.Path(directory)
    settings = files.jsonable(config)
    files.replace(folder / "config.json", files.as_json(settings))
    files.replace(folder / "rows.json", store.rows_json(settings, rows))
    files.replace(folder / "rows.csv", store.rows_csv(rows))
    examples = gallery.select(examples, eps, class_names)
    if synthetic is None:
        synthetic = "synthetic" in data.lower()
    content = Content(
        title=title,
        data=data,
        synthetic=synthetic,
        models=models,
        rows=rows,
        class_names=class_names,
        examples=examples,
        recalls=recalls,
        structures=structures,
        slider=slider,
        kinds=kinds or {},
        reproduce=reproduce or {},
        config=settings,
        metric=metric,
        eps=eps,
    )
    panels = {
        "bars": figures.bars(chosen, eps),
        "curves": figures.curves(chosen),
        "structures": dumbbells.dumbbells(structures, class_names[1:], eps),
    }
    heat_maps = [matrix.heat_map(found) for found in matrix.matrices(chosen)]
    drawn = [*itertools.chain.from_iterable(panels.values()), *heat_maps]
    _write_figures(folder / "figures", drawn, examples, class_names)
    return files.replace(folder / "report.html", render(content, panels))


def _check(models: Sequence[Mapping[str, Any]]) -> None:
    for facts in models:
        if "name" not in facts:
            raise ValueError(f"Every model of a report has a name, got {dict(facts)}.")


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
