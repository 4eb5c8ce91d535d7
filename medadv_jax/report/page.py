"""The report as one HTML file: no network, no script, light and dark, on a phone and on paper."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import markupsafe

from medadv_jax.evaluate import Picture
from medadv_jax.report import alarms, breakdown, formats, gallery, parts, reading, store, svg
from medadv_jax.report.breakdown import Breakdown
from medadv_jax.report.figures import Panel
from medadv_jax.report.rows import Row, known, of_metric

_HERE = pathlib.Path(__file__).parent
_KINDS = {
    "clean": "Generalisation",
    "robustness": "Generalisation against robustness",
    "worst": "The worst attack on each model",
    "distance": "Attacks that take what they need",
    "control": "Noise, the control",
    "transfer": "Black box: examples of another model",
    "saturated": "Where nothing is told apart",
}


class Content(NamedTuple):
    """All that a page shows.

    Attributes:
      title: Heading of the page.
      data: One sentence: what data, how many, real or synthetic.
      synthetic: Whether the images are made and not measured.
      models: For each model a dict with `name` and whatever is known, such as `parameters`.
      rows: Rows of the evaluation, of one or more metrics.
      class_names: Names of the classes, as the labels of the examples count them.
      examples: Pictures.
      recalls: Recall of each class.
      reproduce: Facts such as `command`, `versions`, `seed` and `hardware`.
      config: The configuration of the run.
      metric: The metric of figures and words.
      eps: The size that bars, pictures and recalls are about; None for all.
    """

    title: str
    data: str
    synthetic: bool
    models: Sequence[Mapping[str, Any]]
    rows: Sequence[Row]
    class_names: Sequence[str]
    examples: Sequence[Picture]
    recalls: Sequence[Breakdown]
    reproduce: Mapping[str, Any]
    config: Mapping[str, Any]
    metric: str | None
    eps: float | None


def render(content: Content, panels: Mapping[str, Sequence[Panel]]) -> str:
    """Returns the page as text.

    Args:
      content: What to show.
      panels: Figures under "bars" and "curves".

    Returns:
      HTML that loads nothing: its policy forbids it to.
    """
    rows = of_metric(content.rows, content.metric)
    said = reading.read(rows)
    pictures, left_out = parts.pictures(content.examples, content.class_names)
    return _template().render(
        content=content,
        metric=formats.metric(rows[0]["metric"]),
        style=markupsafe.Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        count=next((row["data_size"] for row in rows if known(row["data_size"])), None),
        glance=parts.glance(rows),
        models=parts.facts(content.models),
        reading=[(title, _of_kind(said, kind)) for kind, title in _KINDS.items()],
        alarms=alarms.find(rows, content.models),
        bars=[_inline(panel) for panel in panels["bars"]],
        curves=[_inline(panel) for panel in panels["curves"]],
        matrices=parts.heat_tables(rows),
        pictures=pictures,
        left_out=left_out,
        recalls=breakdown.tables(content.recalls, content.eps),
        table=parts.table(content.rows),
        command=content.reproduce.get("command"),
        provenance=parts.flat({k: v for k, v in content.reproduce.items() if k != "command"}),
        config=parts.flat(content.config),
        csv=gallery.data_uri(store.rows_csv(content.rows).encode(), "text/csv"),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "plain": formats.plain,
        "percent": formats.percent,
        "title_case": formats.title,
        "quiet_intervals": parts.quiet_intervals,
    }
    return environment.get_template("page.html.jinja")


def _of_kind(said: Sequence[reading.Sentence], kind: str) -> list[str]:
    return [sentence.text for sentence in said if sentence.kind == kind]


def _inline(panel: Panel) -> markupsafe.Markup:
    return markupsafe.Markup(svg.inline(panel.svg, panel.name, panel.alt))
