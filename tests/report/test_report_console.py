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
    said = " ".join(text.split())
    if width == 120:
        assert "Not shown" not in said
    if width == 80:
        assert "Not shown: for lack of width the columns" in said
        assert "auc, balanced accuracy and Linf." in said.replace("AUC", "auc")
    if width < 120:
        assert "See report.html or rows.csv." in said


def test_many_sizes_are_left_to_the_report(rows):
    text = printed(rows, eps=0.002)
    assert "Not shown: sizes other than 0.002. See report.html or rows.csv." in text
    first, _ = text.split("examples of one model")
    lines = [line.split() for line in first.splitlines()]
    assert [line[1] for line in lines if line[:1] == ["PGD"]] == 3 * ["0.002"]
    assert first.count("DeepFool") == 3  # of no size
    assert "PGD ε\u00a00.002" in text and "PGD ε\u00a00.001" not in text  # also across models
    assert "Not shown" not in printed(rows)
    # A clean row, DeepFool and ten of the sizes are 12: they fit.
    few = [row for row in rows if row["perturbation"] != "UniformNoise"]
    few += [row for row in rows if row["perturbation"] == "UniformNoise" and row["eps"] < 0.002]
    assert "Not shown" not in printed(few, eps=0.002)
    more = [row for row in rows if row["perturbation"] == "UniformNoise" and row["eps"] == 0.002]
    assert "Not shown" in printed(few + more, eps=0.002)


def test_a_knob_that_is_not_eps_is_named(make_row):
    made = dict(clean_score=0.9, eps=0.1)
    rows = [
        make_row("a", "noise", "gaussian_noise", 0.5, **made),
        make_row("a", "white", "saliency_map", 0.5, **made),
        make_row("a", "white", "pgd", 0.5, **made),
    ]
    text = printed(rows)
    assert "σ\u00a00.1" in line_of(text, "gaussian_noise")
    assert "γ\u00a00.1" in line_of(text, "saliency_map")
    assert line_of(text, "pgd").split()[:2] == ["pgd", "0.1"]


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
