import pytest

from medadv_jax.report import alarms, compare, rows as rows_module

CLEAN = 0.9


@pytest.fixture
def row(make_row):
    def make(access, perturbation, score, model="a", **fields):
        fields = {"clean_score": CLEAN, "eps": 0.01, **fields}
        return make_row(model, access, perturbation, score, **fields)

    return make


def kinds(rows, **options):
    return [(alarm.kind, alarm.model) for alarm in alarms.find(rows, **options)]


def test_healthy_rows_raise_none(rows):
    assert alarms.find(rows_module.of_metric(rows_module.check(rows))) == []


def test_black_box_stronger_than_white_box(row):
    white = row("white", "PGD", 0.5)
    assert kinds([white, row("black", "PGD", 0.3, source="b")]) == [("black box", "a")]
    assert kinds([white, row("black", "PGD", 0.49, source="b")]) == []  # inside the interval
    assert kinds([white, row("black", "PGD", 0.7, source="b")]) == []
    assert kinds([white, row("black", "FGSM", 0.3, source="b")]) == []  # not the same attack
    assert kinds([white, row("black", "PGD", 0.3, source="a", model="b")]) == []  # another victim


def test_a_larger_black_box_change_of_an_attack_without_a_size_is_no_alarm(row):
    free = dict(eps=None)
    white = row("white", "dag", 0.3, l2=0.5, **free)
    assert kinds([white, row("black", "dag", 0.2, source="b", l2=9.0, **free)]) == []
    assert kinds([white, row("black", "dag", 0.2, source="b", l2=0.5, **free)]) == [
        ("black box", "a")
    ]


def test_a_score_of_next_to_nothing_is_in_no_doubt(row):
    # With no success left in any replicate the interval is a point, and two images lie outside it.
    none = dict(score_low=0.0, score_high=0.0)
    few = dict(score_low=0.001, score_high=0.03)
    small, large = row("white", "PGD", 0.0, **none), row("white", "PGD", 0.01, eps=0.02, **few)
    black = row("black", "PGD", 0.0, source="b", eps=0.02, **none)
    assert kinds([small, large, black]) == []
    more = row("white", "PGD", 0.03, eps=0.02, score_low=0.01, score_high=0.05)
    assert kinds([small, more, black]) == [("black box", "a"), ("larger eps", "a")]


def test_one_step_may_overshoot(row):
    texts = [
        alarms.find([row("white", name, 0.5), row("black", name, 0.3, source="b")])[0].text
        for name in ("FGSM", "PGD")
    ]
    assert ["overshoots" in text for text in texts] == [True, False]


def test_alarm_states_both_scores_and_intervals(row):
    (alarm,) = alarms.find([row("white", "PGD", 0.5), row("black", "PGD", 0.3, source="b")])
    for part in ("0.500 [0.470, 0.530]", "0.300 [0.270, 0.330]", "made on b", "PGD ε\u00a00.01"):
        assert part in alarm.text


def test_noise_stronger_than_attack(row):
    white = row("white", "PGD", 0.8)
    assert kinds([white, row("noise", "UniformNoise", 0.6)]) == [("noise", "a")]
    assert kinds([white, row("noise", "UniformNoise", 0.6, eps=0.02)]) == []  # larger noise
    assert kinds([white, row("noise", "UniformNoise", 0.85)]) == []
    free = row("white", "DeepFool", 0.8, eps=None, l2=1.0)
    assert kinds([free, row("noise", "UniformNoise", 0.6, l2=0.9)]) == [("noise", "a")]
    assert kinds([free, row("noise", "UniformNoise", 0.6, l2=1.1)]) == []
    # The size of the saliency map attack is a share of pixels, no size in pixels.
    few = row("white", "saliency_map", 0.8, eps=0.1, l2=0.5)
    assert kinds([few, row("noise", "UniformNoise", 0.6, eps=0.02, l2=0.9)]) == []


def test_one_step_stronger_than_many(row):
    assert kinds([row("white", "PGD", 0.6), row("white", "FGSM", 0.4)]) == [("one step", "a")]
    assert kinds([row("white", "pgd_10", 0.6), row("white", "fgsm", 0.4)]) == [("one step", "a")]
    assert kinds([row("white", "PGD", 0.4), row("white", "FGSM", 0.6)]) == []
    assert kinds([row("white", "PGD", 0.6), row("white", "FGSM", 0.4, eps=0.02)]) == []
    assert kinds([row("white", "PGD", 0.6), row("white", "DeepFool", 0.4, eps=None)]) == []


def test_larger_eps_weaker(row):
    small, large = row("white", "PGD", 0.4), row("white", "PGD", 0.6, eps=0.02)
    assert kinds([small, large]) == [("larger eps", "a")]
    assert kinds([row("white", "PGD", 0.6), row("white", "PGD", 0.4, eps=0.02)]) == []
    assert kinds([row("white", "MIM", 0.4), large]) == []  # another attack


def test_flat_gradients(row):
    assert kinds([row("white", "PGD", 0.6, flat=0.2)]) == [("flat gradients", "a")]
    assert kinds([row("white", "PGD", 0.6, flat=0.1)]) == []
    assert kinds([row("white", "PGD", 0.6, flat=None)]) == []
    assert kinds([row("white", "PGD", 0.0, flat=0.2)]) == []  # it fell all the same


def test_poor_clean_score(row):
    assert kinds([row("clean", "clean", 0.3)]) == [("poor clean score", "a")]
    assert kinds([row("clean", "clean", 0.6)]) == []


def test_ratio_that_hides_a_poor_clean_score(row):
    good = [row("clean", "clean", 0.9, "good"), row("white", "PGD", 0.54, "good")]
    poor = [row("clean", "clean", 0.6, "poor"), row("white", "PGD", 0.5, "poor")]
    assert kinds(good + poor) == [("poor clean score", "poor")]
    (alarm,) = alarms.find(good + poor)
    for part in ("(ratio 0.83)", "(ratio 0.60)", "0.600 [", "0.500 [", "0.900 [", "0.540 ["):
        assert part in alarm.text
    better = [poor[0], row("white", "PGD", 0.58, "poor")]
    assert kinds(good + better) == []  # it is above the other also in score


def test_shared_backbone(row):
    transfer = row("black", "PGD", 0.7, source="b")
    facts = [{"name": "a", "backbone": "v3"}, {"name": "b", "backbone": "v3"}]
    assert kinds([transfer], models=facts) == [("shared backbone", "a")]
    assert kinds([transfer], models=[facts[0], {"name": "b", "backbone": "v4"}]) == []
    assert kinds([transfer], models=[{"name": "a"}, {"name": "b"}]) == []


def test_rows_without_score_are_left_out(row):
    assert kinds([row("white", "PGD", 0.5) | {"score": None}, row("noise", "N", 0.3)]) == []


def test_above_needs_more_than_the_intervals(row):
    low = row("white", "PGD", 0.5)
    assert compare.above(row("white", "PGD", 0.54), low)
    assert not compare.above(row("white", "PGD", 0.52), low)
    bare = {"score_low": None, "score_high": None}
    assert compare.above(row("white", "PGD", 0.51) | bare, low | bare)
    assert not compare.above(low | bare, low | bare)
