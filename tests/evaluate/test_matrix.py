import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from small_grid import CLASSES, RECORDS, SIDE, Linear, Shift, batches, models

from medadv_jax import attacks, evaluate, metrics
from medadv_jax.evaluate import grid, making
from medadv_jax.types import attack

ACCURACY = metrics.accuracy(CLASSES)
KEYS = """task data data_size model defense source access perturbation eps ssim_target metric score
score_low score_high clean_score drop ssim l2 linf success misclassified flat gradients forwards
seconds compile_seconds seed""".split()


def matrix(perturbations, given=None, nets=None, metric=ACCURACY, **options):
    nets = models() if nets is None else nets
    given = batches(8) if given is None else given
    return evaluate.matrix(jax.random.key(0), nets, perturbations, given, metric=metric, **options)


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_rows_have_exactly_their_keys_and_hold_plain_values():
    info = dict(task="skin", data="tiny", seed=3, defense={"m1": "trained so"})
    rows = matrix({"shift": Shift(eps=0.1)}, info=info)
    assert len(rows) == 3 + 9
    for row in rows:
        assert list(row) == KEYS
        assert {type(value) for value in row.values()} <= {str, int, float, type(None)}
        assert (row["task"], row["data"], row["seed"]) == ("skin", "tiny", 3)
        assert row["defense"] == ("trained so" if row["model"] == "m1" else None)
        assert row["data_size"] == RECORDS


def test_every_row_agrees_with_attacking_and_counting_by_hand():
    nets, fgsm = models(), attacks.FGSM(eps=0.03)
    noise = attacks.GaussianNoise(sigma=0.1)
    rows = matrix({"fgsm": fgsm, "noise": noise})
    (batch,) = batches(RECORDS)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(RECORDS))
    images, labels = jnp.asarray(batch.images), jnp.asarray(batch.labels)
    right = {name: np.asarray(net(images).argmax(-1) == labels) for name, net in nets.items()}
    for name, net in nets.items():
        for source in [*nets, None]:
            used = noise if source is None else fgsm
            result = attacks.run(used, keys, nets[source or "m0"], images, labels)
            (row,) = pick(
                rows, model=name, source=source, perturbation="noise" if source is None else "fgsm"
            )
            found = np.asarray(net(result.images).argmax(-1))
            assert row["score"] == pytest.approx(accuracy_score(labels, found))
            assert row["clean_score"] == pytest.approx(right[name].mean())
            assert row["drop"] == pytest.approx(row["clean_score"] - row["score"])
            fooled = (found != np.asarray(labels))[right[name]].mean()
            assert row["success"] == pytest.approx(fooled)
            if source == name:
                of_engine = np.asarray(result.success)[right[name]].mean()
                assert row["success"] == pytest.approx(of_engine)
                assert row["misclassified"] == pytest.approx(np.mean(result.misclassified))
            attacked = np.full(RECORDS, True) if source is None else right[source]
            for metric in (metrics.ssim, metrics.l2, metrics.linf):
                values = np.asarray(jax.vmap(metric)(images, result.images))[attacked]
                assert row[metric.__name__] == pytest.approx(values.mean(), rel=1e-5)
            assert row["gradients"] == np.sum(result.gradients)
            assert row["access"] == (
                "noise" if source is None else "white" if source == name else "black"
            )
            assert row["eps"] == (0.1 if source is None else 0.03)
    assert sum(row["success"] > 0 for row in rows if row["access"] == "white") == 3


def test_clean_rows_come_first_and_are_undisturbed():
    rows = matrix({"shift": Shift(eps=0.1)}, metric=(ACCURACY, metrics.auc(CLASSES)))
    assert [row["access"] for row in rows[:6]] == ["clean"] * 6
    assert [row["metric"] for row in rows[:4]] == ["accuracy", "auc"] * 2
    for row in rows[:6]:
        assert row["perturbation"] == "clean"
        assert (row["ssim"], row["l2"], row["linf"], row["drop"]) == (1, 0, 0, 0)
        assert row["source"] is row["success"] is row["eps"] is row["flat"] is None


@pytest.mark.parametrize(("black_box", "judged"), [(True, 9), (False, 3)])
def test_examples_are_made_once_for_each_source(monkeypatch, black_box, judged):
    made = []
    run = attacks.run
    monkeypatch.setattr(
        attacks, "run", lambda a, *rest, **kw: made.append(a) or run(a, *rest, **kw)
    )
    shift, noise = Shift(eps=0.1), attacks.UniformNoise(eps=0.1)
    rows = matrix({"shift": shift, "noise": noise}, batches(RECORDS), black_box=black_box)
    assert sum(a is shift for a in made) == 3
    assert sum(a is noise for a in made) == 1
    assert len(pick(rows, perturbation="shift")) == judged
    assert len(pick(rows, access="white")) == 3
    assert len(pick(rows, access="noise")) == 3


def test_each_model_may_have_attacks_of_its_own():
    delta = 0.1 * np.sign(np.random.default_rng(0).normal(size=(SIDE, SIDE, 1)))
    own = {
        name: [
            attacks.UniversalPerturbation(delta=sign * delta, scale=scale, eps=0.1)
            for scale in (0.5, 1.0)
        ]
        for name, sign in (("m0", 1), ("m2", -1))
    }
    rows = matrix({"universal": own}, metric=metrics.accuracy(CLASSES))
    made = [row for row in rows if row["access"] != "clean"]
    assert len(made) == 2 * 2 * 3  # on m1 there is none; all three judge
    assert {(row["source"], round(row["eps"], 6)) for row in made} == {
        (name, eps) for name in own for eps in (0.05, 0.1)
    }
    (batch,) = batches(RECORDS)
    for row in made:
        attack = own[row["source"]][row["eps"] > 0.07]
        assert row["access"] == ("white" if row["model"] == row["source"] else "black")
        perturbed = np.clip(batch.images + attack.scale * attack.delta, 0, 1).astype(np.float32)
        right = np.argmax(models()[row["model"]](perturbed), axis=-1) == batch.labels
        assert row["score"] == pytest.approx(right.mean())


def numbers(rows):
    """Returns what must not change: all but the times."""
    return [[v for k, v in row.items() if not k.endswith("seconds")] for row in rows]


def assert_close(rows, others):
    for row, other in zip(numbers(rows), numbers(others), strict=True):
        for value, expected in zip(row, other, strict=True):
            close = pytest.approx(expected, rel=1e-5) if isinstance(expected, float) else expected
            assert value == close


def test_rows_do_not_depend_on_the_batch_size():
    perturbations = {
        "shift": Shift(eps=0.05, spread=4.0),
        "fgsm": attacks.FGSM(eps=0.02),
        "noise": attacks.GaussianNoise(sigma=0.2),
    }
    whole = matrix(perturbations, batches(RECORDS), models(2))
    for size in (3, 32):
        assert_close(matrix(perturbations, batches(size), models(2)), whole)


def test_a_record_is_treated_alike_among_other_records():
    perturbations = {"shift": Shift(eps=0.05, spread=4.0)}
    (batch,) = batches(RECORDS)
    chosen = np.array([17, 4, 11])
    few = type(batch)(*(values[chosen] for values in batch))
    run = lambda given: evaluate.run(
        jax.random.key(0), models(), perturbations, given, metric=ACCURACY
    )
    all_cells, few_cells = run([batch]).cells, run([few]).cells
    for (_, whole), (_, part) in zip(all_cells, few_cells, strict=True):
        np.testing.assert_array_equal(part.records, chosen)
        np.testing.assert_allclose(part.l2, whole.l2[chosen], rtol=1e-6)
        np.testing.assert_array_equal(part.fooled, whole.fooled[:, chosen])


def test_padding_changes_nothing_whatever_it_holds():
    perturbations = {"fgsm": attacks.FGSM(eps=0.02)}
    *given, last = batches(8)
    holes = np.where(last.mask[:, None, None, None], last.images, np.float32(np.nan))
    dirty = last._replace(images=holes, labels=np.where(last.mask, last.labels, 99))
    assert_close(matrix(perturbations, [*given, dirty]), matrix(perturbations))


class Counted(Linear):
    """A linear model that counts how often it is traced."""

    traces = 0

    def __call__(self, images):
        Counted.traces += 1
        return super().__call__(images)


jax.tree_util.register_dataclass(Counted, ["weights"], [])


def test_a_sweep_over_eps_and_other_weights_compile_once():
    nets = {name: Counted(net.weights) for name, net in models().items()}
    sweep = lambda *sizes: {"fgsm": [attacks.FGSM(eps=eps) for eps in sizes]}
    matrix(sweep(0.01), nets=nets)
    before = Counted.traces
    rows = matrix(sweep(0.0, 0.02, np.float32(0.05)), nets=nets)
    assert before == Counted.traces > 0
    assert [row["eps"] for row in rows[3::9]] == pytest.approx([0.0, 0.02, 0.05])
    scores = [[r["score"] for r in pick(rows, model="m0", access="white")] for _ in range(1)][0]
    assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1]


def test_intervals_are_over_groups():
    groups = np.array(["a", "b", "c", "d"])[np.arange(RECORDS) // 5]
    shift = {"shift": Shift(eps=0.1)}
    found = evaluate.run(jax.random.key(0), models(), shift, batches(8), metric=ACCURACY)
    rows = evaluate.rows(found, groups=groups)
    crossing, cell = found.cells[0]
    outcomes = cell.outcomes["decision"][0]
    assert crossing.judges[0] == "m0"
    expected = metrics.bootstrap(ACCURACY, outcomes, groups, seed=0)
    assert (rows[0]["score_low"], rows[0]["score_high"]) == expected
    alone = evaluate.rows(found)[0]
    assert (alone["score_low"], alone["score_high"]) != expected
    assert alone["score"] == rows[0]["score"]


@attack
class Strict(Shift):
    """An attack that is content with nothing less than the last class."""

    def fooled(self, logits, label, target=None):
        return jnp.argmax(logits, axis=-1) == CLASSES - 1


def test_an_attack_with_its_own_rule_is_judged_by_it():
    nets = models(2)
    rows = matrix({"strict": Strict(eps=0.1)}, nets=nets)
    (batch,) = batches(RECORDS)
    moved = np.clip(batch.images + np.float32(0.1), 0, 1)
    for name, net in nets.items():
        before, after = (
            np.asarray(net(i).argmax(-1)) == CLASSES - 1 for i in (batch.images, moved)
        )
        for row in pick(rows, perturbation="strict", model=name):
            assert row["success"] == pytest.approx(after[~before].mean())
            assert row["misclassified"] == pytest.approx(before.mean())
        result = attacks.run(Strict(eps=0.1), jax.random.key(0), net, batch.images, batch.labels)
        np.testing.assert_array_equal(result.misclassified, before)
        np.testing.assert_array_equal(result.success, after & ~before)


def test_what_is_undefined_is_none():
    (batch,) = batches(RECORDS)
    # One class only, which the model never predicts: no AUC, nothing to fool.
    weights = np.zeros((SIDE, SIDE, 1, CLASSES), np.float32)
    weights[..., 0] = 1
    of_one = batch._replace(labels=np.full(RECORDS, 2, np.int32))
    rows = matrix(
        {"shift": Shift(eps=0.1)},
        [of_one],
        nets={"wrong": Linear(weights)},
        metric=(ACCURACY, metrics.auc(CLASSES)),
    )
    for row in rows:
        assert row["misclassified"] == 1
    for row in pick(rows, access="white"):
        assert row["success"] is row["ssim"] is row["l2"] is row["linf"] is row["flat"] is None
    for row in pick(rows, metric="auc"):
        names = ("score", "score_low", "score_high", "clean_score", "drop")
        assert [row[name] for name in names] == [None] * 5


def test_images_smaller_than_the_window_have_no_ssim():
    (batch,) = batches(RECORDS)
    nets = {"small": Linear(models(1)["m0"].weights[:6, :6])}
    rows = matrix({"shift": Shift(eps=0.1)}, [batch._replace(images=batch.images[:, :6, :6])], nets)
    assert [row["ssim"] for row in rows] == [None, None]
    assert rows[1]["linf"] == pytest.approx(0.1, rel=1e-5)


def test_progress_is_shown_only_if_wanted(capsys):
    matrix({}, progress=True)
    assert "all cells" in capsys.readouterr().out
    matrix({})
    assert not capsys.readouterr().out


def test_a_cell_says_what_is_at_work():
    crossings = evaluate.run(
        jax.random.key(0),
        models(1),
        {"shift": [Shift(eps=0.05)], "noise": attacks.GaussianNoise(sigma=0.2)},
        batches(8),
        metric=ACCURACY,
    ).cells
    assert [crossing.name for crossing, _ in crossings] == [
        "clean",
        "shift 0.05 on m0",
        "noise 0.2",
    ]


class Shuffled(list):
    """Batches in another order each time."""

    def __iter__(self):
        self.reverse()
        return super().__iter__()


def test_bad_input_is_refused():
    shift = {"shift": Shift(eps=0.1)}
    with pytest.raises(ValueError, match="at least one model"):
        matrix(shift, nets={})
    with pytest.raises(ValueError, match="at least one metric"):
        matrix(shift, metric=())
    with pytest.raises(ValueError, match="Model 'f' is a callable pytree"):
        matrix(shift, nets={"f": lambda images: images})
    with pytest.raises(ValueError, match="cannot be called 'clean'"):
        matrix({"clean": Shift(eps=0.1)})
    with pytest.raises(ValueError, match="Two perturbations are called 'shift' .* size 0.1"):
        matrix({"shift": [Shift(eps=0.1), Shift(eps=0.1, spread=1.0)]})
    with pytest.raises(ValueError, match="'shift' has attacks on 'm9', which is none of"):
        matrix({"shift": {"m9": Shift(eps=0.1)}})
    with pytest.raises(ValueError, match="the same order each time, but these do not"):
        matrix(shift, Shuffled(batches(8)))
    with pytest.raises(ValueError, match="the batches hold no record"):
        matrix(shift, [])
    with pytest.raises(ValueError, match="record 0 comes more than once"):
        matrix(shift, batches(8) * 2)
    with pytest.raises(ValueError, match=r"info gives the keys .* got \['model'\]"):
        matrix(shift, info=dict(model="m0"))
    with pytest.raises(ValueError, match="got 5 for record 19"):
        matrix(shift, groups=np.arange(5))


def test_two_outcomes_of_one_name_are_refused():
    def decision(logits, label):
        return logits

    other = metrics.Metric("other", decision, ACCURACY.parts)
    with pytest.raises(ValueError, match="two different ones are called alike"):
        matrix({}, metric=(ACCURACY, other))


def test_logits_that_are_not_finite_are_named():
    nets = models(2)
    spoilt = nets | {"m1": Linear(nets["m1"].weights.at[0, 0, 0, 0].set(jnp.inf))}
    with pytest.raises(ValueError, match="m1 gives logits that are not finite for record 0"):
        matrix({}, nets=spoilt)


def test_a_model_that_breaks_under_a_perturbation_is_named():
    # At the clean images the sum of the logits stays below the largest float.
    scale = 3.3e38 / (SIDE * SIDE)
    weights = np.full((SIDE, SIDE, 1, CLASSES), scale, np.float32)
    with pytest.raises(ValueError, match="not finite for record .* under Shift"):
        making.make(
            jax.random.key(0),
            Shift(eps=0.9),
            Linear(jnp.zeros_like(weights)),
            {"huge": Linear(jnp.asarray(weights * 1.2))},
            batches(8),
            (metrics.decision,),
        )


def test_parts_and_pictures_of_an_evaluation():
    metric = metrics.balanced_accuracy(CLASSES)
    shift = {"shift": Shift(eps=0.1)}
    found = evaluate.run(jax.random.key(0), models(), shift, batches(3), metric=metric)
    rows, parts = evaluate.rows(found), evaluate.parts(found)
    for row, part in zip(rows, parts, strict=True):
        assert all(row[name] == part[name] for name in part if name in row)
        assert np.mean(part["parts"]) == pytest.approx(row["score"])
    pictures = evaluate.examples(found)
    assert len(pictures) == 3 * 8
    assert {picture.model for picture in pictures} == set(models())
    (batch,) = batches(RECORDS)
    for number, picture in enumerate(pictures[:8]):
        np.testing.assert_array_equal(picture.clean, batch.images[number])
        assert picture.label == batch.labels[number]
        assert picture.perturbed.max() <= 1
        np.testing.assert_allclose(picture.perturbed, np.clip(picture.clean + 0.1, 0, 1), rtol=1e-6)
        assert picture.clean_probabilities.sum() == pytest.approx(1, rel=1e-5)
        before, after = picture.clean_probabilities, picture.perturbed_probabilities
        fooled = before.argmax() == picture.label != after.argmax()
        assert picture.success == fooled
    assert len(evaluate.examples(found, access=("black",))) == 6 * 8


@pytest.mark.parametrize("given", ["accuracy", metrics.accuracy, [metrics.accuracy]])
def test_what_is_no_metric_is_refused(given):
    with pytest.raises(ValueError, match=r"such as metrics.accuracy\(num_classes\).* got "):
        grid._scores(given)  # `matrix` itself is annotated, which tests check before it can
