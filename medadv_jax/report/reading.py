"""The numbers in words: short sentences computed from the rows, each with what it rests on."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from medadv_jax.report import compare, formats, measures
from medadv_jax.report.rows import Row, clean, direct, known, model, setting, unique

SATURATED = 0.02
"""An attack that leaves every model at or below this score tells no two models apart."""

PAIRS = 3
"""Pairs of models that are put into words; for many models the figures say more."""


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
    return found


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
    whole = clean(rows)
    alike = [
        (one, two) for one, two in combinations(whole, 2) if compare.alike(whole[one], whole[two])
    ]
    apart = [_furthest(found, whole) for names in alike if (found := _apart(rows, *names))]
    apart.sort(key=lambda pair: _gap(*pair, whole), reverse=True)
    for frail, robust in apart[:PAIRS]:
        yield Sentence("robustness", _contrast(rows, frail, robust, whole))
    if len(apart) > PAIRS:
        yield Sentence("robustness", f"{len(apart) - PAIRS} further pairs of models differ less.")
    if alike and not apart:
        listed = "; ".join(f"{one} and {two}" for one, two in alike)
        yield Sentence(
            "robustness",
            f"Models that generalise alike, each inside the other's interval ({listed}), are not "
            f"told apart by any perturbation here either.",
        )


def _contrast(rows: Sequence[Row], frail: Row, robust: Row, whole: dict[str, Row]) -> str:
    one, two = model(frail), model(robust)
    opposite = [pair for pair in _apart(rows, one, two) if model(pair[0]) == two]
    lower = measures.of(frail["metric"]).lower
    verb, lost = ("rises", "worsens by") if lower else ("falls", "loses")
    more = formats.change(_gap(frail, robust, whole), frail["metric"])
    text = (
        f"{one} and {two} generalise alike, each inside the other's interval, but {one} is less "
        f"robust: under {setting(frail).label}, where they differ most, it {verb} "
        f"{compare.fall(whole[one], frail)}, {two} {compare.fall(whole[two], robust)}. It {lost} "
        f"{more} more."
    )
    if opposite:
        where = setting(_furthest(opposite, whole)[0]).label
        text += f" Not everywhere: under {where} it is {two} that loses more."
    return text


def _furthest(apart: Sequence[tuple[Row, Row]], whole: dict[str, Row]) -> tuple[Row, Row]:
    return max(apart, key=lambda pair: _gap(*pair, whole))


def _apart(rows: Sequence[Row], one: str, two: str) -> list[tuple[Row, Row]]:
    """Returns the weaker and the stronger row of two models wherever one clearly loses more."""
    whole = clean(rows)
    ordered = [
        (first, second) if compare.better(second, first) else (second, first)
        for first, second in _same_setting(rows, one, two)
    ]
    return [
        (frail, robust)
        for frail, robust in ordered
        if compare.better(robust, frail) and _gap(frail, robust, whole) > 0
    ]


def _gap(frail: Row, robust: Row, whole: dict[str, Row]) -> float:
    lost = [compare.loss(whole[model(row)], row) for row in (frail, robust)]
    return lost[0] - lost[1]


def _same_setting(rows: Sequence[Row], one: str, two: str) -> list[tuple[Row, Row]]:
    cells = {(model(row), row["access"], setting(row)): row for row in direct(rows)}
    return [
        (row, cells[two, access, spot])
        for (name, access, spot), row in cells.items()
        if name == one and (two, access, spot) in cells
    ]


def _worst(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    for name, row in strongest(rows, "white").items():
        if name in whole:
            seen = (
                f", with a mean SSIM of {formats.ssim(row['ssim'])} to the clean images"
                if known(row["ssim"])
                else ""
            )
            given = "Of attacks of a given size, the" if setting(row).bounded else "The"
            yield Sentence(
                "worst",
                f"{given} worst attack on {name} is {setting(row).label}: it takes the score "
                f"{compare.fall(whole[name], row)}{seen}.",
            )


def _distance(rows: Sequence[Row]) -> Iterator[Sentence]:
    free = [row for row in rows if row["access"] == "white" and not setting(row).bounded]
    for spot in unique(map(setting, free)):
        needed = "; ".join(
            f"{model(row)} is left at {formats.stated(row)} by a mean L2 of "
            f"{formats.size(row['l2'])}"
            for row in free
            if setting(row) == spot
        )
        yield Sentence(
            "distance",
            f"{spot.label} has no fixed size in pixels, it takes what it needs: {needed}. Of "
            f"scores that are alike, the one that took more is of the more robust model.",
        )


def _control(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole, attacks = clean(rows), strongest(rows, "white")
    for name, row in strongest(rows, "noise").items():
        if name in whole:
            sentence = (
                f"The worst noise for {name}, {setting(row).label}, takes it "
                f"{compare.fall(whole[name], row)}"
            )
            if name in attacks:
                sentence += f"; the worst attack leaves {formats.stated(attacks[name])}"
            yield Sentence("control", sentence + ".")


def _transfer(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    white = {(model(row), setting(row)): row for row in rows if row["access"] == "white"}
    for name, row in strongest(rows, "black").items():
        if name in whole:
            own = white.get((name, setting(row)))
            beside = f"; its own examples leave {formats.stated(own)}" if own else ""
            yield Sentence(
                "transfer",
                f"Examples of {setting(row).label} made on {row['source']} take {name} "
                f"{compare.fall(whole[name], row)}{beside}.",
            )


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
