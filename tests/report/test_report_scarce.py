import pytest

from medadv_jax import report
from medadv_jax.report import alarms, scarce
from medadv_jax.report.rows import Setting

CLASSES = ("nevus", "melanoma", "basal_cell")


def recalls(*counts):
    attacked = report.Breakdown("a", Setting("pgd", 0.1, None), [0.0] * 3, [0, 0, 0])
    return [attacked, report.Breakdown("a", None, [0.5] * 3, list(counts))]


def texts(*counts):
    return [alarm.text for alarm in scarce.find(recalls(*counts), [], CLASSES)]


def test_classes_of_few_images_are_named():
    assert texts(5, 6, 7) == []
    (text,) = texts(4, 5, 500)
    assert text.startswith("1 class had fewer than 5 test images: nevus (4 images). Its score, and")
    assert "the balanced accuracy and its interval, rest on so few: one image" in text
    (text,) = texts(4, 1, 0)
    assert "3 classes" in text
    assert "basal_cell (none, left out), melanoma (1 image), nevus (4 images)" in text
    assert "Each of the 3 classes was evaluated on only 2 images." in texts(2, 2, 2)[0]


def test_alarm_has_a_kind_that_the_banner_knows():
    (alarm,) = scarce.find(recalls(1, 9, 9), [], CLASSES)
    assert alarms.summary([alarm]) == "few test images of a class"
    assert alarm.kind not in alarms.FAILED and alarm.model == ""


def test_nothing_is_said_of_what_nobody_counted():
    untold = [report.Breakdown("a", None, [0.5] * 3)]
    assert scarce.find(untold, [], CLASSES) == scarce.find([], [], CLASSES) == []
    assert scarce.counted(untold) is None


def test_subjects_of_a_structure_are_counted(dense_parts):
    # Of 6 subjects one has no cortex at the left, and two have none at the right.
    parts = [part | {"undefined": [1, 2, 0]} for part in dense_parts]
    entries = report.structures(parts, subjects=6)
    assert scarce.counted(entries) == [5, 4, 6]
    names = ("background", "left-cortex", "right-cortex", "brain-stem")
    (alarm,) = scarce.find([], entries, names)
    assert alarm.kind == "few subjects"
    assert alarm.text.startswith("1 structure had fewer than 5 test subjects: right cortex (4 subj")
    assert "the Dice and its interval" in alarm.text


def test_many_are_not_all_listed():
    names = tuple(f"c{number}" for number in range(11))
    entry = report.Breakdown("a", None, [0.5] * 11, [*[1] * 10, 2])
    (alarm,) = scarce.find([entry], [], names)
    assert "c7 (1 image) and 3 more." in alarm.text and "c8" not in alarm.text


@pytest.mark.parametrize("counts, raised", [((5, 6, 7), False), ((5, 6, 1), True)])
def test_page_has_the_alarm(make_row, tmp_path, counts, raised):
    rows = [make_row("a", "clean", "clean", 0.9, clean_score=0.9)]
    text = report.write(
        tmp_path, {}, rows, title="t", data="d", class_names=CLASSES, recalls=recalls(*counts)
    ).read_text()
    assert ("<strong>Few images</strong>" in text) == raised == ("None raised" not in text)
