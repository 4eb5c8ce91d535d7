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
    assert first.endswith("It loses 35.4 points more.")


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
    assert "a is less robust: under PGD ε\u00a00.01, where they differ most" in sentence
    assert sentence.endswith(
        "Not everywhere: under UniformNoise ε\u00a00.1 it is b that loses more."
    )


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
    (free,) = of_kind(read, "distance")
    assert free.startswith("DeepFool has no fixed size") and "mean L2 of 0.4" in free


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
