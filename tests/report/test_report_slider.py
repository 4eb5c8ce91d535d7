import base64
import hashlib
import io

import numpy as np
import PIL.Image
import pytest
from conftest import STRUCTURES, label_maps, scans

from medadv_jax import report
from medadv_jax.report import colors, dense, slices


def picture(uri, kind):
    content = base64.b64decode(uri.removeprefix(f"data:{kind};base64,"))
    return PIL.Image.open(io.BytesIO(content))


def test_every_slice_lies_where_the_script_looks_for_it(subject):
    made = slices.section(subject, STRUCTURES)
    truth, before, after = label_maps()
    clean, perturbed = scans()
    table = colors.table(STRUCTURES)
    size = (made["columns"] * 20, made["rows"] * 24)
    for name, maps in (
        ("truth", truth),
        ("clean_prediction", before),
        ("perturbed_prediction", after),
    ):
        sheet = picture(made["uris"][name], "image/png")
        assert sheet.size == size
        drawn = np.asarray(sheet.convert("RGBA"))
        for place, labels in enumerate(maps):
            x, y = place % made["columns"] * 20, place // made["columns"] * 24
            tile = drawn[y : y + 24, x : x + 20]
            assert ((tile[..., 3] > 0) == (labels > 0)).all()
            assert (tile[..., :3][labels > 0] == table[labels[labels > 0]]).all()
    for name, stack in (("clean", clean), ("perturbed", perturbed)):
        sheet = picture(made["uris"][name], "image/webp")
        assert sheet.size == size
        drawn = np.asarray(sheet.convert("L"))[:24, :20] / 255
        assert np.abs(drawn - stack[0, ..., 0]).mean() < 0.02  # compressed


def test_it_begins_where_there_is_most_to_see(subject):
    made = slices.section(subject, STRUCTURES)
    sizes = (subject.truth > 0).sum(axis=(1, 2))
    assert made["first"] == 1 + int(np.argmax(sizes)) and made["number"] == 10
    first = made["first"] - 1
    assert made["view"] == (first % made["columns"] * 20, first // made["columns"] * 24)
    pairs = zip(subject.clean_prediction, subject.truth, strict=True)
    dice = [dense.mean_dice(found, truth, 4) for found, truth in pairs]
    assert made["before"] == ["–" if np.isnan(d) else f"{d:.3f}" for d in dice]
    assert made["before"][0] == "–"  # no structure in the first slice


def test_large_subjects_are_thinned(subject, monkeypatch):
    monkeypatch.setattr(slices, "PIXELS", 1500)  # of 10 * 24 * 20
    made = slices.section(subject, STRUCTURES)
    assert (made["step"], made["height"], made["width"]) == (2, 12, 10)
    assert picture(made["uris"]["truth"], "image/png").size[0] == made["columns"] * 10
    monkeypatch.setattr(slices, "PIXELS", 4800)
    assert slices.section(subject, STRUCTURES)["step"] == 1


def test_no_side_is_longer_than_a_browser_takes(subject, monkeypatch):
    monkeypatch.setattr(slices, "SIDE", 45)
    assert slices.section(subject, STRUCTURES)["columns"] == 2


def test_wrong_slices_are_refused(subject):
    arrays = subject._asdict()
    with pytest.raises(ValueError, match=r"truth of a slider is \(n, h, w\).* got \(24, 20\)"):
        report.slider(**arrays | {"truth": subject.truth[0]})
    with pytest.raises(ValueError, match=r"perturbed of a slider is \(10, 24, 20\)"):
        report.slider(**arrays | {"perturbed": subject.perturbed[:3]})
    with pytest.raises(ValueError, match=r"truth of a slider lies in -1 .. 2, got 0 .. 3"):
        slices.check(subject, 3)
    with pytest.raises(ValueError, match="at most 256 classes"):
        slices.check(subject, 257)


def test_the_policy_allows_this_script_and_no_other(dense_arguments, tmp_path):
    least = dict(rows=dense_arguments["rows"][:2], examples=(), structures=())
    text = report.write(tmp_path, **dense_arguments | least).read_text()
    start, end = text.index("<script>") + len("<script>"), text.index("</script>")
    digest = base64.b64encode(hashlib.sha256(text[start:end].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert text.count("<script") == 1
    without = report.write(tmp_path, **dense_arguments | least | {"slider": None}).read_text()
    assert "<script" not in without and "script-src" not in without
