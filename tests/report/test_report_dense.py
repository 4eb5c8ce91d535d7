import io
import itertools
import re

import numpy as np
import PIL.Image
import pytest
from conftest import STRUCTURES

from medadv_jax import metrics, report
from medadv_jax.data.structures import NAMES
from medadv_jax.report import cards, colors, dense, dumbbells, gallery, images


def oklab(color):
    """Lightness and the two axes of colour, in which equal distances look alike."""
    value = np.asarray(color) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    axes = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(axes) @ np.cbrt(np.array(cones) @ linear)


def test_structures_are_told_apart_and_pairs_share_their_hue():
    table = {name: oklab(color) for name, color in zip(NAMES, colors.table(NAMES), strict=True)}
    structures = list(table)[1:]
    apart = {
        (one, two): np.linalg.norm(table[one] - table[two])
        for one, two in itertools.combinations(structures, 2)
    }
    assert len(structures) == 27 and min(apart.values()) > 0.09
    pairs = [name.removeprefix("left-") for name in structures if name.startswith("left-")]
    assert len(pairs) == 12
    for name in pairs:
        left, right = table[f"left-{name}"], table[f"right-{name}"]
        hue = np.angle(left[1] + 1j * left[2]) - np.angle(right[1] + 1j * right[2])
        assert abs(np.angle(np.exp(1j * hue))) < 0.05
        assert left[0] - right[0] == pytest.approx(0.256, abs=0.01)


def test_legend_has_a_line_a_pair():
    first, second = colors.legend(STRUCTURES)
    assert first.name == "cortex" and [side for side, _ in first.swatches] == ["left", "right"]
    assert second.name == "brain stem" and len(second.swatches) == 1
    assert re.fullmatch("#[0-9a-f]{6}", second.swatches[0][1])
    assert colors.words(NAMES[12]) == "left ventral DC"
    assert len(colors.table(["background", "lesion"])) == 2


def test_overlays_are_exact_and_the_background_is_transparent():
    labels = np.array([[0, 1, 2], [3, -1, 0]])
    table = colors.table(STRUCTURES)
    content = images.overlay(labels, table)
    read = np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGBA"))
    assert (read[..., 3] == np.where(labels > 0, round(255 * images.OPACITY), 0)).all()
    assert (read[..., :3][labels > 0] == table[labels[labels > 0]]).all()
    blended = images.blend(np.full((2, 3, 1), 0.5), labels, table)
    np.testing.assert_allclose(blended[0, 0], 0.5)
    opacity = images.OPACITY
    np.testing.assert_allclose(blended[0, 1], (1 - opacity) / 2 + opacity * table[1] / 255)


def test_a_slice_without_structures_has_no_dice():
    assert np.isnan(dense.mean_dice(np.zeros((2, 2), int), np.zeros((2, 2), int), 3))


def test_a_card_says_what_its_pictures_show(segmented):
    (card,), left_out = cards.cards(segmented[3:4], STRUCTURES)
    assert left_out == 0 and card["title"] == "pgd ε\u00a00.01"
    captions = [picture["caption"] for picture in card["pictures"]]
    assert captions == [
        "clean",
        "truth",
        "prediction",
        "prediction, perturbed",
        "perturbation × 50",
    ]
    assert [len(picture["uris"]) for picture in card["pictures"]] == [1, 2, 2, 2, 1]
    before, after = dense.scores(segmented[3], STRUCTURES)
    assert card["before"] == f"{before:.3f}" and card["after"] == f"{after:.3f}"
    assert card["verdict"] == f"Dice −{before - after:.3f}" and card["harmed"]
    clean, perturbed = (np.asarray(i, np.float32) for i in segmented[3][:2])
    assert card["facts"]["Linf"] == "0.01"
    assert card["facts"]["L2"] == f"{float(metrics.l2(clean, perturbed)):.2g}"
    assert card["facts"]["SSIM"] == f"{float(metrics.ssim(clean, perturbed)):.4f}"


def test_slices_below_the_window_have_no_ssim(segmented):
    fields = ("clean", "perturbed", "label", "clean_prediction", "perturbed_prediction")
    small = segmented[0]._replace(**{f: getattr(segmented[0], f)[:9, :9] for f in fields})
    (card,), _ = cards.cards([small], STRUCTURES)
    assert card["facts"]["SSIM"] == "–"


def test_of_a_volume_the_fullest_slice_is_shown(segmented):
    fields = ("clean", "perturbed", "label", "clean_prediction", "perturbed_prediction")
    flat = segmented[0]
    empty = {f: np.zeros_like(getattr(flat, f)) for f in fields}
    stack = {f: np.stack([empty[f], getattr(flat, f), empty[f]]) for f in fields}
    volume = flat._replace(**stack)
    gallery.check([volume], STRUCTURES)
    assert (dense.planar(volume).label == flat.label).all()
    assert dense.planar(volume).clean.shape == flat.clean.shape


def test_label_maps_that_cannot_be_drawn_are_refused(segmented):
    example = segmented[0]
    for change, reason in (
        (dict(perturbed=np.zeros((3, 3, 1))), "Example 1: clean and perturbed of a label map"),
        (dict(clean_prediction=None), r"clean_prediction is a label map of shape \(24, 20\)"),
        (dict(label=example.label + 1), r"label lies in -1 .. 3, got 1 .. 4"),
        (dict(perturbed_prediction=example.label - 1), "perturbed_prediction lies in 0 .. 3"),
    ):
        with pytest.raises(ValueError, match=reason):
            gallery.check([example, example._replace(**change)], STRUCTURES)
    with pytest.raises(ValueError, match="at most 256 classes, got 300"):
        gallery.check([example], [str(number) for number in range(300)])


def test_of_many_slices_each_attack_shows_one_and_none_that_is_empty(segmented):
    truth = segmented[0].label
    nothing = np.zeros_like(truth)
    base = segmented[0]._replace(clean_prediction=truth, perturbed_prediction=truth)
    kinds = [
        base._replace(label=nothing, clean_prediction=nothing, perturbed_prediction=nothing),
        base,
        base._replace(perturbed_prediction=np.where(np.arange(20) < 10, 0, truth)),
    ]
    many = [
        one._replace(model=model, perturbation=name, clean=one.clean + 0.01 * number)
        for model in "abc"
        for name in "defghijklm"
        for number, one in enumerate(kinds)
    ]
    chosen = gallery.select(many, None, STRUCTURES)
    assert len(chosen) == 30  # more than the limit: every attack on every model has its turn
    assert len({(example.model, example.perturbation) for example in chosen}) == 30
    assert all(example.label.any() for example in chosen)
    lost = [not (e.perturbed_prediction == truth).all() for e in chosen]
    assert lost[0] and sum(lost) == 15  # first what loses most, then in turns


def test_sheet_of_segmented_examples(segmented):
    content = gallery.sheet(segmented[:2], STRUCTURES)
    assert PIL.Image.open(io.BytesIO(content)).size == (1800, 750)


def test_structures_of_an_evaluation(dense_parts):
    found = report.structures(dense_parts)
    assert len(found) == 24 and {entry.metric for entry in found} == {"dice"}
    clean = found[0]
    assert clean.setting is None and clean.label == "clean"
    assert clean.mean == pytest.approx(0.75 * 0.86)  # without the undefined one
    few = report.structures(dense_parts, "hd95", perturbations=("pgd", "dag_a"))
    assert [entry.label for entry in few[:3]] == ["clean", "pgd ε\u00a00.01", "dag_a"]
    assert len(few) == 6


def test_dumbbells_draw_the_worst_and_their_numbers(dense_parts):
    (panel, other) = dumbbells.dumbbells(report.structures(dense_parts), STRUCTURES[1:], 0.01)
    assert (panel.name, other.name) == ("structures-unet", "structures-segnet")
    (axes,) = panel.figure.axes
    labels = [line.get_label() for line in axes.lines]
    worst = ["rician_noise σ\u00a00.01", "cospgd ε\u00a00.01", "dag_a", "sea ε\u00a00.01"]
    assert labels == ["clean", *worst]
    drawn = np.array([line.get_xdata() for line in axes.lines])
    np.testing.assert_allclose(drawn[:, 0], [0.86 * left for left in (1, 0.95, 0.28, 0.05, 0.2)])
    (lines,) = axes.collections
    ends = [segment[:, 0].tolist() for segment in lines.get_segments() if len(segment)]
    np.testing.assert_allclose(ends[0], [0.86 * 0.05, 0.86])
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "left cortex",
        "right cortex",
        "brain stem",
    ]


def test_dumbbells_of_a_distance_draw_the_largest(dense_parts):
    (panel, _) = dumbbells.dumbbells(report.structures(dense_parts, "hd95"), STRUCTURES[1:], 0.01)
    (axes,) = panel.figure.axes
    assert "dag_a" in [line.get_label() for line in axes.lines]
    assert axes.get_xlim()[1] > 10 and axes.get_xlabel() == "HD95 (mm, less is better)"


def test_dumbbells_of_nothing_known(dense_parts):
    nothing = [part | {"parts": [None, None, None]} for part in dense_parts]
    (panel, _) = dumbbells.dumbbells(report.structures(nothing), STRUCTURES[1:], 0.01)
    assert "clean –" in panel.alt
