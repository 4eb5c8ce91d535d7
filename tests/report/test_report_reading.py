import re

import pytest

from medadv_jax.report import reading, rows as rows_module


@pytest.fixture
def read(rows):
    return reading.read(rows_module.of_metric(rows_module.check(rows)))


def of_kind(sentences, kind):
    return [sentence.text for sentence in sentences if sentence.kind == kind]


def test_every_ratio_stands_beside_both_parts_and_their_intervals(read):
    change = r"from \d\.\d{3} \[[\d., ]+\] to \d\.\d{3} \[[\d., ]+\] \(ratio \d\.\d\d\)"
    ratios = sum(sentence.text.count("ratio") for sentence in read)
    assert ratios == sum(len(re.findall(change, sentence.text)) for sentence in read) > 9


def test_equal_generalisation_unequal_robustness(read):
    # V3 falls by exp(-0.5 * 900 * 0.004), V4 by exp(-0.5 * 300 * 0.004).
    first = of_kind(read, "robustness")[0]
    assert first.startswith("inception_v3 and inception_v4 generalise alike")
    assert "inception_v3 is less robust: under FGSM ε\u00a00.004" in first
    assert "from 0.910 [0.880, 0.940] to 0.150 [0.120, 0.180] (ratio 0.17)" in first
    assert "from 0.900 [0.870, 0.930] to 0.494 [0.464, 0.524] (ratio 0.55)" in first
    assert "inception_v3 loses 35.4 points more. Of 12 perturbations 8 clearly cost" in first


def test_an_order_that_turns_round_is_said(make_row):
    scores = dict(a=(0.9, 0.2, 0.6), b=(0.9, 0.5, 0.4))
    rows = [
        make_row(m, access, name, score, clean_score=0.9, eps=eps)
        for m, values in scores.items()
        for (access, name, eps), score in zip(
            [("clean", "clean", None), ("white", "PGD", 0.01), ("noise", "UniformNoise", 0.1)],
            values,
            strict=True,
        )
    ]
    (sentence,) = of_kind(reading.read(rows), "robustness")
    assert "neither is more robust: under PGD ε\u00a00.01, where they differ most" in sentence
    assert "Of 2 perturbations 1 clearly costs a more and 1 b." in sentence
    assert sentence.endswith(
        "Not everywhere: under UniformNoise ε\u00a00.1 it is b that loses more."
    )


def test_the_less_robust_model_is_the_one_that_mostly_loses_more(make_row):
    """One large difference, and an attack without a size, do not turn round four small ones."""
    scores = {"small": (0.6, 0.7), "weak": (0.5, 0.6), "mid": (0.4, 0.5), "large": (0.6, 0.1)}
    rows = [make_row(m, "clean", "clean", 0.9, clean_score=0.9) for m in "ab"]
    for name, pair in scores.items():
        rows += [
            make_row(m, "white", name, score, clean_score=0.9, eps=0.01)
            for m, score in zip("ab", pair, strict=True)
        ]
    rows += [
        make_row(m, "white", "dag", score, clean_score=0.9, eps=None)
        for m, score in zip("ab", (0.8, 0.0), strict=True)
    ]
    (sentence,) = of_kind(reading.read(rows), "robustness")
    assert "but a is less robust" in sentence
    assert "Of 4 perturbations 3 clearly cost a more and 1 b." in sentence
    assert "under large ε\u00a00.01 it is b that loses more" in sentence and "dag" not in sentence


def test_models_that_nothing_tells_apart(make_row):
    rows = [make_row(m, "clean", "clean", 0.9, clean_score=0.9) for m in "ab"]
    rows += [make_row(m, "white", "PGD", 0.5, clean_score=0.9, eps=0.01) for m in "ab"]
    (sentence,) = of_kind(reading.read(rows), "robustness")
    assert "(a and b), are not told apart" in sentence


def test_unequal_generalisation_is_not_called_alike(make_row):
    rows = [make_row(m, "clean", "clean", s, clean_score=s) for m, s in (("a", 0.9), ("b", 0.7))]
    assert of_kind(reading.read(rows), "robustness") == []


def test_worst_attack_has_a_size(read):
    texts = of_kind(read, "worst")
    assert "worst attack on inception_v3 is PGD ε\u00a00.004" in texts[0]
    assert "mean SSIM of 0.9800" in texts[0]
    assert not any("DeepFool" in text for text in texts)
    free, order = of_kind(read, "distance")
    assert free.startswith("DeepFool has no given size, it goes on until its goal is met")
    assert "inception_v3 at 0.020 [0.000, 0.050] (mean L2 0.4)" in free
    assert order.startswith("At equal scores, the model that needed the larger change")


def test_transfer_beside_white_box(read):
    text = of_kind(read, "transfer")[0]
    assert "made on inception_v3 take inception_v4" in text
    assert "its own examples leave 0.271 [0.241, 0.301]" in text


def test_saturated_attacks_are_named(make_row):
    def rows(score):
        return [
            make_row(m, access, "PGD", s, clean_score=0.9, eps=0.01)
            for m in "ab"
            for access, s in (("clean", 0.9), ("white", score))
        ]

    assert "PGD ε\u00a00.01" in of_kind(reading.read(rows(0.02)), "saturated")[0]
    assert of_kind(reading.read(rows(0.03)), "saturated") == []


def test_strongest_prefers_bounded_then_smaller(make_row):
    made = dict(clean_score=0.9, access="white")
    rows = [
        make_row("a", perturbation="DeepFool", score=0.0, eps=None, **made),
        make_row("a", perturbation="PGD", score=0.1, eps=0.02, **made),
        make_row("a", perturbation="PGD", score=0.1, eps=0.01, **made),
    ]
    assert reading.strongest(rows, "white")["a"] is rows[2]
    assert reading.strongest(rows[:1], "white")["a"] is rows[0]
    assert reading.strongest(rows, "noise") == {}


def test_unknown_scores_are_left_out(make_row):
    rows = [make_row("a", "clean", "clean", 0.9, clean_score=0.9) | {"score": None}]
    assert reading.read(rows) == []


def test_attacks_without_a_size_share_one_sentence(make_row):
    rows = [
        make_row("a", "white", name, 0.5, eps=None, clean_score=0.9, success=success)
        for name, success in (("dag_a", 1.0), ("dag_b", 0.25), ("asma", None))
    ]
    text, spent = of_kind(reading.read(rows), "distance")  # of one model nothing is more robust
    assert spent.startswith("Where a goal was not met, the steps were spent")
    assert text.startswith("dag_a, dag_b and asma have no given size, they go on until their goal")
    assert text.count("goal met on 25 %") == 1 == text.count("goal met on")
    assert text.count("dag_b leaves a at 0.500") == text.count("asma leaves a at 0.500") == 1


@pytest.mark.parametrize("success", [0.5, 0.99])
def test_models_are_ordered_by_size_only_where_the_goal_was_met(success, make_row):
    rows = [
        make_row(m, "white", "dag", 0.1, eps=None, clean_score=0.9, success=success) for m in "ab"
    ]
    texts = of_kind(reading.read(rows), "distance")
    assert ("the more robust" in texts[-1]) == (success > 0.9)


def test_saliency_map_has_a_size_but_not_in_pixels(make_row):
    row = make_row("a", "white", "saliency_map", 0.0, eps=0.1, clean_score=0.9)
    (text,) = of_kind(reading.read([row]), "distance")
    assert text.startswith("saliency_map may change at most a share γ of an image's values")
    assert "γ\u00a00.1 leaves a at 0.000" in text and "no given size" not in text


def test_a_tie_is_no_fall(make_row):
    made = dict(clean_score=0.5, eps=0.01)
    rows = [
        make_row("a", "clean", "clean", 0.5, clean_score=0.5),
        make_row("a", "noise", "sign_noise", 0.5, **made),
        make_row("a", "noise", "sign_noise", 0.5, **made | {"eps": 0.02}),
        make_row("a", "white", "pgd", 0.5, **made),
        make_row("a", "black", "pgd", 0.5, source="b", **made),
    ]
    said = reading.read(rows)
    assert not any(" from " in sentence.text for sentence in said)
    (noise,) = of_kind(said, "control")
    assert noise.startswith("No noise tried here lowers the score of a, 0.500 [0.470, 0.530]; ")
    assert of_kind(said, "worst") == [
        "No attack of a given size tried here lowers the score of a, 0.500 [0.470, 0.530]."
    ]
    assert of_kind(said, "transfer")[0].startswith("No example of another model tried here lowers")
    assert reading.named(rows, rows[1]) == "sign_noise ε\u00a00.01"  # it does nothing already


def test_a_distance_that_no_noise_raises(make_row):
    made = dict(clean_score=2.0, metric="hd95")
    rows = [make_row("a", a, "sign_noise", 2.0, eps=0.01, **made) for a in ("clean", "noise")]
    assert "No noise tried here raises the score of a" in of_kind(reading.read(rows), "control")[0]


def test_an_attack_at_its_floor_is_named_at_its_smallest_size(make_row):
    made = dict(clean_score=0.9, access="white", model="a")
    rows = [make_row("a", "clean", "clean", 0.9, clean_score=0.9)]
    # An attack that stops when it fools changes no more at a larger size; here it is even less.
    rows += [
        make_row(perturbation="pgd", score=s, eps=e, **made) | {"linf": linf}
        for s, e, linf in ((0.3, 0.001, 0.001), (0.0, 0.004, 0.003), (0.0, 0.01, 0.002))
    ]
    (text,) = of_kind(reading.read(rows), "worst")
    assert "worst attack on a is pgd, already at ε\u00a00.004: it takes" in text
    sigma = [make_row("a", "noise", "gaussian_noise", 0.5, eps=e, clean_score=0.9) for e in (1, 2)]
    assert reading.named(sigma, sigma[0]) == "gaussian_noise, already at σ\u00a01"
    (text,) = of_kind(reading.read(rows[:3]), "worst")
    assert "worst attack on a is pgd ε\u00a00.004: it takes" in text
