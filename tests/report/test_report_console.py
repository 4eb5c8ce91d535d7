import pytest
from rich.console import Console

from medadv_jax import report


def printed(rows, width=100, **options):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))
    with console.file:
        console.print(report.table(rows, **options))
    return console.export_text()


def line_of(text, *words):
    return next(line for line in text.splitlines() if all(word in line for word in words))


def test_numbers_stand_in_their_row(rows):
    text = printed(rows)
    start = text[text.index("inception_v4") :]
    line = line_of(start, "PGD", "0.002")
    for part in ("0.494", "[0.464, 0.524]", "40.6", "0.445", "0.9800", "0.4", "0.002", "45 %"):
        assert part in line
    assert "–" in line_of(start, "DeepFool")  # NaN


def test_fits_into_100_columns(rows):
    text = printed(rows)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_narrow_consoles_leave_columns_out_and_say_so(rows, width):
    third = [row | {"metric": "auc"} for row in rows if row["metric"] == "accuracy"]
    text = printed(rows + third, width)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    line = line_of(text, "PGD", "0.0005")
    assert "0.580" in line and "0.9800" in line and "36 %" in line
    if width == 80:
        assert "[0.550, 0.610]" in line
    assert ("For want of width" in " ".join(text.split())) == (width < 120)


def test_black_box_is_a_matrix(rows):
    text = printed(rows)
    matrix = text[text.index("examples of one model judged by another") :]
    assert line_of(matrix, "PGD ε\u00a00.0005", "inception_v3").split()[-3:] == [
        "0.580",
        "0.873",
        "0.837",
    ]
    assert "judged by another" not in printed([r for r in rows if r["access"] != "black"])


def test_a_name_is_no_markup(make_row):
    name = "n [red] [/x]"
    rows = [
        make_row(name, access, name, 0.5, clean_score=0.9, eps=0.1, source=source)
        for access, source in (("clean", None), ("white", name), ("black", "b [red]"))
    ]
    text = "".join(printed(rows).split())
    assert text.count("n[red][/x]") == 5 and "b[red]" in text


def test_another_metric_can_lead(rows):
    text = printed(rows, metric="balanced accuracy")
    assert text.startswith("Balanced accuracy")
    with pytest.raises(ValueError, match="No row has the metric"):
        report.table(rows, metric="auc")
