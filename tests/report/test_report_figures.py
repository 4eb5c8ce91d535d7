import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from medadv_jax.report import figures, matrix, rows as rows_module, svg

NAMESPACE = {"svg": "http://www.w3.org/2000/svg"}


@pytest.fixture
def chosen(rows):
    return rows_module.of_metric(rows_module.check(rows))


def drawn_text(element):
    return ["".join(text.itertext()) for text in element.iterfind(".//svg:text", NAMESPACE)]


def test_bars_show_every_score(chosen):
    panels = figures.bars(chosen)
    parsed = ET.fromstring(panels[1].svg)
    assert [panel.name for panel in panels] == [
        "bars-inception_v3",
        "bars-inception_v4",
        "bars-mobilenet",
    ]
    texts = drawn_text(parsed)
    for row in chosen:
        if row["model"] == "inception_v4" and row["access"] != "black":
            assert f"{row['score']:.3f}" in texts
    assert {"clean", "UniformNoise ε\u00a00.004", "DeepFool", "accuracy"} <= set(texts)
    assert "PGD ε\u00a00.002 0.494" in panels[1].alt


def test_bars_of_one_size(chosen):
    (panel, *_) = figures.bars(chosen, 0.002)
    assert panel.alt.count("ε") == 3  # noise, FGSM, PGD
    assert "DeepFool" in panel.alt and "clean" in panel.alt


def test_bars_are_as_long_as_scores(chosen):
    (panel, *_) = figures.bars(chosen)
    (axes,) = panel.figure.axes
    own = [r for r in chosen if r["model"] == "inception_v3" and r["access"] != "black"]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [r["score"] for r in own])
    (whiskers,) = axes.collections
    ends = [segment[:, 0].tolist() for segment in whiskers.get_segments()]
    np.testing.assert_allclose(ends, [[r["score_low"], r["score_high"]] for r in own])


def test_the_dotted_line_is_the_clean_score_wherever_it_stands(make_row):
    attacked = make_row("a", "white", "PGD", 0.5, clean_score=0.9, eps=0.01)
    whole = make_row("a", "clean", "clean", 0.9, clean_score=0.9)
    for rows, scores in (([attacked, whole], [0.9]), ([attacked], [])):
        (axes,) = figures.bars(rows)[0].figure.axes
        assert [line.get_xdata()[0] for line in axes.lines] == scores


def test_curves_run_from_clean_through_every_size(chosen):
    panels = figures.curves(chosen)
    assert [panel.name for panel in panels] == [
        "curves-uniformnoise",
        "curves-fgsm",
        "curves-pgd",
    ]  # DeepFool has no size
    (axes,) = panels[2].figure.axes
    line = next(line for line in axes.lines if line.get_label() == "mobilenet")
    own = [r for r in chosen if (r["model"], r["access"]) == ("mobilenet", "white")]
    scores = [0.88] + [r["score"] for r in own if r["perturbation"] == "PGD"]
    np.testing.assert_allclose(line.get_ydata(), scores)
    np.testing.assert_allclose(line.get_xdata(), [0.0002, 0.0005, 0.001, 0.002, 0.004])
    assert axes.get_xscale() == "log"


def test_narrow_grids_are_linear_from_zero(make_row):
    rows = [make_row("a", "white", "PGD", 0.5, clean_score=0.9, eps=eps) for eps in (0.01, 0.02)]
    rows.insert(0, make_row("a", "clean", "clean", 0.9, clean_score=0.9))
    (panel,) = figures.curves(rows)
    (axes,) = panel.figure.axes
    assert axes.get_xscale() == "linear"
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 0.01, 0.02])


def test_matrix_has_white_box_on_its_diagonal(chosen):
    found = matrix.matrices(chosen)
    assert [m.setting.label for m in found] == [
        f"PGD ε\u00a0{eps}" for eps in ("0.0005", "0.001", "0.002", "0.004")
    ]
    for number, line in enumerate(found[3].cells):
        for target, row in enumerate(line):
            assert row["source"] == found[3].sources[number]
            assert row["model"] == found[3].targets[target]
            assert (row["access"] == "white") == (number == target)
    texts = drawn_text(ET.fromstring(matrix.heat_map(found[3]).svg))
    assert {"0.025", "0.443", "0.708"} <= set(texts)


def luminance(color):
    value = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_text_on_colours_can_be_read():
    for score in np.linspace(0, 1, 101):
        assert contrast(*matrix.heat(float(score))) >= 4.5
    for color in (*svg.SERIES, svg.INK, svg.MUTED):
        assert contrast(color, "#ffffff") >= 4.5


def test_inline_svg_takes_the_pages_colours_and_keeps_its_ids_apart(chosen):
    panel = figures.curves(chosen)[0]
    text = panel.svg
    one, two = (svg.inline(text, name, 'a "b" <c>') for name in ("one", "two"))
    ET.fromstring(text)
    ET.fromstring(one)
    assert 'aria-label="a &quot;b&quot; &lt;c>"' in one
    assert "var(--series-0)" in one and "var(--ink)" in one
    assert not re.search(r"(fill|stroke): #", one)
    assert "<style" not in one and "<metadata" not in one and "DejaVu" not in one
    ids = [re.findall(r' id="([^"]+)"', drawing) for drawing in (one, two)]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for used in re.findall(r"(?:href=\"|url\()#([\w-]+)", one):
        assert used in ids[0]


def test_equal_figures_are_equal_bytes_and_leave_no_setting(chosen):
    before = dict(matplotlib.rcParams)
    texts = [figures.curves(chosen)[0].svg for _ in range(2)]
    assert texts[0] == texts[1]
    assert dict(matplotlib.rcParams) == before
