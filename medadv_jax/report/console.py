"""The rows as a table on the console; 100 columns are enough for all of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from medadv_jax.report import formats, matrix, measures
from medadv_jax.report.rows import (
    Row,
    black,
    check,
    headline,
    knob,
    model,
    of_metric,
    setting,
    success,
    unique,
)

MOST = 12
"""Rows of a model from which on only those of the main size are shown, where one is named."""


def table(
    rows: Sequence[Row], *, metric: str | None = None, eps: float | None = None
) -> RenderableType:
    """Returns what `rich.print` shows of an evaluation.

    The first table has a block a model: its clean score, then each noise and each white-box attack
    with score, 95 % interval, drop and visibility. The second has the black-box scores: examples
    made on the model at the left, judged by the models at the top. Columns that a narrow console
    has no room for are left out, and named.

    Args:
      rows: Rows of an evaluation.
      metric: The metric to show with interval and drop; the first row's if not named. The others
        are shown as bare scores.
      eps: The main size. With more than `MOST` rows a model only rows of this size are shown, and
        those of perturbations that do not have it; None shows all.

    Returns:
      A rich renderable.

    Raises:
      ValueError: if a row has wrong keys, or no row has the metric.
    """
    rows = check(rows)
    chosen = of_metric(rows, metric)
    shown = _main(chosen, eps)
    only = eps if len(shown) < len(chosen) else None
    parts: list[RenderableType] = [_ByModel(shown, rows, only)]
    if black(shown):
        parts.append(_transfer(shown))
    return Group(*parts)


def _main(chosen: list[Row], eps: float | None) -> list[Row]:
    """Returns the rows of the main size if there are too many of them."""
    own = Counter(model(row) for row in chosen if row["access"] != "black")
    if eps is None or max(own.values(), default=0) <= MOST:
        return chosen
    spots = headline((setting(row) for row in chosen if row["access"] != "clean"), eps)
    return [row for row in chosen if row["access"] == "clean" or setting(row) in spots]


class _ByModel:
    """The first table, with as many of its columns as the console has room for."""

    def __init__(self, chosen: Sequence[Row], rows: Sequence[Row], eps: float | None):
        self.chosen, self.rows, self.eps = chosen, rows, eps
        metrics = unique(row["metric"] for row in rows)
        self.metric = chosen[0]["metric"]
        self.others = [name for name in metrics if name != self.metric]
        self.loss = "rise" if measures.of(self.metric).lower else "drop"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yields the widest table that fits."""
        expendable = [*reversed(self.others), "Linf", "L2", "95 % interval", self.loss]
        wide = options.update(max_width=1000)
        views = (self.view(expendable[:count]) for count in range(len(expendable) + 1))
        fits = lambda view: Measurement.get(console, wide, view).maximum <= options.max_width
        yield next(filter(fits, views), self.view(expendable))

    def view(self, hidden: Sequence[str]) -> Table:
        """Returns the table without some of its columns."""
        view = _table(f"{formats.title(formats.metric(self.metric))}, clean against perturbed")
        view.add_column("model and\nperturbation", overflow="fold", max_width=20)
        columns = self.columns()
        shown = [name for name in columns if name not in hidden]
        for name in shown:
            # A long metric's name stands in two lines; numbers never do.
            other = name in self.others
            title = formats.metric(name).replace(" ", "\n", 1) if other else name
            view.add_column(title, justify="right", no_wrap=True)
        for name in unique(map(model, self.chosen)):
            view.add_section()
            for row in self.chosen:
                if model(row) == name and row["access"] != "black":
                    view.add_row(_name(row, name), *(columns[key](row) for key in shown))
        view.caption = "\n".join(filter(None, (self.legend(), self.elsewhere(hidden))))
        view.caption_justify = "left"
        return view

    def legend(self) -> str:
        """Returns what a reader needs to know of the numbers."""
        measure = measures.of(self.metric)
        if not measure.share:
            unit = f" in {measure.unit}" if measure.unit else ""
            return f"Score and {self.loss}{unit}{'; less is better' if measure.lower else ''}."
        return "Drop: clean score minus score, in hundredths."

    def elsewhere(self, hidden: Sequence[str]) -> str:
        """Returns what is not shown, and where it is."""
        columns = [formats.metric(n) if n in self.others else n for n in hidden]
        missing = []
        if self.eps is not None:
            missing.append(f"sizes other than {formats.size(self.eps)}")
        if columns:
            s = "s" if len(columns) > 1 else ""
            missing.append(f"for lack of width the column{s} {formats.listed(columns)}")
        return f"Not shown: {'; '.join(missing)}. See report.html or rows.csv." if missing else ""

    def columns(self) -> dict[str, Callable[[Row], str | Text]]:
        """Returns the columns by name, each a function from a row to its entry."""
        scores = {(*_cell(row), row["metric"]): row["score"] for row in self.rows}
        other = lambda name: lambda row: formats.score(scores.get((*_cell(row), name)))
        perturbed = lambda entry: lambda row: "" if row["access"] == "clean" else entry(row)
        return {
            "eps": perturbed(knob),
            "score": lambda row: Text(formats.score(row["score"]), style="bold"),
            "95 % interval": lambda row: formats.interval(row["score_low"], row["score_high"]),
            self.loss: perturbed(self.lost),
            **{name: other(name) for name in self.others},
            "SSIM": perturbed(lambda row: formats.ssim(row["ssim"])),
            "L2": perturbed(lambda row: formats.size(row["l2"], 2)),
            "Linf": perturbed(lambda row: formats.size(row["linf"], 2)),
            "fooled": perturbed(lambda row: formats.percent(success(row))),
        }

    def lost(self, row: Row) -> str:
        """Returns by how much a score is worse than the clean one."""
        if measures.of(self.metric).share:
            return formats.points(row["drop"])
        known = row["drop"] is not None
        return formats.score(-row["drop"] if known and self.loss == "rise" else row["drop"])


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _cell(row: Row) -> tuple:
    return model(row), row["source"], row["access"], setting(row)


def _name(row: Row, name: str) -> Text:
    if row["access"] == "clean":
        return Text(name, style="bold")
    label = setting(row)._replace(eps=None).label
    return Text(f" {label}", style="cyan" if row["access"] == "noise" else "")


def _score(row: Row | None) -> Text:
    if row is None:
        return Text(formats.MISSING)
    return Text(formats.score(row["score"]), style="bold" if row["access"] == "white" else "")


def _transfer(chosen: Sequence[Row]) -> Table:
    found = matrix.matrices(chosen)
    metric = formats.title(formats.metric(chosen[0]["metric"]))
    view = _table(f"{metric}, examples of one model judged by another")
    view.add_column("perturbation", overflow="fold", max_width=26)
    view.add_column("made on", overflow="fold", max_width=18)
    for name in found[0].targets:
        view.add_column(Text(name), justify="right", overflow="fold", max_width=14)
    for one in found:
        view.add_section()
        for number, (source, line) in enumerate(zip(one.sources, one.cells, strict=True)):
            view.add_row(
                Text("" if number else one.setting.label), Text(source), *map(_score, line)
            )
    view.caption = "Bold: white box, the model's own examples."
    view.caption_justify = "left"
    return view
