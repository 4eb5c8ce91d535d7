"""AutoAttack and attacks with an aim: what runs on what, what it costs, and how few classes do."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks
from medadv_jax.attacks.rivals import likeliest_others

SHAPE = (4, 3, 3)


def setting(num_classes=4, count=24):
    model = toy.mlp(0, num_classes=num_classes)
    images = toy.images(1, count, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def apgd(eps, **options):
    return attacks.APGD(eps=eps, steps=17, loss="dlr", until_fooled=True, **options)


def test_the_standard_version_is_the_original_s():
    ce, apgd_t, fab_t, square = attacks.autoattack(0.03).parts()
    assert (ce.loss, ce.steps, ce.rho, ce.norm) == ("ce", 100, 0.75, "linf")
    assert (apgd_t.attack.loss, apgd_t.attack.steps, apgd_t.classes) == ("dlr", 100, 9)
    fab = fab_t.attack
    assert (fab.steps, fab.alpha_max, fab.eta, fab.beta, fab_t.classes) == (100, 0.1, 1.05, 0.9, 9)
    assert (square.steps, square.p_init, square.rescaled) == (5000, 0.8, False)
    assert all(part.eps == 0.03 for part in (ce, apgd_t.attack, fab, square))
    plus = attacks.autoattack(0.03, "l2", version="plus").parts()
    names = [type(part).__name__ for part in plus]
    assert names == ["APGD"] * 10 + ["FAB"] * 5 + ["Square", "Aimed", "Aimed"]
    assert [part.random_start for part in plus[10:15]] == [False] + [True] * 4


@pytest.mark.parametrize("num_classes, norm", [(2, "linf"), (3, "linf"), (10, "linf"), (10, "l2")])
def test_it_succeeds_exactly_beyond_the_distance(num_classes, norm, key):
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, 16, SHAPE)
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, norm).min(axis=1)
    factors = np.where(np.arange(16) % 2, 1.02, 0.98)
    attack = attacks.autoattack(factors * distances, norm, steps=20, queries=17)
    result = attacks.run(attack, key, model, images, labels)
    assert (result.success == (factors > 1)).all()


def test_costs_are_those_of_the_parts_on_what_still_stands(key):
    model, images, labels = setting()
    labels = labels.at[0].set((labels[0] + 1) % 4)
    attack = attacks.autoattack(0.04, steps=17, queries=17)
    result = attacks.run(attack, key, model, images, labels)
    first = attacks.run(attack.parts()[0], key, model, images, labels)
    assert 0 < first.success.sum() < 20 and 0 < result.success.sum() < 20
    assert (result.success >= first.success).all()
    by_first = first.success | first.misclassified
    pick = lambda result: jax.tree.map(lambda leaf: leaf[by_first], result)
    chex.assert_trees_all_close(pick(result), pick(first), rtol=0, atol=1e-6)
    aims = 3
    robust = ~result.success & ~result.misclassified
    assert (result.gradients[robust] == 18 + 18 * aims + 17 * aims).all()
    assert (result.forwards[robust] == 1 + 1 + 17 * aims + 18).all()
    assert result.misclassified[0] and result.gradients[0] == result.forwards[0] == 0


@pytest.mark.parametrize("make", [apgd, lambda eps, **options: attacks.FAB(eps=eps, **options)])
def test_one_class_is_an_aim_at_the_runner_up(make, key):
    model, images, labels = setting()
    aim = likeliest_others(model(images), labels, 1)[:, 0]
    alone = attacks.run(make(0.06, aim=aim), key, model, images, labels)
    aimed = attacks.run(attacks.Aimed(attack=make(0.06), classes=1), key, model, images, labels)
    expected = alone._replace(forwards=alone.forwards + 1)
    chex.assert_trees_all_close(aimed, expected, rtol=0, atol=1e-6)


def test_more_classes_are_never_weaker(key):
    model, images, labels = setting(count=200)
    few, more = (
        attacks.run(
            attacks.Aimed(attack=attacks.FAB(eps=0.35, steps=4, search=0), classes=classes),
            *(key, model, images, labels),
        ).success
        for classes in (1, 9)
    )
    assert (more >= few).all() and 0 < few.sum() < more.sum() < 200


def test_any_wrong_class_is_a_success_whatever_the_aim(key):
    model, images, labels = setting(count=48)
    aims = likeliest_others(model(images), labels, 9)[:, -1]  # the least likely of all
    led = attacks.run(apgd(0.12, aim=aims), key, model, images, labels)
    bound = attacks.run(apgd(0.12), key, model, images, labels, aims)
    reached = toy.predictions(model, led.images)
    assert (led.success == (reached != labels)).all()
    assert (led.success & (reached != aims)).any()
    assert (led.success >= bound.success).all()
    assert (led.gradients <= bound.gradients).all()


def test_trap_there_are_no_more_aims_than_other_classes(key):
    # auto-attack 70, 110 and kvasir's 8 classes: an index error where 9 targets are asked for
    logits = jnp.array([[1.0, 3.0, 2.0], [5.0, -1.0, 4.0]])
    assert likeliest_others(logits, jnp.array([1, 0]), 9).tolist() == [[2, 0], [2, 1]]
    assert likeliest_others(logits, jnp.array([0, 2]), 1).tolist() == [[1], [0]]
    for num_classes in (2, 3):
        model, images, labels = setting(num_classes, 8)
        attack = attacks.autoattack(0.2, steps=17, queries=17)
        result = attacks.run(attack, key, model, images, labels)
        assert result.success.mean() > 0.5 and not result.flat.any()


@pytest.mark.parametrize("num_classes", [2, 3, 4])
def test_the_result_names_the_loss_that_stood_in(num_classes, key):
    model, images, labels = setting(num_classes, 8)
    expected = {
        2: [
            "APGD: the DLR loss needs 3 classes, with 2 the margin stands in for it.",
            "APGD: the targeted DLR loss needs 4 classes, with 2 the margin stands in for it.",
        ],
        3: ["APGD: the targeted DLR loss needs 4 classes, with 3 the margin stands in for it."],
        4: [],
    }
    parts = apgd(0.01), attacks.Aimed(attack=apgd(0.01), classes=2)
    whole = attacks.Restarts(attack=attacks.WorstCase(attacks=parts), n=2)
    run = jax.jit(lambda images: attacks.run(whole, key, model, images, labels))
    assert list(run(images).notes) == expected[num_classes]
    result = attacks.run(whole, key, model, images, labels, batch_size=3)
    assert not result.success.all()  # the second part has run
    assert list(result.notes) == expected[num_classes]


def test_trap_each_image_counts_once_whichever_part_breaks_it(key):
    # auto-attack 45: the worst case of each image, no mean over the attacks
    model, images, labels = setting()
    attack = attacks.autoattack(0.05, steps=17, queries=17)
    whole = attacks.run(attack, key, model, images, labels).success
    parts = [attacks.run(part, key, model, images, labels).success for part in attack.parts()]
    # parts after the first have keys of their own in the whole; without luck it is the same
    assert (whole >= parts[0]).all()
    assert abs(int(whole.sum()) - int(np.any(parts, axis=0).sum())) <= 1


def test_where_nothing_stands_no_part_is_run(key):
    model, images, labels = setting(count=8)
    broken = attacks.Square(eps=0.1, steps=1, loss=None)  # it would fail if it ran
    worst = attacks.WorstCase(attacks=(apgd(0.9), broken))
    result = attacks.run(worst, key, model, images, labels)
    assert result.success.all() and (result.forwards == 0).all()


def test_the_sure_model_is_broken_all_the_same(key):
    model, images, labels = setting()
    sure = dataclasses.replace(model, output=1e4 * model.output)
    one = attacks.run(attacks.autoattack(0.08, steps=17, queries=17), key, sure, images, labels)
    two = attacks.run(attacks.autoattack(0.08, steps=17, queries=17), key, model, images, labels)
    assert abs(int(one.success.sum()) - int(two.success.sum())) <= 1 and one.success.any()


@pytest.mark.parametrize(
    "attack, message",
    [
        (attacks.AutoAttack(eps=0.1, norm="l1"), "norm must be one of 'linf', 'l2'"),
        (attacks.autoattack(2.0), "eps must be"),
        (attacks.autoattack(0.1, version="rand"), "version must be one of"),
        (attacks.autoattack(0.1, queries=0), "steps must be"),
        (attacks.autoattack(0.1, classes=0), "classes must be"),
        (attacks.Aimed(attack=attacks.BIM(eps=0.1)), "BIM has none"),
    ],
)
def test_bad_hyperparameters_are_refused(attack, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attack, key, *setting(count=2))


def test_it_takes_classes_and_no_targets(key):
    model, images, labels = setting(count=2)
    for attack in (attacks.autoattack(0.1), attacks.Aimed(attack=apgd(0.1))):
        with pytest.raises(ValueError, match="untargeted"):
            attacks.run(attack, key, model, images, labels, (labels + 1) % 4)
    segmenter, maps = toy.segmenter(0), toy.images(0, 2, (6, 6, 1))
    with pytest.raises(ValueError, match="classifiers"):
        attacks.run(attacks.autoattack(0.1), key, segmenter, maps, toy.predictions(segmenter, maps))
