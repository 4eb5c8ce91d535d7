"""The report as one HTML file: no network, light and dark, on a phone and on paper.

The only script is that of the slider, and only in a page that has one; its policy allows no other.
"""

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import markupsafe

from medadv_jax.evaluate import Picture
from medadv_jax.report import (
    alarms,
    breakdown,
    cards,
    colors,
    dense,
    formats,
    glossary,
    images,
    measures,
    parts,
    reading,
    scarce,
    slices,
    splits,
    stopping,
    store,
    svg,
)
from medadv_jax.report.breakdown import Breakdown
from medadv_jax.report.figures import Panel
from medadv_jax.report.rows import Row, known, of_metric, setting, unique

_HERE = pathlib.Path(__file__).parent
_KINDS = {
    "clean": "Generalisation",
    "robustness": "Generalisation against robustness",
    "worst": "The worst attack on each model",
    "distance": "Attacks without a bound on the change of a pixel",
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
      structures: Score of each structure.
      slider: The slices of one subject; None if there are none.
      kinds: What is known of attacks, for the alarms.
      early: Labels of the perturbations that stop when they have fooled.
      splits: How many images, lesions or subjects each split has.
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
    structures: Sequence[Breakdown]
    slider: slices.Slider | None
    kinds: Mapping[str, str]
    early: Collection[str]
    splits: Mapping[str, Mapping[str, int]]
    reproduce: Mapping[str, Any]
    config: Mapping[str, Any]
    metric: str | None
    eps: float | None


def render(content: Content, panels: Mapping[str, Sequence[Panel]]) -> str:
    """Returns the page as text.

    Args:
      content: What to show.
      panels: Figures under "bars", "curves" and "structures".

    Returns:
      HTML that loads nothing: its policy forbids it to.
    """
    rows = of_metric(content.rows, content.metric)
    said = reading.read(rows)
    found = alarms.find(rows, content.models, content.kinds)
    found += scarce.find(content.recalls, content.structures, content.class_names)
    pictures, left_out = cards.cards(content.examples, content.class_names)
    return _template().render(
        content=content,
        metric=formats.metric(rows[0]["metric"]),
        axis=formats.metric(rows[0]["metric"], axis=True),
        style=markupsafe.Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        count=next((row["data_size"] for row in rows if known(row["data_size"])), None),
        glance=parts.glance(rows),
        models=parts.facts(content.models),
        reading=[(title, _of_kind(said, kind)) for kind, title in _KINDS.items()],
        alarms=found,
        about=alarms.summary(found),
        failed=any(alarm.kind in alarms.FAILED for alarm in found),
        enough={
            "class": scarce.counted(content.recalls) and "images",
            "structure": scarce.counted(content.structures) and "subjects",
        },
        few=scarce.FEW,
        splits=splits.table(content.splits, content.class_names),
        bars=[_inline(panel) for panel in panels["bars"]],
        curves=[_inline(panel) for panel in panels["curves"]],
        matrices=parts.heat_tables(rows),
        ramp=parts.ramp(rows),
        pictures=pictures,
        left_out=left_out,
        recalls=breakdown.tables(content.recalls, content.eps),
        table=parts.table(content.rows),
        command=content.reproduce.get("command"),
        provenance=parts.flat({k: v for k, v in content.reproduce.items() if k != "command"}),
        config=parts.flat(content.config),
        csv=images.data_uri(store.rows_csv(content.rows).encode(), "text/csv"),
        **_terms(content),
        **_dense(content, panels),
    )


def _terms(content: Content) -> dict[str, Any]:
    """Returns what the section of terms depends on."""
    metrics = unique(row["metric"] for row in content.rows)
    return {
        "dense_scores": any(measures.of(metric).dense for metric in metrics),
        "falling": any(measures.of(metric).lower for metric in metrics),
        "meanings": measures.meanings(metrics),
        "caution": stopping.caution(content.rows, content.early),
        "perturbations": glossary.terms(content.rows),
        "knobs": unique(
            setting(row).symbol for row in content.rows if setting(row).eps is not None
        ),
    }


def _dense(content: Content, panels: Mapping[str, Sequence[Panel]]) -> dict[str, Any]:
    """Returns what only a page about label maps has, None or nothing in any other."""
    names, shown = content.class_names, content.slider
    structures = None
    if content.structures:
        structures = {
            "metric": formats.metric(content.structures[0].metric),
            "names": [colors.words(name) for name in names[1:]],
            "tables": breakdown.tables(content.structures, content.eps),
            "figures": [_inline(panel) for panel in panels["structures"]],
        }
    script, source = slices.script() if shown else ("", "")
    return {
        "structures": structures,
        "slider": slices.section(shown, names) if shown else None,
        "script": markupsafe.Markup(script),
        "script_source": markupsafe.Markup(source),
        "legend": colors.legend(names)
        if shown or any(map(dense.is_dense, content.examples))
        else [],
    }


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
        "score": formats.score,
        "title_case": formats.title,
        "breakable": parts.breakable,
        "quiet_intervals": parts.quiet_intervals,
    }
    return environment.get_template("page.html.jinja")


def _of_kind(said: Sequence[reading.Sentence], kind: str) -> list[str]:
    return [sentence.text for sentence in said if sentence.kind == kind]


def _inline(panel: Panel) -> markupsafe.Markup:
    return markupsafe.Markup(svg.inline(panel.svg, panel.name, panel.alt))
