"""The report as one HTML file: no network, no script, light and dark, on a phone and on paper."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
import markupsafe
import numpy as np

from medadv_jax.report import alarms, figures, files, formats, gallery, reading, svg
from medadv_jax.report.rows import KEYS, Row, clean, known, of_metric, setting, unique

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
_TEXT = ("task", "data", "model", "defense", "source", "access", "perturbation", "metric")


class Recall(NamedTuple):
    """The recall of each class by one model under one perturbation.

    Attributes:
      model: Name of the model.
      perturbation: Name of the perturbation with its strength; "clean" for none.
      recall: `(k,)` in [0, 1]; NaN for a class without examples.
      counts: `(k,)`, examples of each class; None if not known.
    """

    model: str
    perturbation: str
    recall: Any
    counts: Any = None


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
    """

    title: str
    data: str
    synthetic: bool
    models: Sequence[Mapping[str, Any]]
    rows: Sequence[Row]
    class_names: Sequence[str]
    examples: Sequence[gallery.Example]
    recalls: Sequence[Recall]
    reproduce: Mapping[str, Any]
    config: Mapping[str, Any]
    metric: str | None


def render(content: Content, panels: Mapping[str, Sequence[figures.Panel]]) -> str:
    """Returns the page as text.

    Args:
      content: What to show.
      panels: Figures under "bars" and "curves", made inside `svg.style()`, as this call must be.

    Returns:
      HTML that loads nothing: its policy forbids it to.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"plain": formats.plain, "percent": formats.percent}
    rows = of_metric(content.rows, content.metric)
    said = reading.read(rows)
    pictures, left_out = _pictures(content)
    return environment.get_template("page.html.jinja").render(
        content=content,
        metric=rows[0]["metric"],
        style=markupsafe.Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        count=next((row["data_size"] for row in rows if known(row["data_size"])), None),
        glance=_glance(rows),
        models=_facts(content.models),
        reading=[(title, _of_kind(said, kind)) for kind, title in _KINDS.items()],
        alarms=alarms.find(rows, content.models),
        bars=[_inline(panel) for panel in panels["bars"]],
        curves=[_inline(panel) for panel in panels["curves"]],
        matrices=_heat_tables(rows),
        pictures=pictures,
        left_out=left_out,
        recalls=_recalls(content.recalls),
        table=_table(content.rows),
        reproduce=_flat(content.reproduce),
        config=_flat(content.config),
        csv=gallery.data_uri(files.rows_csv(content.rows).encode(), "text/csv"),
    )


def _of_kind(said: Sequence[reading.Sentence], kind: str) -> list[str]:
    return [sentence.text for sentence in said if sentence.kind == kind]


def _inline(panel: figures.Panel) -> dict[str, Any]:
    drawn = svg.inline(svg.text(panel.figure), panel.name, panel.alt)
    return {"title": panel.title, "svg": markupsafe.Markup(drawn)}


def _glance(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns for each model its clean score and the lowest under noise, attack and transfer."""
    lowest = {access: reading.strongest(rows, access) for access in ("noise", "white", "black")}
    return [
        {"model": name, "clean": _said(row), **{a: _said(lowest[a].get(name)) for a in lowest}}
        for name, row in clean(rows).items()
    ]


def _said(row: Row | None) -> dict[str, str] | None:
    if row is None:
        return None
    made = f", made on {row['source']}" if row["access"] == "black" else ""
    return {
        "score": formats.score(row["score"]),
        "interval": formats.interval(row["score_low"], row["score_high"]),
        "label": "" if row["access"] == "clean" else setting(row).label + made,
    }


def _facts(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a table of what is known of the models, a column a fact."""
    names = unique(key for facts in models for key in facts if key != "name")
    return {
        "columns": [name.replace("_", " ") for name in names],
        "lines": [(m["name"], [formats.plain(m.get(name)) for name in names]) for m in models],
    }


def _heat_tables(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "title": matrix.setting.label,
            "targets": matrix.targets,
            "lines": [
                (source, [_heat_cell(row) for row in line])
                for source, line in zip(matrix.sources, matrix.cells, strict=True)
            ],
        }
        for matrix in figures.matrices(rows)
    ]


def _heat_cell(row: Row | None) -> dict[str, Any]:
    if row is None or not known(row["score"]):
        return {"text": formats.MISSING, "interval": "", "look": "", "white": False}
    return {
        "text": formats.score(row["score"]),
        "interval": formats.interval(row["score_low"], row["score_high"]),
        "look": _look(row["score"]),
        "white": row["access"] == "white",
    }


def _look(score: float) -> str:
    background, ink = figures.heat(score)
    return f"background:{background};color:{ink}"


def _pictures(content: Content) -> tuple[list[dict[str, Any]], int]:
    """Returns the examples as long as they fit the page, and how many did not."""
    pictures, used = [], 0
    for example in content.examples:
        change, factor = gallery.enlarged(example.clean, example.perturbed)
        encoded = [gallery.png(image) for image in (example.clean, change, example.perturbed)]
        uris = [gallery.data_uri(image, "image/png") for image in encoded]
        used += sum(map(len, uris))
        if used > gallery.BUDGET:
            break
        pictures.append(_picture(example, uris, factor, content.class_names))
    return pictures, len(content.examples) - len(pictures)


def _picture(
    example: gallery.Example, uris: list[str], factor: int, names: Sequence[str]
) -> dict[str, Any]:
    size = "" if example.eps is None else f" ε {formats.size(example.eps)}"
    return {
        "model": example.model,
        "perturbation": example.perturbation + size,
        "uris": uris,
        "gain": factor,
        "height": np.shape(example.clean)[0],
        "width": np.shape(example.clean)[1],
        "label": names[int(example.label)],
        "before": _prediction(example.clean_probabilities, example.label, names),
        "after": _prediction(example.perturbed_probabilities, example.label, names),
        "success": bool(example.success),
    }


def _prediction(probabilities: Any, label: int, names: Sequence[str]) -> dict[str, Any]:
    best = int(np.argmax(probabilities))
    return {
        "name": names[best],
        "confidence": float(np.asarray(probabilities)[best]),
        "right": best == int(label),
    }


def _recalls(recalls: Sequence[Recall]) -> list[tuple[str, Any, list[tuple[str, list[Any]]]]]:
    """Returns for each model its counts and, a line a perturbation, the recall of each class."""
    tables = []
    for name in unique(entry.model for entry in recalls):
        own = [entry for entry in recalls if entry.model == name]
        counts = next((list(e.counts) for e in own if e.counts is not None), None)
        lines = [(e.perturbation, [_recall_cell(float(value)) for value in e.recall]) for e in own]
        tables.append((name, counts, lines))
    return tables


def _recall_cell(value: float) -> tuple[str, str]:
    return formats.score(value), _look(value) if known(value) else ""


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns all rows, with what is the same in all of them taken out."""
    constant = {key: rows[0][key] for key in KEYS if all(r[key] == rows[0][key] for r in rows)}
    varying = [key for key in KEYS if key not in constant]
    unknown = [key for key in constant if not known(constant[key])]
    return {
        "constant": {k: formats.plain(v) for k, v in constant.items() if k not in unknown},
        "unknown": unknown,
        "columns": [(key.replace("_", " "), key not in _TEXT) for key in varying],
        "lines": [[_entry(key, row[key]) for key in varying] for row in rows],
    }


def _entry(key: str, value: Any) -> tuple[str, bool]:
    if key in ("score", "score_low", "score_high", "clean_score", "drop"):
        return formats.score(value), True
    return (formats.ssim(value) if key == "ssim" else formats.plain(value)), key not in _TEXT


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Returns nested facts as one level: `{"versions": {"jax": ..}}` becomes "versions jax"."""
    found: dict[str, str] = {}
    for key, value in files.plain(facts).items():
        name = f"{prefix} {key}".strip().replace("_", " ")
        found |= _flat(value, name) if isinstance(value, dict) else {name: formats.plain(value)}
    return found
