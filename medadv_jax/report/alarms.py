"""Alarms: where a good-looking robust score may be an attack that failed.

An attack that is weaker than noise, than examples made on another model, or than a single step of
itself did not find the adversarial examples that are there; its score is no evidence of robustness
(Athalye et al. 2018, "Obfuscated gradients give a false sense of security", section 3.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from medadv_jax.report import compare, formats, reading
from medadv_jax.report.rows import Row, black, clean, direct, known, letters, model, setting, unique

FLAT = 0.1
"""Share of examples without a usable gradient from which an alarm is raised."""
POOR = 0.5
"""Clean score below which a ratio of scores says little."""
ONE_STEP = ("fgsm", "rfgsm", "stepll")
MANY_STEPS = ("bim", "pgd", "mim", "apgd", "segpgd", "cospgd", "autoattack")


class Alarm(NamedTuple):
    """One reason for doubt.

    Attributes:
      kind: "black box", "noise", "one step", "larger eps", "flat gradients", "poor clean score" or
        "shared backbone".
      model: The model whose score is in doubt.
      text: What was found, with its numbers.
    """

    kind: str
    model: str
    text: str


def find(rows: Sequence[Row], models: Sequence[Mapping[str, Any]] = ()) -> list[Alarm]:
    """Returns every alarm that rows of one metric raise.

    Args:
      rows: Rows of one metric.
      models: What is known of the models; those with the same `backbone` share weights.

    Returns:
      Alarms, those about masked gradients first.
    """
    rows = [row for row in rows if known(row["score"])]
    white = [row for row in rows if row["access"] == "white"]
    found: list[Alarm] = []
    for name in unique(map(model, white)):
        own = [row for row in white if model(row) == name]
        others = [row for row in rows if model(row) == name]
        found += _beaten(own, black(others), "black box", "examples made on {source}")
        found += _beaten(own, [row for row in others if row["access"] == "noise"], "noise", "noise")
        found += _one_step(own)
        found += _larger(own)
        found += _flat(own)
    return found + list(_poor(rows)) + list(_backbone(rows, models))


def _worst(pairs: list[tuple[Row, Row]]) -> tuple[Row, Row] | None:
    """Returns the pair furthest apart; a score of next to nothing is not taken for robust."""
    standing = [pair for pair in pairs if pair[0]["score"] > reading.SATURATED]
    return max(standing, key=lambda pair: pair[0]["score"] - pair[1]["score"], default=None)


def _beaten(own: list[Row], others: list[Row], kind: str, by: str) -> Iterator[Alarm]:
    for spot in unique(map(setting, own)):
        attack = next(row for row in own if setting(row) == spot)
        worst = _worst(
            [
                (attack, row)
                for row in others
                if compare.above(attack, row)
                and (
                    setting(row) == spot if kind == "black box" else compare.no_larger(row, attack)
                )
            ]
        )
        if worst:
            name, stronger = model(attack), worst[1]
            what = by.format(source=stronger["source"])
            label = f" ({setting(stronger).label})" if kind == "noise" else ""
            overshoots = "its step overshoots, or " if _is(attack, ONE_STEP) else ""
            yield Alarm(
                kind,
                name,
                f"{spot.label} on {name} leaves {formats.stated(attack)} in the white box, but "
                f"{what}{label} leave{'s' if kind == 'noise' else ''} only "
                f"{formats.stated(stronger)}. An attack that knows the model should do more "
                f"damage: {overshoots}its gradients are probably masked.",
            )


def _is(row: Row, families: tuple[str, ...]) -> bool:
    return letters(setting(row).family) in families


def _one_step(own: list[Row]) -> Iterator[Alarm]:
    pairs = [
        (many, one)
        for many in own
        for one in own
        if _is(many, MANY_STEPS)
        and _is(one, ONE_STEP)
        and known(one["eps"])
        and compare.no_larger(one, many)
        and compare.above(many, one)
    ]
    if worst := _worst(pairs):
        many, one = worst
        yield Alarm(
            "one step",
            model(many),
            f"{setting(many).label} takes many steps and leaves {model(many)} at "
            f"{formats.stated(many)}; {setting(one).label} takes one and leaves "
            f"{formats.stated(one)}. Many steps should do more damage than one: the gradients "
            f"are probably masked.",
        )


def _larger(own: list[Row]) -> Iterator[Alarm]:
    for family in unique(setting(row).family for row in own):
        same = [row for row in own if setting(row).family == family and known(row["eps"])]
        pairs = [
            (large, small)
            for large in same
            for small in same
            if large["eps"] > small["eps"] and compare.above(large, small)
        ]
        if worst := _worst(pairs):
            large, small = worst
            yield Alarm(
                "larger eps",
                model(large),
                f"{setting(large).label} leaves {model(large)} at {formats.stated(large)}, but the "
                f"smaller {setting(small).label} leaves only {formats.stated(small)}. The larger "
                f"size allows every smaller perturbation too: the attack overshoots, or its "
                f"gradients are masked.",
            )


def _flat(own: list[Row]) -> Iterator[Alarm]:
    standing = [row for row in own if known(row["flat"]) and row["score"] > reading.SATURATED]
    worst = max(standing, key=lambda row: row["flat"], default=None)
    if worst and worst["flat"] > FLAT:
        yield Alarm(
            "flat gradients",
            model(worst),
            f"For {formats.percent(worst['flat'])} of the examples {model(worst)} gave "
            f"{setting(worst).label} a gradient that was zero or not finite, so that a step could "
            f"not be taken. The score {formats.stated(worst)} is no evidence of robustness.",
        )


def _poor(rows: Sequence[Row]) -> Iterator[Alarm]:
    whole = clean(rows)
    for name, row in whole.items():
        if row["score"] < POOR:
            yield Alarm(
                "poor clean score",
                name,
                f"{name} scores {formats.stated(row)} on clean images. It has little to lose: read "
                f"its perturbed scores, not their ratio to the clean one.",
            )
            continue
        pairs = [
            (mine, theirs)
            for mine in direct(rows)
            for theirs in direct(rows)
            if model(mine) == name
            and setting(mine) == setting(theirs)
            and model(theirs) in whole
            and _hides(mine, theirs, row, whole[model(theirs)])
        ]
        if pairs:
            mine, theirs = max(pairs, key=lambda pair: _ratio_gain(*pair, whole))
            other = model(theirs)
            yield Alarm(
                "poor clean score",
                name,
                f"Under {setting(mine).label} {name} keeps the larger share of its score, "
                f"{compare.fall(row, mine)}, and yet does not score above {other}, which falls "
                f"{compare.fall(whole[other], theirs)}: it starts lower.",
            )


def _hides(mine: Row, theirs: Row, clean_mine: Row, clean_theirs: Row) -> bool:
    return (
        compare.above(clean_theirs, clean_mine)
        and mine["score"] <= theirs["score"]
        and mine["score"] * clean_theirs["score"] > theirs["score"] * clean_mine["score"] * 1.02
    )


def _ratio_gain(mine: Row, theirs: Row, whole: Mapping[str, Row]) -> float:
    return (
        mine["score"] / whole[model(mine)]["score"]
        - theirs["score"] / (whole[model(theirs)]["score"])
    )


def _backbone(rows: Sequence[Row], models: Sequence[Mapping[str, Any]]) -> Iterator[Alarm]:
    backbone = {entry["name"]: entry["backbone"] for entry in models if entry.get("backbone")}
    pairs = unique(
        tuple(sorted((row["model"], row["source"])))
        for row in black(rows)
        if row["source"] in backbone
        and row["model"] != row["source"]
        and backbone.get(row["model"]) == backbone[row["source"]]
    )
    for first, second in pairs:
        yield Alarm(
            "shared backbone",
            first,
            f"{first} and {second} share the backbone {backbone[first]}: examples made on one "
            f"transfer to the other more than between unrelated models.",
        )
