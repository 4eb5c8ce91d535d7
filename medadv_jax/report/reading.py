"""The numbers in words: short sentences computed from the rows, each with what it rests on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medadv_jax.report import compare, formats, measures, pairs
from medadv_jax.report.rows import Row, clean, known, model, setting, unique

SATURATED = 0.02
"""An attack that leaves every model at or below this score tells no two models apart."""

REACHED = 0.95
"""An attack without a size whose goal is met less often was stopped by its steps: what it changed
is no measure of robustness."""


class Sentence(NamedTuple):
    """One statement.

    Attributes:
      kind: "clean", "robustness", "worst", "distance", "control", "transfer" or "saturated".
      text: The statement, with both parts of each ratio and their intervals.
    """

    kind: str
    text: str


def read(rows: Sequence[Row]) -> list[Sentence]:
    """Returns what rows of one metric say, from the overall to the particular.

    Args:
      rows: Rows of one metric.

    Returns:
      Sentences; rows without a score are left out of them.
    """
    scored = [row for row in rows if known(row["score"])]
    parts = (_ranking, _pairs, _worst, _distance, _control, _transfer, _saturated)
    return [sentence for part in parts for sentence in part(scored)]


def strongest(rows: Sequence[Row], access: str) -> dict[str, Row]:
    """Returns, for each model, its worst-scoring row of one kind of access.

    A perturbation of unbounded size, such as DeepFool's, counts only where there is no other: it
    takes as much as it needs. Of equal scores the smallest perturbation counts: it sufficed.
    """
    found: dict[str, Row] = {}
    for row in rows:
        if row["access"] == access and known(row["score"]):
            best = found.get(model(row))
            if best is None or _strength(row) < _strength(best):
                found[model(row)] = row
    return {name: _smallest(rows, row) for name, row in found.items()}


def _equals(rows: Sequence[Row], row: Row) -> list[Row]:
    """Returns the rows of the same perturbation, of any size, that leave the same score."""
    cell = lambda r: (model(r), r["source"], r["access"], setting(r)._replace(eps=None), r["score"])
    return [other for other in rows if cell(other) == cell(row) and known(other["eps"])]


def _smallest(rows: Sequence[Row], row: Row) -> Row:
    return min(_equals(rows, row), key=lambda other: other["eps"], default=row)


def named(rows: Sequence[Row], row: Row) -> str:
    """Returns the label of the smallest perturbation that sufficed.

    Where it did damage, and a larger one of the same kind leaves the same score, it is "PGD,
    already at ε 0.01".
    """
    spot = setting(row)
    harmless = (
        known(row["clean_score"]) and compare.loss(row | {"score": row["clean_score"]}, row) <= 0
    )
    if harmless or not any(other["eps"] > row["eps"] for other in _equals(rows, row)):
        return spot.label
    return f"{spot._replace(eps=None).label}, already at {spot.strength}"


def _strength(row: Row) -> tuple[bool, float, float]:
    size = row["linf"] if known(row["linf"]) else float("inf")
    return not setting(row).bounded, compare.goodness(row), size


def _ranking(rows: Sequence[Row]) -> Iterator[Sentence]:
    ranked = sorted(clean(rows).items(), key=lambda item: -compare.goodness(item[1]))
    if ranked:
        listed = ", ".join(f"{name} {formats.stated(row)}" for name, row in ranked)
        metric = formats.metric(ranked[0][1]["metric"])
        less = " (less is better)" if measures.of(ranked[0][1]["metric"]).lower else ""
        yield Sentence("clean", f"On clean, unseen images the {metric} is{less}: {listed}.")


def _pairs(rows: Sequence[Row]) -> Iterator[Sentence]:
    for text in pairs.sentences(rows):
        yield Sentence("robustness", text)


def _worst(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    for name, row in strongest(rows, "white").items():
        if name not in whole:
            continue
        if compare.loss(whole[name], row) <= 0:
            what = "attack of a given size" if setting(row).bounded else "attack"
            yield Sentence("worst", _harmless(what, whole[name]) + ".")
        else:
            seen = (
                f", with a mean SSIM of {formats.ssim(row['ssim'])} to the clean images"
                if known(row["ssim"])
                else ""
            )
            given = "Of attacks of a given size, the" if setting(row).bounded else "The"
            yield Sentence(
                "worst",
                f"{given} worst attack on {name} is {named(rows, row)}: it takes the score "
                f"{compare.fall(whole[name], row)}{seen}.",
            )


def _harmless(what: str, whole: Row) -> str:
    """Returns that no perturbation of a kind makes the clean score worse."""
    verb = "raises" if measures.of(whole["metric"]).lower else "lowers"
    return f"No {what} tried here {verb} the score of {model(whole)}, {formats.stated(whole)}"


def _distance(rows: Sequence[Row]) -> Iterator[Sentence]:
    free = [row for row in rows if row["access"] == "white" and not setting(row).bounded]
    unsized = [row for row in free if setting(row).eps is None]
    if unsized:
        names = unique(setting(row).label for row in unsized)
        one = len(names) == 1
        until = (
            "its goal is met or its steps are" if one else "their goal is met or their steps are"
        )
        yield Sentence(
            "distance",
            f"{formats.listed(names)} {'has' if one else 'have'} no given size, "
            f"{'it goes' if one else 'they go'} on until {until} spent: {_left(unsized)}.",
        )
    for family in unique(setting(row).family for row in free if setting(row).eps is not None):
        own = [r for r in free if setting(r).family == family and setting(r).eps is not None]
        yield Sentence(
            "distance",
            f"{family} may change at most a share {setting(own[0]).symbol} of an image's values, "
            f"each by any amount, and changes no more than it needs: {_left(own)}.",
        )
    met = [row["success"] for row in free]
    if any(known(m) and m < REACHED for m in met):
        yield Sentence(
            "distance",
            "Where a goal was not met, the steps were spent: the change is then as large as they "
            "allow, and its size says nothing about the model.",
        )
    elif all(map(known, met)) and len(unique(map(model, free))) > 1:
        yield Sentence(
            "distance",
            "At equal scores, the model that needed the larger change is the more robust.",
        )


def _left(rows: Sequence[Row]) -> str:
    """Returns what is left by each perturbation of each model, and the change that it took."""
    told, spots = [], unique(map(setting, rows))
    for spot in spots:
        scores = ", ".join(
            f"{model(row)} at {formats.stated(row)} (mean L2 {formats.size(row['l2'])}{_met(row)})"
            for row in rows
            if setting(row) == spot
        )
        alone = len({one.family for one in spots}) == 1
        told.append(f"{(spot.strength or 'it') if alone else spot.label} leaves {scores}")
    return "; ".join(told)


def _met(row: Row) -> str:
    """Returns how often an attack met its goal, where it did not nearly always."""
    if not known(row["success"]) or row["success"] >= REACHED:
        return ""
    return f", goal met on {formats.percent(row['success'])}"


def _control(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole, attacks = clean(rows), strongest(rows, "white")
    for name, row in strongest(rows, "noise").items():
        if name in whole:
            sentence = (
                f"The worst noise for {name}, {named(rows, row)}, takes it "
                f"{compare.fall(whole[name], row)}"
            )
            if compare.loss(whole[name], row) <= 0:
                sentence = _harmless("noise", whole[name])
            if name in attacks:
                sentence += f"; the worst attack leaves {formats.stated(attacks[name])}"
            yield Sentence("control", sentence + ".")


def _transfer(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    white = {(model(row), setting(row)): row for row in rows if row["access"] == "white"}
    for name, row in strongest(rows, "black").items():
        if name not in whole:
            continue
        own = white.get((name, setting(row)))
        if compare.loss(whole[name], row) <= 0:
            text = _harmless("example of another model", whole[name])
        else:
            beside = f"; its own examples leave {formats.stated(own)}" if own else ""
            text = (
                f"Examples of {setting(row).label} made on {row['source']} take {name} "
                f"{compare.fall(whole[name], row)}{beside}"
            )
        yield Sentence("transfer", f"{text}.")


def _saturated(rows: Sequence[Row]) -> Iterator[Sentence]:
    if any(measures.of(row["metric"]).lower for row in rows):
        return  # a distance has no worst value
    white = [row for row in rows if row["access"] == "white" and setting(row).bounded]
    full = [
        spot
        for spot in unique(map(setting, white))
        if max(row["score"] for row in white if setting(row) == spot) <= SATURATED
    ]
    if full and len(clean(rows)) > 1:
        listed = "; ".join(spot.label for spot in full)
        yield Sentence(
            "saturated",
            f"Every model is at or below {formats.score(SATURATED)} under: {listed}. At these "
            f"strengths the attack tells no two models apart; compare them at smaller ones.",
        )
