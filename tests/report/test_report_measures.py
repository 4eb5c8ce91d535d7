import pytest
from rich.console import Console

from medadv_jax import report
from medadv_jax.report import alarms, compare, matrix, measures, parts, reading
from medadv_jax.report.rows import of_metric

CLEAN = 2.0


@pytest.fixture
def row(make_row):
    """A row of a distance: 2 mm when clean."""

    def make(access, perturbation, score, model="a", **fields):
        ends = dict(score_low=score - 0.1, score_high=score + 0.1)
        fields = {"clean_score": CLEAN, "eps": 0.01, "metric": "hd95", **ends, **fields}
        return make_row(model, access, perturbation, score, **fields)

    return make


def said(rows):
    return " ".join(sentence.text for sentence in reading.read(rows))


def kinds(rows, **options):
    return [(alarm.kind, alarm.model) for alarm in alarms.find(rows, **options)]


def printed(rows, metric=None):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))
    with console.file:
        console.print(report.table(rows, metric=metric))
    return console.export_text()


def test_less_of_a_distance_is_better(row):
    near, far = row("white", "pgd", 3.0), row("white", "pgd", 9.0)
    assert compare.better(near, far) and not compare.better(far, near)
    assert compare.loss(row("clean", "clean", 2.0), far) == 7.0
    assert not compare.better(near, row("white", "pgd", 3.05))  # inside the interval
    dice = [r | {"metric": "dice"} for r in (near, far)]
    assert compare.better(dice[1], dice[0])


def test_a_distance_that_grows_is_no_improvement(row):
    rows = [
        row(access, name, score, model, clean_score=2.0, eps=eps)
        for model, found in (("a", (2.0, 9.0, 3.0)), ("b", (2.0, 5.0, 2.5)))
        for (access, name, eps), score in zip(
            (("clean", "clean", None), ("white", "pgd", 0.01), ("white", "fgsm", 0.01)),
            found,
            strict=True,
        )
    ]
    worst = reading.strongest(rows, "white")
    assert worst["a"]["score"] == 9.0 and worst["b"]["score"] == 5.0
    text = said(rows)
    assert "HD95 is (less is better): a 2.000 mm [1.900, 2.100], b 2.000 mm" in text
    assert "a is less robust: under pgd ε\u00a00.01, where they differ most, a rises from" in text
    assert "a worsens by 4.000 mm more." in text
    assert "worst attack on a is pgd" in text and "to 9.000 mm [8.900, 9.100]" in text
    assert "points" not in text and "falls" not in text
    # A distance near zero is the best there is, not one that tells nothing apart.
    assert "at or below" not in said([r | {"score": r["score"] / 1e3} for r in rows])


def test_best_model_comes_first(row):
    rows = [row("clean", "clean", score, name) for name, score in (("far", 8.0), ("near", 2.0))]
    assert said(rows).index("near") < said(rows).index("far")


def test_alarms_know_which_way_a_distance_goes(row):
    white = row("white", "pgd", 4.0)
    assert kinds([white, row("black", "pgd", 9.0, source="b")]) == [("black box", "a")]
    assert kinds([white, row("black", "pgd", 3.0, source="b")]) == []
    assert kinds([white, row("noise", "uniform_noise", 9.0)]) == [("noise", "a")]
    assert kinds([white, row("white", "fgsm", 9.0)]) == [("one step", "a")]
    assert kinds([white, row("white", "fgsm", 3.0)]) == []
    assert kinds([row("white", "pgd", 9.0), row("white", "pgd", 4.0, eps=0.02)]) == [
        ("larger eps", "a")
    ]
    (alarm,) = alarms.find([white, row("black", "pgd", 9.0, source="b")])
    assert "leave 9.000 mm [8.900, 9.100]. An attack" in alarm.text and "only" not in alarm.text
    assert kinds([row("clean", "clean", 90.0)]) == []  # no distance is known to be poor


@pytest.mark.parametrize(
    "metric, poor, fair", [("dice", 0.49, 0.51), ("iou", 0.33, 0.34), ("auc", 0.69, 0.71)]
)
def test_poor_is_said_by_the_metric(make_row, metric, poor, fair):
    found = [
        kinds([make_row("a", "clean", "clean", score, clean_score=score, metric=metric)])
        for score in (poor, fair)
    ]
    assert found == [[("poor clean score", "a")], []]


def test_targeted_attacks_need_not_do_damage(make_row):
    def rows(name):
        made = dict(clean_score=0.9, metric="dice")
        return [
            make_row("a", "white", name, 0.8, eps=None, l2=1.0, **made),
            make_row("a", "noise", "rician_noise", 0.5, eps=0.01, l2=0.5, **made),
        ]

    for name in ("dag_b", "dag_c", "asma"):
        assert kinds(rows(name)) == []
    assert kinds(rows("dag_a")) == [("noise", "a")]
    assert kinds(rows("dag_a"), kinds={"dag_a": "targeted"}) == []
    assert kinds(rows("asma"), kinds={"asma": "other"}) == [("noise", "a")]


def test_kinds_can_be_told(make_row):
    made = dict(clean_score=0.9, eps=0.01)
    rows = [make_row("a", "white", n, s, **made) for n, s in (("mine", 0.6), ("yours", 0.4))]
    assert kinds(rows) == []
    told = {"mine": "many steps", "yours": "one step"}
    assert kinds(rows, kinds=told) == [("one step", "a")]
    with pytest.raises(ValueError, match="kind of 'mine' is one of .* got 'strong'"):
        alarms.check({"mine": "strong"})


def test_healthy_dense_rows_raise_none(dense_rows):
    for metric in ("dice", "hd95"):
        assert alarms.find(of_metric(dense_rows, metric)) == []


def test_dark_is_the_worst_whichever_way_the_metric_goes(dense_rows, row):
    dice = of_metric(dense_rows, "dice")
    assert parts.ramp(dice) == {"dark": "0", "bright": "1", "word": "low", "lowest": "lowest"}
    rows = [row("white", "pgd", 8.0), row("black", "pgd", 4.0, source="b")]
    assert parts.ramp(rows)["dark"] == "8 mm" and parts.ramp(rows)["bright"] == "0"
    (found,) = matrix.matrices(rows)
    assert [found.standing(score) for score in (8.0, 4.0, 0.0)] == [0.0, 0.5, 1.0]


def test_console_tells_a_rise(dense_rows):
    text = printed(dense_rows, "hd95")
    assert text.startswith("HD95, clean against perturbed")
    assert "Score and rise in mm; less is better." in text
    line = next(line for line in text.splitlines() if "pgd" in line.split())
    assert line.split()[1:5] == ["0.01", "7.560", "[7.409,", "7.711]"]
    assert "5.160" in line  # 7.56 - 2.4
    text = printed(dense_rows, "dice")
    assert "Drop: clean score minus score, in hundredths." in text and "HD95" in text


def test_success_is_told_only_where_it_has_a_meaning(dense_rows):
    lines = {
        line.split()[0]: line
        for line in printed(dense_rows, "dice").splitlines()
        if line.strip() and line.split()[0] in ("pgd", "dag_a", "rician_noise")
    }
    assert lines["pgd"].rstrip().endswith("–") and lines["rician_noise"].rstrip().endswith("–")
    assert lines["dag_a"].rstrip().endswith("%")
    table = parts.table(dense_rows)
    place = [name for name, _ in table["columns"]].index("success")
    assert {line[place][0] for line in table["lines"]} >= {"–"}


def test_scores_that_err_to_both_sides_lead_no_report(dense_rows):
    rows = [row | {"metric": "volume_error"} for row in dense_rows]
    with pytest.raises(ValueError, match="'volume_error' errs to both sides of zero"):
        of_metric(rows)
    assert of_metric([*dense_rows, *rows]) == of_metric(dense_rows)  # but they may stand behind


def test_metrics_of_the_library_are_known():
    from medadv_jax import metrics

    for make in (metrics.dice, metrics.iou, metrics.volume_error, metrics.absolute_volume_error):
        assert measures.of(make(4).name).dense
    for make in (metrics.hd95, metrics.average_surface_distance):
        measure = measures.of(make(4, (1.0, 1.0, 1.0)).name)
        assert measure.dense and measure.lower and measure.unit == "mm"
