import io
import json
import pathlib

import devtools
import numpy as np
import PIL.Image
import pytest

from medadv_jax import report
from medadv_jax.report.rows import Setting

CLASSES = ("nevus", "melanoma", "basal cell carcinoma")
# Elements that reach beyond the page, neither inside a scrolling box nor cut off by a view.
TOO_WIDE = """
[...document.querySelectorAll("body *")].filter(element =>
  element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll, pre, use")
).map(element => element.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = devtools.find()
    if program is None:
        pytest.skip("no Chromium on the path (Debian: apt-get install chromium)")
    browser = devtools.Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def address(rows, gallery_examples, tmp_path_factory):
    """A full page, with long names and an alarm."""
    long = {"inception_v3": "inception_v3_with_a_rather_long_name"}
    rename = lambda name: long.get(name, name)
    named = [r | {"model": rename(r["model"]), "source": rename(r["source"])} for r in rows]
    named = [r | ({"flat": 0.5} if r["perturbation"] == "PGD" else {}) for r in named]
    page = report.write(
        tmp_path_factory.mktemp("page"),
        {"data_dir": pathlib.Path("/a/rather/long/path/of/a/folder/with/many/levels/in/it")},
        named,
        title="Skin lesions: generalizability and robustness",
        data="Synthetic lesions.",
        models=[{"name": name, "parameters": 23834568} for name in long.values()],
        class_names=CLASSES,
        examples=gallery_examples,
        recalls=[report.Breakdown("mobilenet", Setting("PGD", 0.004, None), [0.5, 0.0, 1.0])],
        reproduce={"command": "python -m experiments.skin " + 9 * "--option=value "},
    )
    return page.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1920])
def test_page_fits_and_nothing_complains(browser, address, width, scheme):
    browser.open(address, width, scheme=scheme, mobile=width < 500)
    assert browser.complaints() == []
    assert browser.requested() == [address]
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value(TOO_WIDE) == []
    assert browser.value("[...document.images].every(image => image.naturalWidth > 0)")


def test_first_table_stands_in_lines_on_a_phone(browser, address):
    beyond = """[...document.querySelectorAll(".glance td")].filter(
      cell => cell.getBoundingClientRect().right > innerWidth).length"""
    below = """[...document.querySelector(".glance tbody tr").children].map(
      cell => cell.getBoundingClientRect().top)"""
    label = 'getComputedStyle(document.querySelector(".glance td"), "::before").content'
    browser.open(address, 400, mobile=True)
    assert browser.value(beyond) == 0
    tops = browser.value(below)
    assert tops == sorted(set(tops))
    assert browser.value(label) == "attr(data-label)" or browser.value(label) == '"Clean"'
    browser.open(address, 1280)
    assert len(set(browser.value(below))) == 1 and browser.value(label) == "none"


def test_dark_is_dark_and_figures_follow(browser, address):
    def colors(scheme):
        browser.open(address, 1280, scheme=scheme)
        return browser.value(
            '["body", "section", ".panels svg path", ".panels svg text"].map(name => {'
            "const style = getComputedStyle(document.querySelector(name));"
            'return name.includes("svg") ? style.fill : style.backgroundColor;})'
        )

    brightness = lambda color: np.mean([int(n) for n in color[4:-1].split(",")])
    page, section, figure, text = map(brightness, colors("light"))
    assert min(page, section, figure) > 240 and text < 120
    page, section, figure, text = map(brightness, colors("dark"))
    assert max(page, section, figure) < 50 and text > 150


def test_keyboard_reaches_the_report_and_its_tables(browser, address):
    browser.open(address, 1280)
    focused = "document.activeElement.className || document.activeElement.tagName"
    browser.press("Tab", 9)
    assert browser.value(focused) == "skip"
    assert browser.value("document.activeElement.getBoundingClientRect().top") >= 0
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    seen = []
    while "BODY" not in seen and len(seen) < 100:  # then it begins anew
        browser.press("Tab", 9)
        seen.append(browser.value(focused))
    links = browser.value('document.querySelectorAll("nav a").length')
    assert seen[:links] == ["A"] * links
    assert seen.count("scroll") + seen.count("scroll tall") == browser.value(
        'document.querySelectorAll(".scroll").length'
    )
    assert "button" in seen and "PRE" in seen


def test_skip_link_leads_to_the_report(browser, address):
    browser.open(address, 1280)
    browser.press("Tab", 9)
    browser.press("Enter", 13)
    assert browser.value("document.activeElement.id") == "main"


def test_page_prints(browser, address):
    browser.open(address, 1280, scheme="dark")
    assert browser.pdf().startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    shown = 'getComputedStyle(document.querySelector("{}")).{}'
    assert browser.value(shown.format("nav", "display")) == "none"
    assert browser.value(shown.format(".scroll.tall", "maxHeight")) == "none"
    assert browser.value(shown.format("body", "backgroundColor")) == "rgb(255, 255, 255)"


@pytest.fixture(scope="module")
def dense_address(dense_arguments, tmp_path_factory):
    return report.write(tmp_path_factory.mktemp("dense"), **dense_arguments).as_uri()


# What a reader sees of the slider: its text, and the corner of each view.
SEEN = """[document.querySelector(".slider output").textContent,
  ...[...document.querySelectorAll(".slider svg")].map(view => view.getAttribute("viewBox"))]"""


@pytest.mark.parametrize("width", [400, 1920])
def test_page_of_label_maps_fits_and_nothing_complains(browser, dense_address, width):
    browser.open(dense_address, width, mobile=width < 500)
    assert browser.complaints() == []
    assert browser.requested() == [dense_address]
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value(TOO_WIDE) == []
    assert browser.value("[...document.images].every(image => image.naturalWidth > 0)")
    # A label map lies exactly upon its image.
    assert browser.value(
        '[...document.querySelectorAll(".layers")].every(layers => new Set([...layers.children]'
        ".map(image => JSON.stringify(image.getBoundingClientRect()))).size == 1)"
    )


def test_slider_moves_by_keyboard(browser, dense_address):
    browser.open(dense_address, 1280)
    assert browser.value('getComputedStyle(document.querySelector(".control")).display') == "flex"
    first = browser.value(SEEN)
    assert first[0].startswith("Slice 5 of 10. Mean Dice: clean 0.")
    browser.value('document.querySelector(".slider input").focus()')
    browser.press("Home", 36)
    seen = browser.value(SEEN)
    assert seen == ["Slice 1 of 10. Mean Dice: clean –, perturbed –.", *["0 0 20 24"] * 4]
    assert browser.value('document.querySelector(".slider input").ariaValueText') == seen[0]
    browser.press("ArrowRight", 39)
    browser.press("ArrowRight", 39)
    assert browser.value(SEEN)[1:] == ["40 0 20 24"] * 4
    browser.press("End", 35)
    assert browser.value(SEEN)[0].startswith("Slice 10 of 10.")
    assert browser.complaints() == []


def test_slider_shows_other_pixels_at_another_slice(browser, dense_address):
    browser.open(dense_address, 1280)
    browser.value('document.querySelector("#slices").scrollIntoView({behavior: "instant"})')
    shots = [browser.screenshot(full=False)]
    browser.value('document.querySelector(".slider input").focus()')
    browser.press("Home", 36)
    shots.append(browser.screenshot(full=False))
    box = "JSON.stringify(document.querySelectorAll('.slider svg')[1].getBoundingClientRect())"
    place = json.loads(browser.value(box))
    x, y = (
        round(place[edge] + place[side] / 2) for edge, side in (("x", "width"), ("y", "height"))
    )
    full, empty = (np.asarray(PIL.Image.open(io.BytesIO(shot)).convert("RGB")) for shot in shots)
    assert np.ptp(full[y, x].astype(int)) > 40  # the colour of a structure
    assert np.ptp(empty[y, x].astype(int)) < 8  # the grey of the background


def test_without_script_a_slice_is_shown_and_no_control(browser, dense_address):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(dense_address, 1280)
        document = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
        find = lambda name: browser.call("DOM.querySelector", nodeId=document, selector=name)
        html = lambda name: browser.call("DOM.getOuterHTML", nodeId=find(name)["nodeId"])
        assert "hidden" in html(".control")["outerHTML"].split(">")[0]
        assert "Slice 5 of 10." in html(".slider output")["outerHTML"]
        assert 'viewBox="0 0 20 24"' not in html(".slider svg")["outerHTML"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_slider_prints(browser, dense_address):
    browser.open(dense_address, 1280)
    assert browser.pdf().startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value('getComputedStyle(document.querySelector(".control")).display') == "none"
