"""What the engine promises whatever the attack: cost, compaction, ways to step, and checks."""

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks, losses
from medadv_jax.attacks import loop
from medadv_jax.attacks.engine import Engine
from medadv_jax.attacks.judge import fooled
from medadv_jax.types import attack, static

SHAPE, COUNT = (4, 3, 3), 20


def setting(count=COUNT):
    model = toy.mlp(0)
    images = toy.images(1, count, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def assert_same(one, two):
    chex.assert_trees_all_close(one, two, rtol=0, atol=1e-6)


STAGGERED = attacks.PGD(
    eps=np.geomspace(0.5, 0.02, COUNT), steps=17, until_fooled=True, loss=losses.margin
)
"""Examples with less and less room: some are done at once, some never."""


def engine_run(engine, attack, key, setting):
    keys = jax.random.split(key, len(setting[1]))
    mask = jnp.ones(len(setting[1]), bool)
    return engine(attack, keys, *setting, mask=mask)


def test_finished_examples_leave_the_batch_and_change_nothing(key, monkeypatch):
    sizes = []
    advance = loop._advance
    record = lambda attack, predict, carry: (
        sizes.append(len(carry.steps)) or advance(attack, predict, carry)
    )
    monkeypatch.setattr(loop, "_advance", record)
    result = attacks.run(STAGGERED, key, *setting())
    assert set(sizes) >= {20, 5} and sizes == sorted(sizes, reverse=True)
    assert 3 < result.success.sum() < COUNT
    monkeypatch.setattr(loop, "smaller", lambda size, *_: size)
    sizes.clear()
    assert_same(result, attacks.run(STAGGERED, key, *setting()))
    assert set(sizes) == {20}


def test_a_finished_example_costs_nothing_more(key):
    result = attacks.run(STAGGERED, key, *setting())
    assert (result.steps == result.gradients).all() and (result.forwards == 0).all()
    assert (result.steps[~result.success] == 17).all()
    assert (result.steps[result.success] <= 17).all() and (result.steps < 6).any()


@pytest.mark.parametrize("chunk", [3, 50])
def test_steps_in_one_program_are_the_same_steps(chunk, key):
    plain = engine_run(Engine(chunk=1), STAGGERED, key, setting())
    assert_same(engine_run(Engine(chunk=chunk), STAGGERED, key, setting()), plain)


@pytest.mark.parametrize("steps", [5, 17])
def test_inside_jit_it_is_unrolled_or_a_loop_with_the_same_result(steps, key):
    pgd = dataclasses.replace(STAGGERED, steps=steps)
    jitted = jax.jit(attacks.run)
    assert_same(jitted(pgd, key, *setting()), attacks.run(pgd, key, *setting()))
    text = str(jax.make_jaxpr(attacks.run)(pgd, key, *setting()))
    assert ("while[" in text) == (steps > 16)


def test_it_sees_that_it_is_traced_even_if_all_its_arguments_are_constants(key):
    fgsm, example = attacks.FGSM(eps=0.1), setting()
    images = jax.jit(lambda: attacks.run(fgsm, key, *example).images)()
    assert_same(images, attacks.run(fgsm, key, *example).images)


def test_no_gradient_flows_through_an_attack(key):
    model, images, labels = setting(2)

    def loss(images, eps, model):
        perturbed = attacks.run(attacks.FGSM(eps=eps), key, model, images, labels).images
        return perturbed.sum()

    chex.assert_trees_all_equal(
        jax.grad(loss, argnums=(0, 1, 2))(images, 0.1, model),
        jax.tree.map(jnp.zeros_like, (images, jnp.array(0.1), model)),
    )


@pytest.mark.parametrize("steps", [2, 17])
def test_no_gradient_flows_through_weights_that_a_plain_function_closes_over(steps, key):
    model, images, labels = setting(2)
    bim = attacks.BIM(eps=0.1, steps=steps, norm="l2")  # its step is a smooth function of weights

    def loss(model):
        return attacks.run(bim, key, lambda x: model(x), images, labels).images.sum()

    gradient = jax.jit(jax.grad(loss))(model)
    chex.assert_trees_all_equal(gradient, jax.tree.map(jnp.zeros_like, model))


def test_the_images_of_the_caller_survive(key):
    model, images, labels = setting()
    before = np.array(images)
    attacks.run(attacks.PGD(eps=0.1, random_start=False), key, model, images, labels)
    np.testing.assert_array_equal(images, before)


def test_one_key_is_folded_in_and_many_are_taken_as_they_are(key):
    noise = attacks.GaussianNoise(sigma=0.1)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(COUNT))
    assert_same(attacks.run(noise, key, *setting()), attacks.run(noise, keys, *setting()))


def test_one_value_for_each_example(key):
    model, images, labels = setting()
    values = np.linspace(0, 0.2, COUNT)
    together = attacks.run(attacks.FGSM(eps=values), key, model, images, labels, batch_size=7)
    sizes = toy.size_of(together.images - images, "linf")
    assert (sizes <= values + 1e-6).all() and sizes[-1] > 0.19
    inside = attacks.WorstCase(attacks=(attacks.FGSM(eps=values),))
    assert_same(attacks.run(inside, key, model, images, labels), together)


def test_targets_and_batch_size_with_a_remainder(key):
    model, images, labels = setting()
    targets = (labels + 1) % 4
    pgd = attacks.PGD(eps=0.3, steps=8)
    whole = attacks.run(pgd, key, model, images, labels, targets)
    assert_same(attacks.run(pgd, key, model, images, labels, targets, batch_size=8), whole)
    assert whole.success.any()
    assert (whole.success == (toy.predictions(model, whole.images) == targets)).all()


def test_progress_is_shown_and_changes_nothing(key):
    result = attacks.run(STAGGERED, key, *setting(), progress=True)
    assert_same(result, attacks.run(STAGGERED, key, *setting()))


def test_dense_labels_count_where_they_are_valid(key):
    model = toy.Pixelwise(weights=jax.random.normal(key, (3, 2)) * 5)
    images = toy.images(1, 4, (5, 5, 3))
    labels = toy.predictions(model, images).at[:, :2].set(-1)
    strong = attacks.PGD(eps=0.5, steps=20, loss=losses.margin)
    result = attacks.run(strong, key, model, images, labels)
    assert result.success.all()
    weak = attacks.run(attacks.PGD(eps=0.01), key, model, images, labels)
    assert not weak.success.any() and not weak.misclassified.any()


@pytest.mark.parametrize("target", [None, jnp.ones((2, 2), jnp.int32)])
def test_an_image_without_valid_pixels_is_never_fooled(target):
    logits, label = jnp.zeros((2, 2, 2)).at[..., 1].set(1), jnp.full((2, 2), -1)
    assert not fooled(logits, label, target)
    assert fooled(logits, label.at[0, 0].set(0), target)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("attack", [attacks.PGD(eps=0.1), attacks.sea(0.1, steps=3)])
def test_an_image_without_valid_pixels_is_left_alone(attack, inside, key):
    model, images = toy.segmenter(0), toy.images(1, 4, (5, 5, 1))
    labels = toy.predictions(model, images).at[1].set(-1)
    run = jax.jit(attacks.run) if inside else attacks.run
    result = run(attack, key, model, images, labels)
    assert (result.images[1] == images[1]).all()
    assert not result.flat.any() and result.steps[1] == 0 and (result.steps != 0).sum() == 3


class CountingState(NamedTuple):
    image: Any
    done: Any
    flat: Any
    fresh: Any
    taken: Any
    forwards: Any


@attack
class Counting:
    """Counts its steps and refreshes, and calls itself successful by a rule of its own."""

    limit: Any = 1.0
    every: int = static(default=3)
    steps: int = static(default=7)
    size = None

    def check(self, shape, num_classes):
        assert shape == SHAPE and num_classes == 4

    def max_steps(self, shape):
        return self.steps

    def init(self, key, predict, image, label, target=None):
        zero = jnp.array(0)
        return CountingState(image, jnp.array(False), jnp.array(False), zero, zero, zero)

    def refresh(self, predict, state):
        return state._replace(fresh=state.fresh + 1, forwards=state.forwards + 10)

    def step(self, predict, state):
        value = (state.taken + 1) / 100 + state.fresh / 10
        return state._replace(
            image=jnp.full_like(state.image, value),
            taken=state.taken + 1,
            done=state.taken + 1 >= self.limit,
        )

    def fooled(self, logits, label, target):
        return jnp.argmax(logits) == 1


@pytest.mark.parametrize("way", ["host", "chunks", "unrolled"])
def test_refresh_comes_before_every_third_step(way, key):
    counting = Counting(limit=np.arange(1, COUNT + 1))
    if way == "unrolled":
        keys = jax.random.split(key, COUNT)
        result = jax.jit(attacks.run)(counting, keys, *setting())
    else:
        result = engine_run(Engine(chunk=4 if way == "chunks" else 1), counting, key, setting())
    steps = np.minimum(np.arange(1, COUNT + 1), 7)
    refreshes = -(-steps // 3)
    np.testing.assert_array_equal(result.steps, steps)
    np.testing.assert_array_equal(result.forwards, 10 * refreshes)
    np.testing.assert_allclose(result.images[:, 0, 0, 0], steps / 100 + refreshes / 10, atol=1e-6)
    # judged by its own rule, the clean images too
    model, images, _ = setting()
    before, after = (toy.predictions(model, x) == 1 for x in (images, result.images))
    assert (result.misclassified == before).all() and before.any()
    assert (result.success == after & ~before).all() and result.success.any()


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Cliff:
    """Its gradient becomes NaN where the mean of the pixels falls below 0.4; its logits do not."""

    scale: jax.Array

    def __call__(self, images):
        mean = images.mean(axis=(1, 2, 3))
        return jnp.stack([self.scale * jnp.sqrt(jnp.maximum(mean - 0.4, 0)), -mean], axis=-1)


@pytest.mark.parametrize(
    "kind",
    [
        attacks.PGD(eps=0.3, step_size=0.05, random_start=False, loss=losses.margin),
        attacks.DeepFool(),
        attacks.SaliencyMap(theta=-0.5, gamma=1.0),
        attacks.SaliencyMap(theta=-0.5, gamma=1.0, pairs=False),
    ],
)
def test_a_gradient_that_turns_nan_is_flat_and_its_step_is_not_taken(kind, key):
    images = jnp.full((4, 3, 3, 1), 0.5)
    result = attacks.run(kind, key, Cliff(jnp.array(1.0)), images, jnp.zeros(4, jnp.int32))
    assert result.flat.all() and not result.success.any()
    assert jnp.isfinite(result.images).all() and (result.images >= 0).all()
    assert (result.images != images).any()


def test_an_image_with_logits_that_are_not_finite_fools_nobody(key):
    def model(images):
        mean = images.mean((1, 2, 3))
        return jnp.stack([mean, jnp.where(mean < 0.45, jnp.inf, 0)], axis=-1)

    images, labels = jnp.full((4, 3, 3, 1), 0.5), jnp.zeros(4, jnp.int32)
    result = attacks.run(attacks.FGSM(eps=0.2), key, model, images, labels)
    assert (toy.predictions(model, result.images) == 1).all()
    assert not result.success.any()


@pytest.mark.parametrize("kind", [attacks.FGSM(eps=1.0), attacks.PGD(eps=1.0, norm="l2")])
def test_one_pixel_one_image_and_the_whole_range(kind, key):
    model = toy.linear(0, (1, 1, 1), 2)
    images = jnp.full((1, 1, 1, 1), 0.6)
    result = attacks.run(kind, key, model, images, toy.predictions(model, images))
    assert result.success.all() and result.images.min() >= 0 and result.images.max() <= 1


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_nearly_saturated_softmax_still_has_a_direction(norm, key):
    # logits 60 apart: squares of the gradient are zero in float32, the gradient is not
    model, images, labels = setting(4)
    logits = jnp.sort(model(images[:1])[0])
    model = dataclasses.replace(model, output=model.output * 60 / (logits[-1] - logits[-2]))
    result = attacks.run(attacks.FGSM(eps=0.2, norm=norm), key, model, images[:1], labels[:1])
    assert not result.flat.any()
    assert abs(toy.size_of(result.images - images[:1], norm)[0] - 0.2) < 0.02


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(images=np.zeros((4, *SHAPE), np.uint8)), r"float32 with pixels in \[0, 1\].*uint8"),
        (dict(images=jnp.full((4, *SHAPE), 1.1)), r"Pixels lie in \[0, 1\]"),
        (dict(images=jnp.full((4, *SHAPE), -0.1)), r"Pixels lie in \[0, 1\]"),
        (dict(images=jnp.full((4, *SHAPE), jnp.nan)), "Pixels are finite, image 0 has NaN"),
        # of many numbers XLA's minimum leaves a NaN out
        (dict(images=jnp.zeros((4, 96, 96, 3)).at[2, 0, 0, 0].set(jnp.nan)), "image 2 has NaN"),
        (dict(images=jnp.zeros((0, *SHAPE)), labels=jnp.zeros(0, int)), "no axis empty"),
        (dict(images=jnp.zeros((4, 27))), r"batch \(b, h, w, c\)"),
        (dict(images=[[0.0]]), "list"),
        (dict(labels=jnp.array([0, 1, 2, 4])), r"Labels lie in 0 .. 3, got 4"),
        (dict(labels=jnp.array([0, 1, 2, -1])), r"Labels lie in 0 .. 3, got -1"),
        (dict(labels=jnp.zeros(3, int)), "batch axis of the 4 images"),
        (dict(labels=jnp.zeros(4)), "integer classes"),
        (dict(labels=jnp.zeros((4, 3), int)), "logits .*labels"),
        (dict(targets=jnp.zeros(4, int), labels=jnp.zeros(4, int)), "must differ from the label"),
        (dict(targets=jnp.array([9, 9, 9, 9])), r"Targets lie in 0 .. 3, got 9"),
        (dict(targets=jnp.zeros((4, 2), int)), "Targets have the labels' shape"),
        (dict(mask=jnp.ones(3, bool)), "A mask is boolean"),
        (dict(mask=jnp.ones(4)), "A mask is boolean"),
        (dict(key=jnp.zeros(2, jnp.uint32)), "must be typed"),
        (dict(key=jax.random.split(jax.random.key(0), 3)), "one for each of 4 examples"),
        (dict(batch_size=0), "batch_size must be an integer"),
        (dict(attack=attacks.FGSM(eps=np.ones(3))), r"eps of FGSM .*\(4,\): got \(3,\)"),
        (dict(attack=attacks.PGD(eps=np.ones((4, 1, 1, 1)))), r"eps .*got \(4, 1, 1, 1\)"),
        (dict(attack=attacks.PGD(eps=0.1, step_size=np.ones((4, 1)))), r"step_size .*\(4, 1\)"),
        (
            dict(attack=attacks.WorstCase(attacks=(attacks.FGSM(eps=np.ones((1, 4))),))),
            r"eps of FGSM .*got \(1, 4\)",
        ),
        (dict(predict=lambda images: images.sum((1, 2, 3)) / 0), "logits .*labels"),
        (dict(predict=lambda x: jnp.log(x[:, 0, 0, :2] - 9)), "not finite on 4 clean images"),
        (dict(predict=lambda x: x.sum((1, 2, 3))[:, None]), "at least 2 classes"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(change, message, key):
    model, images, labels = setting(4)
    arguments = dict(
        attack=attacks.FGSM(eps=0.1), key=key, predict=model, images=images, labels=labels
    )
    with pytest.raises(ValueError, match=message):
        attacks.run(**arguments | change)


@pytest.mark.parametrize(
    "kind, message",
    [
        (attacks.FGSM(eps=8), r"eps must be at least 0 and at most 1, got 8.*\[0, 1\]"),
        (attacks.FGSM(eps=-0.1, norm="l2"), "eps must be at least 0"),
        (attacks.FGSM(eps=0.1, norm="l3"), "norm must be one of"),
        (attacks.PGD(eps=0.1, step_size=0.0), "step_size must be above 0"),
        (attacks.PGD(eps=0.1, steps=0), "steps must be an integer of at least 1"),
        (attacks.PGD(eps=np.nan), "eps must be"),
        (attacks.DeepFool(overshoot=-1.0), "overshoot must be"),
        (attacks.DeepFool(candidates=1), "candidates must be"),
        (attacks.DeepFool(norm="l1"), "norm must be one of"),
        (attacks.SaliencyMap(gamma=1.5), "gamma must be"),
        (attacks.SaliencyMap(theta=0), "theta must be above 0"),
        (attacks.SaliencyMap(per_step=300), "candidates must be an integer of at least 600"),
        (attacks.SaliencyMap(per_step=19), "more features"),
        (attacks.SaliencyMap(per_step=600, pairs=False), "more features"),
        (attacks.GaussianNoise(sigma=-1.0), "sigma must be"),
        (attacks.RicianNoise(sigma=-1.0), "sigma must be"),
        (attacks.UniformNoise(eps=2.0), "eps must be"),
        (attacks.WorstCase(attacks=()), "at least one attack"),
        (attacks.WorstCase(attacks=(attacks.FGSM(eps=9),)), "eps must be"),
    ],
)
def test_bad_hyperparameters_are_refused_by_name(kind, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(kind, key, *setting(4))


@pytest.mark.parametrize(
    "kind, message",
    [
        (attacks.FGSM(eps=8), "eps must be"),
        (attacks.WorstCase(attacks=(attacks.FGSM(eps=9),)), "eps must be"),
        (attacks.SaliencyMap(theta=0), "theta must be above 0"),
    ],
)
def test_constants_are_checked_inside_jit_too(kind, message, key):
    inside = jax.jit(lambda *arguments: attacks.run(kind, key, *arguments))
    with pytest.raises(ValueError, match=message):
        inside(*setting(4))


def test_structure_is_checked_where_the_numbers_are_placeholders(key):
    with pytest.raises(ValueError, match="norm must be one of"):
        jax.jit(attacks.run)(attacks.FGSM(eps=0.1, norm="l3"), key, *setting(4))


@pytest.mark.parametrize("kind", [attacks.DeepFool(), attacks.GaussianNoise(sigma=0.1)])
def test_untargeted_attacks_refuse_targets(kind, key):
    model, images, labels = setting(4)
    with pytest.raises(ValueError, match="is untargeted"):
        attacks.run(kind, key, model, images, labels, (labels + 1) % 4)


@pytest.mark.parametrize("options", [dict(batch_size=2), dict(progress=True)])
def test_what_works_from_python_only_is_refused_inside_jit(options, key):
    inside = jax.jit(lambda *arguments: attacks.run(*arguments, **options))
    with pytest.raises(ValueError, match="from Python only"):
        inside(attacks.FGSM(eps=0.1), key, *setting(4))


def test_rounding_outside_the_range_is_tolerated(key):
    model, images, labels = setting(4)
    result = attacks.run(attacks.FGSM(eps=0.1), key, model, images.at[0].set(-3e-8), labels)
    assert result.images.min() >= 0


def test_padding_may_hold_anything(key):
    model, images, labels = setting(4)
    images, labels = images.at[3].set(jnp.nan), labels.at[3].set(-1)
    mask = jnp.arange(4) < 3
    result = attacks.run(attacks.FGSM(eps=0.1), key, model, images, labels, mask=mask)
    assert jnp.isfinite(result.images[:3]).all() and not result.success[3]
