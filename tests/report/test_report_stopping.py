import pytest

from medadv_jax import report
from medadv_jax.report import stopping


@pytest.fixture
def rows(make_row):
    made = dict(clean_score=0.9, eps=0.1)
    return [
        make_row("a", "clean", "clean", 0.9, clean_score=0.9),
        make_row("a", "white", "fgsm", 0.5, **made),
        make_row("a", "white", "pgd", 0.4, **made),
    ]


def test_what_stops_early_is_not_compared_by_size(rows):
    text = stopping.caution(rows, ["pgd"])
    assert text == (
        "pgd stops at the first change that meets its goal and leaves alone what was wrong "
        "before; fgsm changes every image as far as the size allows. So between the two "
        "kinds white-box accuracies can be compared, but SSIM, L2 and Linf cannot."
    )
    auc = [row | {"metric": "auc"} for row in rows]
    black = [rows[2] | {"access": "black", "source": "b"}]
    text = stopping.caution(rows + auc + black, ["pgd"])
    assert text is not None
    assert text.endswith("but SSIM, L2, Linf, AUC and black-box scores cannot.")


def test_nothing_is_said_of_one_kind_alone(rows):
    assert stopping.caution(rows, []) is None
    assert stopping.caution(rows, ["pgd", "fgsm"]) is None
    assert stopping.caution(rows[:1], ["pgd"]) is None


def test_of_label_maps_no_score_is_comparable(rows):
    text = stopping.caution([row | {"metric": "dice"} for row in rows], ["pgd"])
    assert text is not None and "accuracies" not in text
    assert text.endswith("neither score nor size means much by itself.")


def test_page_says_it_beside_the_numbers_and_in_the_terms(rows, tmp_path):
    write = lambda **options: report.write(tmp_path, {}, rows, title="t", data="d", **options)
    text = write(early={"pgd"}).read_text()
    numbers = text[text.index('id="table-title"') : text.index('id="reproduce-title"')]
    for part in (numbers, text[text.index('id="terms-title"') :]):
        assert "pgd stops at the first change that meets its goal" in part
    assert "stops at the first" not in write().read_text()


def test_a_label_that_no_row_has_is_refused(rows, tmp_path):
    with pytest.raises(ValueError, match="early names 'pdg'; the rows have .*'pgd'"):
        report.write(tmp_path, {}, rows, title="t", data="d", early=["pdg"])
    with pytest.raises(ValueError, match="a collection of labels, got the text 'pgd'"):
        stopping.check("pgd", rows)
