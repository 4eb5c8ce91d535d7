import numpy as np
import pytest

from medadv_jax.report import rows as rows_module
from medadv_jax.report.rows import Setting, headline


def test_numbers_become_pythons_own(make_row):
    row = make_row("m", "white", "PGD", 0.5, clean_score=0.9, eps=np.float32(0.5), l2=np.nan)
    (checked,) = rows_module.check([row])
    assert type(checked["eps"]) is float and checked["l2"] is None
    assert tuple(checked) == rows_module.KEYS


def test_wrong_rows_are_refused(make_row):
    row = make_row("m", "clean", "clean", 0.9, clean_score=0.9)
    with pytest.raises(ValueError, match="at least one row"):
        rows_module.check([])
    with pytest.raises(ValueError, match=r"Row 1: .*missing \['eps'\], unknown \['epsilon'\]"):
        wrong = {"epsilon" if key == "eps" else key: value for key, value in row.items()}
        rows_module.check([row, wrong])
    with pytest.raises(ValueError, match="got 'grey'"):
        rows_module.check([row | {"access": "grey"}])
    with pytest.raises(ValueError, match="No row has the metric 'auc'"):
        rows_module.of_metric([row], "auc")


@pytest.mark.parametrize(
    "name, eps, family, label",
    [
        ("pgd", 0.01, "pgd", "pgd ε\u00a00.01"),
        ("pgd@0.01", 0.01, "pgd", "pgd ε\u00a00.01"),
        ("pgd eps=0.01", 0.01, "pgd", "pgd ε\u00a00.01"),
        ("PGD (1e-3)", 0.001, "PGD", "PGD ε\u00a00.001"),
        ("pgd10", 0.01, "pgd10", "pgd10 ε\u00a00.01"),
        ("gaussian_noise", 0.1, "gaussian_noise", "gaussian_noise σ\u00a00.1"),
        ("SaliencyMap", 0.1, "SaliencyMap", "SaliencyMap γ\u00a00.1"),
        ("jsma", 0.1, "jsma", "jsma γ\u00a00.1"),
        ("DeepFool", None, "DeepFool", "DeepFool"),
    ],
)
def test_settings_have_names(make_row, name, eps, family, label):
    found = rows_module.setting(make_row("m", "white", name, 0.5, clean_score=0.9, eps=eps))
    assert (found.family, found.label) == (family, label)


def test_matched_settings_say_so():
    assert Setting("pgd", None, 0.98).label == "pgd at SSIM 0.98"


def test_bounded_is_a_size_in_pixels():
    assert Setting("pgd", 0.1, None).bounded and Setting("deepfool", None, 0.98).bounded
    assert not Setting("deepfool", None, None).bounded
    assert not Setting("saliency_map", 0.1, None).bounded


def test_headline_shows_one_size_of_each_family():
    sizes = [Setting("pgd", eps, None) for eps in (0.1, 0.2)]
    others = [
        Setting("fgsm", 0.3, None),
        Setting("deepfool", None, None),
        Setting("saliency_map", 0.5, None),
    ]
    assert headline(sizes + others, 0.1) == {sizes[0], *others}
    assert headline(sizes + others, None) == {*sizes, *others}


def test_defended_models_are_models_of_their_own(make_row):
    row = make_row("m", "clean", "clean", 0.9, clean_score=0.9)
    assert rows_module.model(row) == "m"
    assert rows_module.model(row | {"defense": "none"}) == "m"
    assert rows_module.model(row | {"defense": "jpeg"}) == "m + jpeg"
