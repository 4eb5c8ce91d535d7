"""Alarms: where a score means less than it seems to, above all an attack that may have failed.

An attack that is weaker than noise, than examples made on another model, or than a single step of
itself did not find the adversarial examples that are there; its score is no evidence of robustness
(Athalye et al. 2018, "Obfuscated gradients give a false sense of security", section 3.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from medadv_jax.report import compare, formats, measures, reading
from medadv_jax.report.rows import Row, black, clean, direct, known, letters, model, setting, unique

FLAT = 0.1
"""Share of examples without a usable gradient from which an alarm is raised."""
ONE_STEP, MANY_STEPS, TARGETED = "one step", "many steps", "targeted"
KINDS = {
    **dict.fromkeys(("fgsm", "rfgsm", "stepll"), ONE_STEP),
    **dict.fromkeys(("bim", "pgd", "mim", "apgd", "autoattack"), MANY_STEPS),
    **dict.fromkeys(("pgddice", "segpgd", "cospgd", "sea"), MANY_STEPS),
    **dict.fromkeys(("dagb", "dagc", "asma"), TARGETED),
}
"""What is known of attacks by the letters of their names.

One and many steps are of attacks that do all the damage they can within a size; a targeted attack
wants one certain answer, and how much damage that does is not its aim.
"""


ABOUT = {
    "black box": "an attack weaker than examples of another model",
    "noise": "an attack weaker than noise",
    "one step": "many steps weaker than one",
    "larger eps": "a larger size weaker than a smaller one",
    "flat gradients": "vanishing gradients",
    "poor clean score": "a poor clean score",
    "shared backbone": "a shared backbone",
    "few images": "few test images of a class",
    "few subjects": "few test subjects",
}
"""What each kind of alarm is about; the first five tell of attacks that may have failed."""
FAILED = tuple(ABOUT)[:5]


class Alarm(NamedTuple):
    """One reason for doubt.

    Attributes:
      kind: One of `ABOUT`.
      model: The model whose score is in doubt; empty for all.
      text: What was found, with its numbers.
    """

    kind: str
    model: str
    text: str


def check(kinds: Mapping[str, str]) -> None:
    """Refuses kinds of attacks that no alarm knows.

    Raises:
      ValueError: if a kind is another than "one step", "many steps", "targeted" or "other".
    """
    allowed = (ONE_STEP, MANY_STEPS, TARGETED, "other")
    for label, kind in kinds.items():
        if kind not in allowed:
            raise ValueError(f"The kind of {label!r} is one of {allowed}, got {kind!r}.")


def summary(found: Sequence[Alarm]) -> str:
    """Returns what alarms are about, in the order of `ABOUT`, with the models in doubt.

    >>> summary([Alarm("noise", "b", ""), Alarm("few images", "", ""), Alarm("noise", "a", "")])
    'an attack weaker than noise (b, a); few test images of a class'
    """
    told = []
    for kind, about in ABOUT.items():
        if own := [alarm for alarm in found if alarm.kind == kind]:
            names = ", ".join(unique(alarm.model for alarm in own if alarm.model))
            told.append(f"{about} ({names})" if names else about)
    return "; ".join(told)


def find(
    rows: Sequence[Row],
    models: Sequence[Mapping[str, Any]] = (),
    kinds: Mapping[str, str] | None = None,
) -> list[Alarm]:
    """Returns every alarm that rows of one metric raise.

    Args:
      rows: Rows of one metric.
      models: What is known of the models; those with the same `backbone` share weights.
      kinds: For the perturbation of a row "one step", "many steps", "targeted" or "other"; what is
        not listed is told by the letters of its name, see `KINDS`.

    Returns:
      Alarms, those about masked gradients first.
    """
    rows = [row for row in rows if known(row["score"])]
    kinds = {row["perturbation"]: _kind(row) for row in rows} | dict(kinds or {})
    white = [row for row in rows if row["access"] == "white"]
    found: list[Alarm] = []
    for name in unique(map(model, white)):
        own = [row for row in white if model(row) == name]
        others = [row for row in rows if model(row) == name]
        noise = [row for row in others if row["access"] == "noise"]
        found += _beaten(own, black(others), "black box", "examples made on {source}", kinds)
        found += _beaten(own, noise, "noise", "noise", kinds)
        found += _one_step(own, kinds)
        found += _larger([row for row in own if kinds[row["perturbation"]] != TARGETED])
        found += _flat(own)
    return found + list(_poor(rows)) + list(_backbone(rows, models))


def _kind(row: Row) -> str:
    return KINDS.get(letters(setting(row).family), "other")


def _worst(pairs: list[tuple[Row, Row]]) -> tuple[Row, Row] | None:
    """Returns the pair furthest apart; a score of next to nothing is not taken for robust."""
    standing = [pair for pair in pairs if not compare.low(pair[0], reading.SATURATED)]
    return max(standing, key=lambda pair: compare.loss(*pair), default=None)


def _left(row: Row) -> str:
    """What an attack that did more damage leaves: of a score "only" so much."""
    only = "" if measures.of(row["metric"]).lower else "only "
    return only + formats.stated(row)


def _beaten(
    own: list[Row], others: list[Row], kind: str, by: str, kinds: Mapping[str, str]
) -> Iterator[Alarm]:
    harmful = [row for row in own if kinds[row["perturbation"]] != TARGETED]
    for spot in unique(map(setting, harmful)):
        attack = next(row for row in own if setting(row) == spot)
        worst = _worst(
            [
                (attack, row)
                for row in others
                if compare.better(attack, row) and _comparable(row, attack, kind)
            ]
        )
        if worst:
            name, stronger = model(attack), worst[1]
            what = by.format(source=stronger["source"])
            label = f" ({setting(stronger).label})" if kind == "noise" else ""
            single = kinds[attack["perturbation"]] == ONE_STEP
            overshoots = "its step overshoots, or " if single else ""
            yield Alarm(
                kind,
                name,
                f"{spot.label} on {name} leaves {formats.stated(attack)} in the white box, but "
                f"{what}{label} leave{'s' if kind == 'noise' else ''} {_left(stronger)}. "
                f"An attack that knows the model should do more damage: {overshoots}its "
                f"gradients are probably masked.",
            )


def _comparable(row: Row, attack: Row, kind: str) -> bool:
    """Returns whether a row is of no larger changes; of black boxes also of the same attack."""
    if kind == "noise":
        return compare.no_larger(row, attack)
    # one setting is one size, unless the attack takes what it needs
    same, sized = setting(row) == setting(attack), setting(attack).bounded
    return same and (sized or compare.no_larger(row, attack))


def _one_step(own: list[Row], kinds: Mapping[str, str]) -> Iterator[Alarm]:
    pairs = [
        (many, one)
        for many in own
        for one in own
        if kinds[many["perturbation"]] == MANY_STEPS
        and kinds[one["perturbation"]] == ONE_STEP
        and known(one["eps"])
        and compare.no_larger(one, many)
        and compare.better(many, one)
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
            if large["eps"] > small["eps"] and compare.better(large, small)
        ]
        if worst := _worst(pairs):
            large, small = worst
            yield Alarm(
                "larger eps",
                model(large),
                f"{setting(large).label} leaves {model(large)} at {formats.stated(large)}, but the "
                f"smaller {setting(small).label} leaves {_left(small)}. The larger "
                f"size allows every smaller perturbation too: the attack overshoots, or its "
                f"gradients are masked.",
            )


def _flat(own: list[Row]) -> Iterator[Alarm]:
    told = [row for row in own if known(row["flat"])]
    standing = [row for row in told if not compare.low(row, reading.SATURATED)]
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
    """Yields alarms about ratios, which of a distance flatter nobody."""
    whole = clean(rows)
    for name, row in whole.items():
        measure = measures.of(row["metric"])
        if measure.lower:
            continue
        if measure.poor is not None and row["score"] < measure.poor:
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
