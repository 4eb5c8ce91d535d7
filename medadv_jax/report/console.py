"""The rows as a table on the console, at most 100 columns wide."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from medadv_jax.report import formats
from medadv_jax.report.rows import (
    Row,
    black,
    check,
    direct,
    model,
    of_metric,
    setting,
    unique,
)


def table(rows: Sequence[Row], *, metric: str | None = None) -> RenderableType:
    """Returns what `rich.print` shows of an evaluation.

    The first table has a block a model: its clean score, then each noise and each white-box attack
    with score, 95 % interval, drop and visibility. The second has the black-box scores: examples
    made on the model at the left, judged by the models at the top.

    Args:
      rows: Rows of an evaluation.
      metric: The metric to show with interval and drop; the first row's if not named. The others
        are shown as bare scores.

    Returns:
      A rich renderable.

    Raises:
      ValueError: if a row has wrong keys, or no row has the metric.
    """
    rows = check(rows)
    chosen = of_metric(rows, metric)
    parts: list[RenderableType] = [_by_model(chosen, rows)]
    if black(chosen):
        parts.append(_transfer(chosen))
    return Group(*parts)


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _by_model(chosen: Sequence[Row], rows: Sequence[Row]) -> Table:
    metric = chosen[0]["metric"]
    others = [name for name in unique(row["metric"] for row in rows) if name != metric]
    scores = {_cell(row) + (row["metric"],): row["score"] for row in rows}

    view = _table(f"{formats.words(metric).capitalize()}, clean against perturbed")
    view.add_column("model and perturbation", overflow="fold", max_width=26)
    for name in ("eps", "score", "95 % interval", "drop", *map(formats.words, others)):
        view.add_column(name, justify="right", overflow="fold", max_width=16)
    for name in ("SSIM", "L2", "Linf", "fooled"):
        view.add_column(name, justify="right")

    for name in unique(map(model, chosen)):
        view.add_section()
        for row in [row for row in chosen if model(row) == name and row["access"] != "black"]:
            view.add_row(
                *_name(row, name),
                Text(formats.score(row["score"]), style="bold"),
                formats.interval(row["score_low"], row["score_high"]),
                formats.points(row["drop"]) if row["access"] != "clean" else "",
                *(formats.score(scores.get(_cell(row) + (other,))) for other in others),
                *_visibility(row),
            )
    view.caption = "Drop in points: hundredths of the score."
    view.caption_justify = "left"
    return view


def _cell(row: Row) -> tuple:
    return model(row), row["source"], row["access"], setting(row)


def _name(row: Row, name: str) -> tuple[Text, str]:
    if row["access"] == "clean":
        return Text(name, style="bold"), ""
    spot = setting(row)
    label = spot._replace(eps=None).label
    style = "cyan" if row["access"] == "noise" else ""
    return Text(f"  {label}", style=style), formats.size(spot.eps)


def _visibility(row: Row) -> tuple[str, ...]:
    if row["access"] == "clean":
        return ("",) * 4
    return (
        formats.ssim(row["ssim"]),
        formats.size(row["l2"]),
        formats.size(row["linf"]),
        formats.percent(row["success"]),
    )


def _transfer(chosen: Sequence[Row]) -> Table:
    targets = list(unique(map(model, chosen)))
    cells = {(setting(row), row["source"], model(row)): row for row in chosen}
    own = {model(row): row["source"] for row in direct(chosen) if row["access"] == "white"}

    metric = formats.words(chosen[0]["metric"]).capitalize()
    view = _table(f"{metric}, examples of one model judged by another")
    view.add_column("perturbation", overflow="fold", max_width=26)
    view.add_column("made on", overflow="fold", max_width=18)
    for name in targets:
        view.add_column(name, justify="right", overflow="fold", max_width=14)
    for spot in unique(map(setting, black(chosen))):
        view.add_section()
        made_on = unique(row["source"] for row in chosen if setting(row) == spot and row["source"])
        for number, source in enumerate(made_on):
            line = [cells.get((spot, source, name)) for name in targets]
            view.add_row(
                "" if number else spot.label,
                source,
                *(
                    Text(
                        formats.score(row["score"]) if row else formats.MISSING,
                        style="bold" if own.get(name) == source else "",
                    )
                    for name, row in zip(targets, line, strict=True)
                ),
            )
    view.caption = "Bold: white box, the model's own examples."
    view.caption_justify = "left"
    return view
