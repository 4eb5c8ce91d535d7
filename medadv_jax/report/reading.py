"""The numbers in words: short sentences computed from the rows, each with what it rests on."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from medadv_jax.report import compare, formats
from medadv_jax.report.rows import Row, clean, direct, known, model, setting, unique

SATURATED = 0.02
"""An attack that leaves every model at or below this score tells no two models apart."""


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
      rows: Rows of one metric, for which more is better.

    Returns:
      Sentences; rows without a score are left out of them.
    """
    scored = [row for row in rows if known(row["score"])]
    parts = (_ranking, _pairs, _worst, _distance, _control, _transfer, _saturated)
    return [sentence for part in parts for sentence in part(scored)]


def strongest(rows: Sequence[Row], access: str) -> dict[str, Row]:
    """Returns, for each model, its lowest-scoring row of one kind of access.

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
    return not setting(row).bounded, row["score"], size


def _ranking(rows: Sequence[Row]) -> Iterator[Sentence]:
    ranked = sorted(clean(rows).items(), key=lambda item: -item[1]["score"])
    if ranked:
        listed = ", ".join(f"{name} {formats.stated(row)}" for name, row in ranked)
        metric = ranked[0][1]["metric"]
        yield Sentence("clean", f"On clean, unseen images the {metric} is: {listed}.")


def _pairs(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    for one, two in combinations(whole, 2):
        if not compare.alike(whole[one], whole[two]):
            continue
        start = (
            f"{one} and {two} generalise alike: {formats.stated(whole[one])} and "
            f"{formats.stated(whole[two])} on clean images, each inside the other's interval."
        )
        apart = [
            pair
            for pair in _same_setting(rows, one, two)
            if compare.above(*pair) or compare.above(*reversed(pair))
        ]
        if not apart:
            yield Sentence("robustness", f"{start} No perturbation here tells them apart either.")
            continue
        robust, frail = sorted(
            max(apart, key=lambda pair: abs(_loss(pair[0], whole) - _loss(pair[1], whole))),
            key=lambda row: -row["score"],
        )
        more = formats.points(_loss(frail, whole) - _loss(robust, whole))
        yield Sentence(
            "robustness",
            f"{start} They are not equally robust: under {setting(frail).label} {model(frail)} "
            f"falls {compare.fall(whole[model(frail)], frail)}, {model(robust)} "
            f"{compare.fall(whole[model(robust)], robust)}; {model(frail)} loses {more} points "
            f"more.",
        )


def _same_setting(rows: Sequence[Row], one: str, two: str) -> list[tuple[Row, Row]]:
    cells = {(model(row), row["access"], setting(row)): row for row in direct(rows)}
    return [
        (row, cells[two, access, spot])
        for (name, access, spot), row in cells.items()
        if name == one and (two, access, spot) in cells
    ]


def _loss(row: Row, whole: dict[str, Row]) -> float:
    return whole[model(row)]["score"] - row["score"]


def _worst(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole = clean(rows)
    for name, row in strongest(rows, "white").items():
        if name in whole:
            seen = (
                f", with a mean SSIM of {formats.ssim(row['ssim'])} to the clean images"
                if known(row["ssim"])
                else ""
            )
            yield Sentence(
                "worst",
                f"The worst attack on {name} is {setting(row).label}: it takes the score "
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
            f"{spot.label} has no fixed size, it takes what it needs: {needed}. The more it needs, "
            f"the more robust the model.",
        )


def _control(rows: Sequence[Row]) -> Iterator[Sentence]:
    whole, attacks = clean(rows), strongest(rows, "white")
    for name, row in strongest(rows, "noise").items():
        if name in whole:
            sentence = (
                f"Noise takes {name} at worst {compare.fall(whole[name], row)} "
                f"({setting(row).label})"
            )
            if name in attacks:
                sentence += f"; its worst attack leaves {formats.stated(attacks[name])}"
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
