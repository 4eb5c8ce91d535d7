"""Everything that the folder of a run receives from an evaluation."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from medadv_jax.report import figures, files, gallery, matrix, sheet, store, svg
from medadv_jax.report.page import Content, render
from medadv_jax.report.parts import Recall
from medadv_jax.report.rows import Row, check, of_metric


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
    examples: Sequence[gallery.Example] = (),
    recalls: Sequence[Recall] = (),
    reproduce: Mapping[str, Any] | None = None,
    metric: str | None = None,
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
      class_names: Names of the classes.
      examples: Pictures for the gallery, the most telling first.
      recalls: Recall of each class, by model and perturbation.
      reproduce: Facts such as `command`, `versions`, `seed` and `hardware`.
      metric: The metric of figures and words; the first row's if not named. The table has all.

    Returns:
      The path of `report.html`.

    Raises:
      ValueError: if a row has wrong keys, no row has the metric, a model has no name, or an example
        or a recall does not fit the classes.
    """
    rows = check(rows)
    gallery.check(examples, class_names)
    _check(models, recalls, class_names)
    folder = pathlib.Path(directory)
    settings = files.jsonable(config)
    files.replace(folder / "config.json", files.as_json(settings))
    files.replace(folder / "rows.json", store.rows_json(settings, rows))
    files.replace(folder / "rows.csv", store.rows_csv(rows))
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
        reproduce=reproduce or {},
        config=settings,
        metric=metric,
    )
    chosen = of_metric(rows, metric)
    with svg.style():
        panels = {"bars": figures.bars(chosen), "curves": figures.curves(chosen)}
        heat_maps = [matrix.heat_map(found) for found in matrix.matrices(chosen)]
        drawn = [*panels["bars"], *panels["curves"], *heat_maps]
        _write_figures(folder / "figures", drawn, examples, class_names)
        return files.replace(folder / "report.html", render(content, panels))


def _check(
    models: Sequence[Mapping[str, Any]], recalls: Sequence[Recall], class_names: Sequence[str]
) -> None:
    for facts in models:
        if "name" not in facts:
            raise ValueError(f"Every model of a report has a name, got {dict(facts)}.")
    for entry in recalls:
        for values in (entry.recall, entry.counts):
            if values is not None and len(values) != len(class_names):
                raise ValueError(
                    f"The recall of {entry.model} under {entry.perturbation} has one entry for "
                    f"each of the {len(class_names)} classes, got {len(values)}."
                )


def _write_figures(
    folder: pathlib.Path,
    panels: Sequence[figures.Panel],
    examples: Sequence[gallery.Example],
    class_names: Sequence[str],
) -> None:
    written = [
        files.replace(folder / f"{panel.name}.svg", svg.text(panel.figure)) for panel in panels
    ]
    if examples:
        written.append(files.replace(folder / "examples.png", sheet.png(examples, class_names)))
    for old in {*folder.glob("*.svg"), *folder.glob("*.png")} - set(written):
        old.unlink()
