import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_masks
from small_masks import CLASSES, RECORDS, SHAPE, SLICES, SUBJECTS, batches, predictions, segmenters

from medadv_jax import attacks, evaluate, metrics
from medadv_jax.evaluate import cells, making
from medadv_jax.metrics import segmentation
from medadv_jax.types import attack

SPACING = (1.0, 2.0, 1.5)
SCORES = (
    metrics.dice(CLASSES),
    metrics.hd95(CLASSES, SPACING),
    metrics.average_surface_distance(CLASSES, SPACING),
)


@pytest.fixture(scope="module")
def found():
    return run()


def run(size=4, perturbations=None, **options):
    if perturbations is None:
        perturbations = {"noise": attacks.GaussianNoise(sigma=0.1), "fgsm": attacks.FGSM(eps=0.05)}
    settings = dict(metric=SCORES) | options
    return evaluate.run(jax.random.key(0), segmenters(), perturbations, batches(size), **settings)


def pick(rows, **wanted):
    (row,) = [r for r in rows if all(r[name] == value for name, value in wanted.items())]
    return row


def test_scores_are_of_whole_subjects(found):
    images, labels = small_masks.records()
    rows, parts = evaluate.rows(found, groups=SUBJECTS), evaluate.parts(found, groups=SUBJECTS)
    for name, net in segmenters().items():
        predicted = np.asarray(predictions(net, images))
        dice, surface = [], []
        for subject in ("a", "b"):
            own = SUBJECTS == subject
            volumes = [np.moveaxis(maps[own], 0, -1) for maps in (predicted, labels)]
            dice.append(segmentation.dice(*volumes, CLASSES))
            surface.append(segmentation.surface_distances(*volumes, CLASSES, SPACING))
        assert np.isfinite(surface[1]).all()
        # Structure 3 is found by mistake in the subject that has none: that is not scored.
        assert (predicted[SUBJECTS == "a"] == 3).any()
        assert np.isnan(surface[0])[:, 2].all()
        expected = {
            "dice": np.nanmean(dice, axis=0),
            "hd95": np.nanmean([values[0] for values in surface], axis=0),
            "average_surface_distance": np.nanmean([values[1] for values in surface], axis=0),
        }
        for metric, values in expected.items():
            of_row = dict(model=name, access="clean", metric=metric)
            part, row = pick(parts, **of_row), pick(rows, **of_row)
            np.testing.assert_allclose(part["parts"], values, rtol=1e-12)
            assert row["score"] == pytest.approx(values.mean())
            assert row["data_size"] == RECORDS
    dice = pick(rows, model="m0", access="clean", metric="dice")
    assert dice["score_low"] < dice["score"] < dice["score_high"] < 1


def test_absent_structures_are_counted():
    # Subject "a" has no structure 3.
    net = segmenters()["m0"]
    never = dataclasses.replace(net, offset=net.offset.at[3].set(-99.0))
    found = evaluate.run(
        jax.random.key(0), {"never": never}, {}, batches(5), metric=metrics.dice(CLASSES)
    )
    (part,) = evaluate.parts(found, groups=SUBJECTS)
    assert part["undefined"] == [0, 0, 1]
    assert part["parts"][2] == 0  # of subject "b", where it is there and not found
    (alone,) = evaluate.parts(found)
    assert alone["undefined"] == [0, 0, SLICES]


def test_slices_are_pooled_in_the_order_of_their_records():
    given = batches(RECORDS)[0]
    order = np.random.default_rng(0).permutation(RECORDS)
    mixed = type(given)(*(values[order] for values in given))
    both = [
        evaluate.run(jax.random.key(0), segmenters(1), {}, [batch], metric=SCORES)
        for batch in (given, mixed)
    ]
    straight, shuffled = (evaluate.rows(one, groups=SUBJECTS) for one in both)
    for row, other in zip(straight, shuffled, strict=True):
        assert row["score"] == other["score"] and row["score_low"] == other["score_low"]


def test_rows_do_not_depend_on_the_batch_size(found):
    for row, other in zip(
        evaluate.rows(found, groups=SUBJECTS), evaluate.rows(run(7), groups=SUBJECTS), strict=True
    ):
        for name, value in row.items():
            if not name.endswith("seconds"):
                close = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
                assert other[name] == close, name


def test_cells_keep_maps_and_no_probabilities(found, tmp_path):
    images, labels = small_masks.records()
    for crossing, cell in found.cells:
        judges = len(crossing.judges)
        assert cell.probabilities is None
        assert cell.predictions.shape == (judges, cells.GALLERY, *SHAPE)
        assert cell.predictions.dtype == np.uint8
        assert cell.outcomes["overlaps"].shape == (judges, RECORDS, 3, CLASSES - 1)
        assert cell.outcomes["label_maps"].shape == (judges, RECORDS, 2, *SHAPE)
        assert cell.outcomes["label_maps"].dtype == np.uint8
        cells.save(tmp_path / "cell.npz", cell)
        back = cells.load(tmp_path / "cell.npz")
        assert back is not None and back.probabilities is None
        np.testing.assert_array_equal(back.predictions, cell.predictions, strict=True)
        for name, values in cell.outcomes.items():
            np.testing.assert_array_equal(back.outcomes[name], values, strict=True)
    pictures = evaluate.examples(found)
    assert len(pictures) == 2 * 2 * cells.GALLERY
    whole = {name: predictions(net, images) for name, net in segmenters().items()}
    for picture in pictures:
        number = picture.record
        np.testing.assert_array_equal(picture.clean, images[number])
        np.testing.assert_array_equal(picture.label, labels[number])
        assert picture.clean_probabilities is picture.perturbed_probabilities is None
        np.testing.assert_array_equal(picture.clean_prediction, whole[picture.model][number])
        assert not picture.success
    for picture in pictures[:: cells.GALLERY]:
        said = predictions(segmenters()[picture.model], picture.perturbed[None])[0]
        np.testing.assert_array_equal(picture.perturbed_prediction, said)


def test_the_gallery_is_what_was_asked_for(tmp_path, monkeypatch):
    images, _ = small_masks.records()
    subject = np.flatnonzero(SUBJECTS == "a")
    noise = {"noise": attacks.GaussianNoise(sigma=0.1)}
    found = run(3, noise, gallery=subject[::-1], cache=tmp_path)
    pictures = [p for p in evaluate.examples(found) if p.model == "m1"]
    assert [picture.record for picture in pictures] == subject.tolist()
    for picture in pictures:
        np.testing.assert_array_equal(picture.clean, images[picture.record])
    monkeypatch.setattr(making, "make", None)  # all is read from files
    again = run(4, noise, gallery=subject.tolist(), cache=tmp_path)
    np.testing.assert_array_equal(again.cells[1][1].images, found.cells[1][1].images)
    monkeypatch.undo()
    # Another gallery is another file.
    others = run(4, noise, cache=tmp_path)
    assert others.gallery == tuple(range(cells.GALLERY))
    with pytest.raises(ValueError, match="gallery names record 99, which the batches do not hold"):
        run(4, noise, gallery=[1, 99])


def test_surfaces_are_measured_once(found, monkeypatch):
    first = evaluate.rows(found, groups=SUBJECTS), evaluate.parts(found, groups=SUBJECTS)
    monkeypatch.setattr(segmentation, "surface_distances", None)
    assert (evaluate.rows(found, groups=SUBJECTS), evaluate.parts(found, groups=SUBJECTS)) == first


class FillState(NamedTuple):
    image: Any
    done: Any
    flat: Any


@attack
class Fill:
    """A test's attack with a rule of its own: paints the image, wants structure 1 to be gone."""

    value: Any
    size = "value"

    def check(self, shape, num_classes):
        pass

    def max_steps(self, shape):
        return 1

    def init(self, key, predict, image, label, target=None):
        done = jnp.array(True)
        return FillState(jnp.full_like(image, self.value), done, ~done)

    def step(self, predict, state):
        return state

    def fooled(self, logits, label, target=None):
        return ~jnp.any((jnp.argmax(logits, -1) == 1) & (label == 1))


def test_an_attack_is_judged_by_its_own_rule_before_and_after():
    nets = segmenters(1)
    blind = dataclasses.replace(nets["m0"], offset=nets["m0"].offset.at[1].set(-99.0))
    found = evaluate.run(
        jax.random.key(0),
        nets | {"blind": blind},
        {
            "fill": Fill(value=0.0),
            "parts": attacks.WorstCase(attacks=(Fill(value=0.0),)),
            "plain": attacks.FGSM(eps=0.0),
        },
        batches(4),
        metric=metrics.dice(CLASSES),
    )
    rows = evaluate.rows(found, groups=SUBJECTS)
    values = lambda **wanted: [
        pick(rows, **wanted)[name] for name in ("misclassified", "success", "l2")
    ]
    images, _ = small_masks.records()
    distance = pytest.approx(np.sqrt((images**2).sum((1, 2, 3))).mean(), rel=1e-5)
    for name in ("fill", "parts"):
        # The blind model never finds structure 1: there is nothing left to fool.
        for source in nets | {"blind": None}:
            if (name, source) == ("parts", "m0"):
                continue  # below: its parts' rules do not reach the other model
            wanted = dict(perturbation=name, source=source, model="blind")
            assert values(**wanted) == [1, None, None if source == "blind" else distance]
        assert values(perturbation=name, source="m0", model="m0") == [0, 1, distance]
    # By the common rule the background that is right saves the mask.
    assert values(perturbation="parts", source="m0", model="blind")[:2] == [0, 0]
    assert values(perturbation="plain", source="m0", model="m0") == [0, 0, 0]
    shown = [picture for picture in evaluate.examples(found) if picture.model == "m0"]
    assert {(p.perturbation, p.success) for p in shown} == {
        ("fill", True),
        ("parts", True),
        ("plain", False),
    }


def test_where_there_is_nothing_to_attack_nothing_is_counted():
    """Slices without structures change neither the success of DAG nor how large it is."""
    dag = {"dag": attacks.DAG(gamma=0.05, steps=40)}
    (filled,) = batches(RECORDS)
    empty = filled._replace(
        images=np.zeros_like(filled.images),
        labels=np.zeros_like(filled.labels),
        index=filled.index + RECORDS,
    )
    rows = [
        pick(
            evaluate.rows(
                evaluate.run(
                    jax.random.key(0), segmenters(1), dag, given, metric=metrics.dice(CLASSES)
                )
            ),
            access="white",
        )
        for given in ([filled], [filled, empty])
    ]
    assert rows[0]["success"] > 0 and rows[0]["l2"] > 0.1
    for name in ("success", "l2", "linf", "ssim", "flat"):
        assert rows[1][name] == pytest.approx(rows[0][name]), name
    assert rows[1]["data_size"] == 2 * RECORDS


def everywhere(image, label):
    return jnp.ones(label.shape, bool)


@pytest.mark.parametrize("confined", [False, True])
def test_a_targeted_attack_is_judged_by_its_targets_wherever_it_goes(confined):
    nets = segmenters(1)
    nets["twin"] = dataclasses.replace(nets["m0"])
    aimed = attacks.Targeted(attack=attacks.DAG(gamma=0.05, steps=60, active="target"), kind="a")
    if confined:
        aimed = attacks.Region(attack=aimed, where=everywhere)
    found = evaluate.run(
        jax.random.key(0), nets, {"dag_a": aimed}, batches(4), metric=metrics.dice(CLASSES)
    )
    white, black = (
        [row["success"] for row in evaluate.rows(found) if row["access"] == access]
        for access in ("white", "black")
    )
    assert white == black and white[0] > 0


def test_volumes_are_records_too():
    images, labels = small_masks.records()
    stack = lambda maps: np.stack([maps[:SLICES], maps[SLICES:]])
    given = batches(2)[0]._replace(images=stack(images), labels=stack(labels))
    depth_first = (SPACING[2], *SPACING[:2])
    scores = (metrics.dice(CLASSES), metrics.hd95(CLASSES, depth_first))
    whole = evaluate.run(jax.random.key(0), segmenters(1), {}, [given], metric=scores)
    slices = evaluate.run(jax.random.key(0), segmenters(1), {}, batches(4), metric=SCORES[:2])
    rows, expected = evaluate.rows(whole), evaluate.rows(slices, groups=SUBJECTS)
    for row, other in zip(rows, expected, strict=True):
        assert row["score"] == pytest.approx(other["score"])
        assert row["ssim"] is None  # five slices are fewer than the window is long
        assert other["ssim"] == 1
    assert whole.cells[0][1].predictions.shape == (1, 2, SLICES, *SHAPE)
