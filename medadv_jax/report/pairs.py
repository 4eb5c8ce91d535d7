"""Models that generalise alike: which of them perturbations cost more."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from medadv_jax.report import compare, formats, measures
from medadv_jax.report.rows import Row, clean, direct, model, setting

PAIRS = 3
"""Pairs of models that are put into words; for many models the figures say more."""


def sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Yields what there is to say of each pair of models that generalise alike."""
    whole = clean(rows)
    alike = [
        (one, two) for one, two in combinations(whole, 2) if compare.alike(whole[one], whole[two])
    ]
    apart = [_typical(found, whole) for names in alike if (found := _apart(rows, *names))]
    apart.sort(key=lambda pair: _gap(*pair, whole), reverse=True)
    for frail, robust in apart[:PAIRS]:
        yield _contrast(rows, frail, robust, whole)
    if len(apart) > PAIRS:
        yield f"{len(apart) - PAIRS} further pairs of models differ less."
    if alike and not apart:
        listed = "; ".join(f"{one} and {two}" for one, two in alike)
        yield (
            f"Models that generalise alike, each inside the other's interval ({listed}), are not "
            f"told apart by any perturbation here either."
        )


def _contrast(rows: Sequence[Row], frail: Row, robust: Row, whole: dict[str, Row]) -> str:
    one, two = model(frail), model(robust)
    same, opposite = [], []
    for pair in _apart(rows, one, two):
        (same if model(pair[0]) == one else opposite).append(pair)
    lower = measures.of(frail["metric"]).lower
    verb, lost = ("rises", "worsens by") if lower else ("falls", "loses")
    more = formats.change(_gap(frail, robust, whole), frail["metric"])
    least = f"{one} is less robust" if len(same) > len(opposite) else "neither is more robust"
    text = (
        f"{one} and {two} generalise alike, each inside the other's interval, but {least}: under "
        f"{setting(frail).label}, where they differ most, {one} {verb} "
        f"{compare.fall(whole[one], frail)}, {two} {compare.fall(whole[two], robust)}. {one} "
        f"{lost} {more} more."
    )
    number = len(_same_setting(rows, one, two))
    if number > 1:
        text += (
            f" Of {number} perturbations {len(same)} clearly cost{'s' * (len(same) == 1)} {one} "
        )
        text += f"more and {len(opposite)} {two}."
    if opposite:
        where = setting(_furthest(opposite, whole)[0]).label
        text += f" Not everywhere: under {where} it is {two} that loses more."
    return text


def _typical(apart: Sequence[tuple[Row, Row]], whole: dict[str, Row]) -> tuple[Row, Row]:
    """Returns where two models differ most, of the cases where the one loses that mostly does."""
    names = [model(frail) for frail, _ in apart]
    counts = {name: names.count(name) for name in names}
    often = [pair for pair in apart if counts[model(pair[0])] == max(counts.values())]
    return _furthest(often, whole)


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
    """Returns what two models make of each perturbation, of those of one size if there are any.

    An attack that takes what it needs takes another size from each model.
    """
    shown = [row for row in direct(rows) if row["access"] != "clean"]
    shown = [row for row in shown if setting(row).bounded] or shown
    cells = {(model(row), row["access"], setting(row)): row for row in shown}
    return [
        (row, cells[two, access, spot])
        for (name, access, spot), row in cells.items()
        if name == one and (two, access, spot) in cells
    ]
