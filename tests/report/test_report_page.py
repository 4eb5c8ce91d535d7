import base64
import html.parser
import importlib.resources
import json
import re

import numpy as np
import pytest

from medadv_jax import report
from medadv_jax.data import Source
from medadv_jax.report import glossary
from medadv_jax.report.rows import Setting

CLASSES = ("nevus", "melanoma", "basal cell carcinoma")
VOID = {"wbr", "image", "meta", "link", "img", "br", "hr", "input", "use"}


class Outline(html.parser.HTMLParser):
    """Collects elements and refuses what is not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, *tags):
        return [attrs for tag, attrs in self.elements if tag in tags]


@pytest.fixture(scope="module")
def arguments(rows, gallery_examples):
    return dict(
        config={
            "eps": 0.004,
            "learning_rate": 0.1,
            "models": ["mobilenet"],
            "data": {"name": "phantom"},
        },
        rows=rows,
        title="Skin lesions",
        data="700 synthetic images.",
        models=[{"name": "mobilenet", "parameters": 4231976, "clean": np.float32(0.5)}],
        class_names=CLASSES,
        examples=gallery_examples,
        recalls=[
            report.Breakdown("mobilenet", None, [0.9, 0.8, None], [5, 6, 7]),
            report.Breakdown("mobilenet", Setting("PGD", 0.004, None), [0.5, 0.0, float("nan")]),
        ],
        reproduce={"command": "python -m experiments.skin", "versions": {"jax_lib": "0.10"}},
    )


@pytest.fixture(scope="module")
def page(arguments, tmp_path_factory):
    return report.write(tmp_path_factory.mktemp("page"), **arguments)


@pytest.fixture
def least(make_row, tmp_path):
    """Writes a page of one row and what else is given."""

    def write(**options):
        rows = [make_row("a", "clean", "clean", 0.9, clean_score=0.9)]
        arguments = dict(rows=rows, title="t", data="d", class_names=CLASSES)
        return report.write(tmp_path, {}, **arguments | options)

    return write


def test_folder_receives_everything(page):
    folder = page.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "figures",
        "report.html",
        "rows.csv",
        "rows.json",
    ]
    config, read = report.read_rows(folder / "rows.json")
    assert config == json.loads((folder / "config.json").read_text()) and config["eps"] == 0.004
    assert len(read) == len((folder / "rows.csv").read_text().splitlines()) - 1
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"bars-mobilenet.svg", "curves-pgd.svg", "matrix-pgd_0_004.svg", "examples.png"} < names


def test_figures_of_an_earlier_report_go(least, make_row, gallery_examples):
    both = [make_row(name, "clean", "clean", 0.9, clean_score=0.9) for name in "ab"]
    folder = least(rows=both, examples=gallery_examples).parent / "figures"
    names = {"bars-a.svg", "bars-b.svg", "examples.png"}
    assert {path.name for path in folder.iterdir()} == names
    least(rows=both[1:])
    assert {path.name for path in folder.iterdir()} == {"bars-b.svg"}


def test_page_is_whole_and_loads_nothing(page):
    text = page.read_text()
    outline = Outline(text)
    assert len(text) < 1_000_000
    for attrs in outline.all("img", "link", "script", "iframe", "source", "use", "image", "a"):
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    assert not re.search(r"@import|url\((?!#)|<script", text)
    policy = next(a for a in outline.all("meta") if a.get("http-equiv"))["content"]
    assert policy.startswith("default-src 'none'")
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in outline.all("a"):
        if attrs["href"].startswith("#"):
            assert attrs["href"][1:] in ids


def test_page_can_be_used_without_eyes_or_mouse(page):
    outline = Outline(page.read_text())
    assert outline.all("html")[0]["lang"] == "en"
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("nav")) == 1
    assert outline.all("a")[0] == {"class": "skip", "href": "#main"}
    assert all(attrs["alt"] for attrs in outline.all("img"))
    assert all(attrs["aria-label"] for attrs in outline.all("svg"))
    assert all(attrs["scope"] in ("row", "col") for attrs in outline.all("th"))
    scrolling = [a for a in outline.all("div") if "scroll" in a.get("class", "").split()]
    assert len(scrolling) == len(outline.all("table"))
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)


def test_csv_inside_is_the_csv_beside(page):
    (link,) = [a for a in Outline(page.read_text()).all("a") if a.get("download")]
    content = base64.b64decode(link["href"].removeprefix("data:text/csv;base64,"))
    assert content == (page.parent / "rows.csv").read_bytes()


def test_page_says_what_it_is_about(page):
    said = " ".join(" ".join(Outline(page.read_text()).texts).split())
    for part in (
        "Synthetic data.",
        "4,231,976",
        "python -m experiments.skin",
        "versions jax_lib 0.10",
        "learning_rate 0.1",
        "no class has fewer than 5 test images",
        "Scores are over 700 unseen images.",
        "melanoma",
        "× 100",
        "None raised.",
        "generalise alike",
        "Not known in any row: defense, ssim target.",
    ):
        assert part in said, part


def test_real_data_are_not_called_synthetic(least):
    assert "Synthetic data." not in least(data="200 real photographs.").read_text()
    assert "Synthetic data." in least(data="200 images.", synthetic=True).read_text()


def test_alarms_are_counted_at_the_top(least, make_row):
    attacked = [make_row(m, "white", "PGD", 0.5, clean_score=0.9, eps=0.01) for m in "ab"]
    said = " ".join(Outline(least(rows=attacked).read_text()).texts)
    assert "None raised." in said
    flat = [row | {"flat": 0.4} for row in attacked]
    said = " ".join(Outline(least(rows=flat).read_text()).texts)
    assert "2 alarms" in said and "For 40 % of the examples a gave" in said
    assert "None raised." not in said


def test_banner_says_what_the_alarms_are(least, make_row):
    poor = [make_row("a", "clean", "clean", 0.3, clean_score=0.3)]
    said = " ".join(" ".join(Outline(least(rows=poor).read_text()).texts).split())
    assert "1 alarm A poor clean score (a). Read it before you quote a number." in said
    flat = [make_row("a", "white", "PGD", 0.25, clean_score=0.3, eps=0.01, flat=0.4)]
    said = " ".join(" ".join(Outline(least(rows=poor + flat).read_text()).texts).split())
    assert (
        "2 alarms Vanishing gradients (a); a poor clean score (a). Read them before you quote a "
        "number: a score below may be of an attack that failed." in said
    )


def test_every_column_has_its_term(page):
    terms = page.read_text().split('id="terms-title"')[1]
    for name in ("eps", "Flat", "Gradients, forwards", "Misclassified", "Seconds, compile seconds"):
        assert f"<dt>{name}</dt>" in terms
    assert "Means over the images that the attacked model had right" in terms


def test_knobs_are_named_in_the_table(least, make_row):
    rows = [make_row("a", "noise", n, 0.5, eps=0.1, clean_score=0.9) for n in ("rician_noise", "u")]
    text = least(rows=rows).read_text()
    assert ">σ\u00a00.1</td>" in text and ">0.1</td>" in text  # the same number, not the same size


def test_perturbations_are_explained(least, make_row):
    rows = [
        make_row("a", "noise", name, 0.5, clean_score=0.9, eps=0.1)
        for name in ("rician_noise", "PGD-10", "mine")
    ]
    terms = dict(glossary.terms(rows))
    assert list(terms) == ["rician_noise", "PGD-10"]
    text = least(rows=rows).read_text()
    assert "What is black turns grey" in text and "BIM from a random start" in text


def test_stacked_scores_are_labelled(page):
    labels = [a.get("data-label") for a in Outline(page.read_text()).all("td")]
    kinds = ["Clean", "Noise", "White box", "Black box"]
    assert [label for label in labels if label] == 3 * kinds


def test_names_cannot_inject_html(least, make_row, gallery_examples):
    evil = "<script>alert(1)</script>\"'&$x$"
    rows = [
        make_row(evil, access, evil, 0.5, clean_score=0.9, eps=eps, source=source)
        for eps in (0.1, 0.2)
        for access, source in (("clean", None), ("white", evil), ("black", "b"))
    ]
    pictures = [e._replace(model=evil, perturbation=evil) for e in gallery_examples]
    named = dict(title=evil, data=evil, class_names=[evil] * 3, models=[{"name": evil, evil: evil}])
    text = least(rows=rows, examples=pictures, reproduce={evil: evil}, **named).read_text()
    Outline(text)
    assert "<script" not in text and text.count("&lt;script&gt;") > 20


def test_least_report(least):
    text = least().read_text()
    Outline(text)
    for section in ("curves", "matrices", "recalls", "gallery"):
        assert f'id="{section}"' not in text and f'href="#{section}"' not in text


def test_bars_and_recalls_are_about_one_size(least, make_row):
    rows = [make_row("a", "white", "PGD", 0.5, clean_score=0.9, eps=eps) for eps in (0.1, 0.2)]
    recalls = [report.Breakdown("a", Setting("PGD", eps, None), [eps] * 3) for eps in (0.1, 0.2)]
    text = least(rows=rows, recalls=recalls, eps=0.1).read_text()
    assert "At size 0.1" in text
    assert ">0.100</td>" in text and ">0.200</td>" not in text
    text = least(rows=rows, recalls=recalls).read_text()
    assert "At size" not in text and ">0.200</td>" in text


def test_wrong_arguments_are_refused(least):
    with pytest.raises(ValueError, match="Every model of a report has a name"):
        least(models=[{"parameters": 3}])
    with pytest.raises(ValueError, match="one entry for each of the 3 classes, got 2"):
        least(recalls=[report.Breakdown("a", None, [0.1, 0.2])])
    with pytest.raises(ValueError, match="No row has the metric"):
        least(metric="auc")


def test_pictures_that_do_not_fit_are_counted(least, gallery_examples, monkeypatch):
    monkeypatch.setattr("medadv_jax.report.gallery.BUDGET", 40_000)
    text = least(examples=gallery_examples * 4).read_text()
    shown = text.count("<article")
    assert 0 < shown < 8
    assert f"{8 - shown} more would not fit" in text


def test_recalls_of_an_evaluation():
    source = Source(
        name="two",
        split="test",
        class_names=("a", "b"),
        group="lesion_id",
        description="Three records.",
        records=[{"label": label} for label in (0, 1, 1)],
        columns={"label": np.array([0, 1, 1], np.int32)},
    )
    part = dict(model="a", source=None, perturbation="pgd", eps=0.1, metric="balanced_accuracy")
    parts = [
        part | dict(access="clean", perturbation="clean", eps=None, parts=[1.0, 0.5]),
        part | dict(access="white", parts=[0.0, None]),
        part | dict(access="black", parts=[0.0, 0.0]),
        part | dict(access="white", metric="accuracy", parts=[0.4]),
    ]
    clean, white = report.recalls(parts, source)
    assert clean == report.Breakdown("a", None, [1.0, 0.5], [1, 2], access="clean")
    assert white == report.Breakdown("a", Setting("pgd", 0.1, None), [0.0, None], [1, 2])


def test_templates_are_installed():
    folder = importlib.resources.files("medadv_jax.report")
    assert all(
        (folder / name).is_file()
        for name in ("page.html.jinja", "dense.html.jinja", "page.css", "slider.js")
    )


@pytest.fixture(scope="module")
def dense_page(dense_arguments, tmp_path_factory):
    return report.write(tmp_path_factory.mktemp("dense"), **dense_arguments)


def test_page_of_label_maps_is_whole_and_loads_nothing(dense_page):
    text = dense_page.read_text()
    outline = Outline(text)
    assert len(text) < 1_000_000
    for attrs in outline.all("img", "link", "script", "use", "image", "a"):
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    ids = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in outline.all("a", "use"):
        address = attrs.get("href") or attrs["xlink:href"]
        assert address.startswith("data:") or address[1:] in ids
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in outline.all("svg"))
    assert all("alt" in attrs for attrs in outline.all("img"))
    scrolling = [a for a in outline.all("div") if "scroll" in a.get("class", "").split()]
    assert len(scrolling) == len(outline.all("table"))
    names = {path.name for path in (dense_page.parent / "figures").iterdir()}
    assert {"structures-unet.svg", "structures-segnet.svg", "examples.png"} < names


def test_page_of_label_maps_speaks_of_structures(dense_page):
    said = " ".join(" ".join(Outline(dense_page.read_text()).texts).split())
    for part in (
        "Dice of each structure",
        "left cortex",
        "Slice by slice",
        "Subject 1, unet under pgd",
        "Mean Dice of this slice",
        "perturbation × 50",
        "On clean, unseen images the Dice is: unet 0.860",
        "95th percentile of the distances",
        "Only for attacks without a given size",
        "None raised.",
    ):
        assert part in said, part
    for part in ("Recall of each class", "The prediction was right", "misread", "accuracy"):
        assert part not in said, part


def test_structures_and_slices_that_do_not_fit_are_refused(dense_arguments, tmp_path):
    short = [entry._replace(values=[0.5]) for entry in dense_arguments["structures"]]
    with pytest.raises(ValueError, match="Dice of unet under clean .* 3 structures, got 1"):
        report.write(tmp_path, **dense_arguments | {"structures": short})
    other = dense_arguments["structures"][0]._replace(metric="hd95")
    mixed = [*dense_arguments["structures"], other]
    with pytest.raises(ValueError, match="one metric stand in one section"):
        report.write(tmp_path, **dense_arguments | {"structures": mixed})
    with pytest.raises(ValueError, match="The kind of 'pgd' is one of"):
        report.write(tmp_path, **dense_arguments | {"kinds": {"pgd": "strong"}})
    assert list(tmp_path.iterdir()) == []  # refused before anything is written
