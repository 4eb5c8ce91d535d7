"""The parts of a page as plain values that its template loops over."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import markupsafe

from medadv_jax.report import files, formats, matrix, measures, reading
from medadv_jax.report.rows import KEYS, Row, clean, knob, known, success, unique

_TEXT = ("task", "data", "model", "defense", "source", "access", "perturbation", "metric")
_SCORES = ("score", "score_low", "score_high", "clean_score", "drop")


def quiet_intervals(text: str) -> markupsafe.Markup:
    """Returns a sentence as HTML in which intervals are set back, so that it reads more easily.

    >>> quiet_intervals("0.9 [0.8, 1.0] & more")
    Markup('0.9 <span class="interval">[0.8, 1.0]</span> &amp; more')
    """
    safe = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"(\[[\d., -]+\])", r'<span class="interval">\1</span>', safe))


def breakable(name: str) -> markupsafe.Markup:
    """Returns a name as HTML that a line may break within, after an underscore.

    >>> breakable("a_b<c")
    Markup('a_<wbr>b&lt;c')
    """
    return markupsafe.Markup(str(markupsafe.escape(name)).replace("_", "_<wbr>"))


def glance(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns for each model its clean score and the worst under noise, attack and transfer."""
    worst = {access: reading.strongest(rows, access) for access in ("noise", "white", "black")}
    return [
        {"model": name, "clean": _scored(rows, row)}
        | {access: _scored(rows, worst[access].get(name)) for access in worst}
        for name, row in clean(rows).items()
    ]


def _scored(rows: Sequence[Row], row: Row | None) -> dict[str, str] | None:
    if row is None:
        return None
    made = f", made on {row['source']}" if row["access"] == "black" else ""
    return {
        "score": formats.score(row["score"]),
        "interval": formats.interval(row["score_low"], row["score_high"]),
        "label": "" if row["access"] == "clean" else reading.named(rows, row) + made,
    }


def facts(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a table of what is known of the models, a column a fact."""
    names = unique(key for entry in models for key in entry if key != "name")
    values = [(m["name"], [formats.plain(files.jsonable(m.get(n))) for n in names]) for m in models]
    return {"columns": [formats.words(name) for name in names], "lines": values}


def heat_tables(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns a table for each perturbation that was judged across models."""
    return [
        {
            "title": found.setting.label,
            "targets": found.targets,
            "lines": [
                (source, [_heat_cell(row, found.standing) for row in line])
                for source, line in zip(found.sources, found.cells, strict=True)
            ],
        }
        for found in matrix.matrices(rows)
    ]


def ramp(rows: Sequence[Row]) -> dict[str, str]:
    """Returns the ends of the colour scale of crossed scores, and the words for its dark one."""
    measure, (end, _) = measures.of(rows[0]["metric"]), matrix.scale(rows)
    if not measure.lower:
        top = "1" if measure.share else formats.size(end)
        return {"dark": "0", "bright": top, "word": "low", "lowest": "lowest"}
    worst = f"{formats.size(end)} {measure.unit}".strip()
    return {"dark": worst, "bright": "0", "word": "high, the worst", "lowest": "highest"}


def _heat_cell(row: Row | None, standing: Callable[[float], float]) -> dict[str, Any]:
    if row is None or not known(row["score"]):
        return {"text": formats.MISSING, "interval": "", "look": "", "white": False}
    return {
        "text": formats.score(row["score"]),
        "interval": formats.interval(row["score_low"], row["score_high"]),
        "look": matrix.look(standing(row["score"])),
        "white": row["access"] == "white",
    }


def table(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns all rows, with what is the same in each of them taken out."""
    rows = [row | {"success": success(row)} for row in rows]
    same = lambda key: all(
        row[key] == rows[0][key] and _entry(key, row) == _entry(key, rows[0]) for row in rows
    )
    constant, first = list(filter(same, KEYS)), rows[0]
    varying = [key for key in KEYS if key not in constant]
    return {
        "constant": {formats.words(k): _entry(k, first) for k in constant if known(first[k])},
        "unknown": [formats.words(key) for key in constant if not known(first[key])],
        "columns": [(formats.words(key), key not in _TEXT) for key in varying],
        "lines": [[(_entry(key, row), key not in _TEXT) for key in varying] for row in rows],
    }


def _entry(key: str, row: Row) -> str:
    value = row[key]
    if key in _SCORES:
        return formats.score(value)
    if key == "eps":
        return knob(row)
    return formats.ssim(value) if key == "ssim" else formats.plain(value)


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Returns nested facts as one level of text; names stay as they are.

    >>> flat({"versions": {"medadv_jax": "0.10"}, "image_size": 96})
    {'versions medadv_jax': '0.10', 'image_size': '96'}
    """
    found: dict[str, str] = {}
    for key, value in facts.items():
        name = f"{prefix} {key}".strip()
        plain = files.jsonable(value)
        found |= flat(plain, name) if isinstance(plain, dict) else {name: formats.plain(plain)}
    return found
