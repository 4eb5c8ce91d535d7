"""HopSkipJump: exact distances, labels only, its queries, its starts, and what others got wrong."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.tree_util import register_dataclass

from medadv_jax import attacks
from medadv_jax.attacks.hop_skip_jump_looks import parts, path, probes, strides, threshold

SHAPE, COUNT, SIZE = (4, 3, 3), 8, 36
NORMS = pytest.mark.parametrize("norm", ["l2", "linf"])
SHORT = dict(steps=2, initial_evals=20, tries=20)


def setting(count=COUNT):
    model = toy.mlp(0)
    images = toy.images(1, count, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Told:
    """A model of which one sees what a function makes of its logits."""

    model: Any
    how: Any = dataclasses.field(metadata=dict(static=True))

    def __call__(self, images):
        return self.how(self.model(images))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class OnlyAt:
    """A model that answers 1 at one image and 0 at all others."""

    image: jax.Array

    def __call__(self, images):
        return jax.nn.one_hot((images == self.image[None]).all((1, 2, 3)).astype(int), 2)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Brightness:
    """A model that answers 1 where the mean of an image is above a bound."""

    bound: jax.Array

    def __call__(self, images):
        above = images.mean((1, 2, 3)) - self.bound
        return jnp.stack([-above, above], axis=-1)


@NORMS
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_it_finds_the_exact_distance(num_classes, norm, key):
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, 16, SHAPE)
    labels = toy.predictions(model, images)
    far = toy.distances(model, images, labels, "l2").min(axis=1) > 0.02
    images, labels = images[far], labels[far]
    distances = toy.distances(model, images, labels, norm)
    attack = attacks.HopSkipJump(norm=norm, steps=16, block=20)
    result = attacks.run(attack, key, model, images, labels)
    assert result.success.all() and not result.flat.any() and not result.gradients.any()
    sizes = toy.size_of(result.images - images, norm)
    assert (sizes > distances.min(axis=1) * (1 - 1e-4)).all()
    assert np.median(sizes / distances.min(axis=1)) < 1.05
    # a walk along the boundary of a convex cell may end at a face that is not the nearest
    reached = toy.predictions(model, result.images)
    assert (sizes / distances[np.arange(len(labels)), reached]).max() < 1.1


def test_the_points_of_a_way_are_blends_or_clipped_changes():
    clean, image = jnp.array([[[0.5, 0.5, 0.5]]]), jnp.array([[[0.9, 0.4, 0.5]]])
    points = parts(jnp.array(0.4), 2)
    np.testing.assert_allclose(points, [0.6, 0.8], rtol=1e-6)
    blends = [[0.74, 0.44, 0.5], [0.82, 0.42, 0.5]]
    np.testing.assert_allclose(path(clean, image, points, "l2")[:, 0, 0], blends, rtol=1e-6)
    clipped = [[0.74, 0.4, 0.5], [0.82, 0.4, 0.5]]
    np.testing.assert_allclose(path(clean, image, points, "linf")[:, 0, 0], clipped, rtol=1e-6)


@NORMS
def test_probes_have_one_length_and_no_favourite_direction(norm, key):
    middle = jnp.full((2, 2, 1), 0.5)
    noise = jax.random.uniform(key, (4000, *middle.shape), minval=-0.999)
    moves = np.asarray(probes(middle, noise, 0.1, norm) - middle[None]).reshape(4000, 4)
    np.testing.assert_allclose(toy.size_of(moves, "l2"), 0.1, rtol=1e-5)
    assert np.abs(moves.mean(axis=0)).max() < 0.005
    np.testing.assert_allclose(np.cov(moves.T), 0.01 / 4 * np.eye(4), atol=2e-4)
    fourth = (moves**4).mean(axis=0) / 1e-4  # on a sphere in 4 dimensions 3 / (4 * 6)
    assert np.allclose(fourth, 1 / 8, rtol=0.06) == (norm == "l2")


def test_strides_go_along_a_direction_or_its_signs_and_stay_in_the_box():
    image, direction = jnp.array([[[0.5, 0.5, 0.9]]]), jnp.array([[[3e-9, -4e-9, 0.0]]])
    sizes = jnp.array([0.2, 0.1])
    along = [[0.62, 0.34, 0.9], [0.56, 0.42, 0.9]]
    np.testing.assert_allclose(strides(image, direction, sizes, "l2")[:, 0, 0], along, rtol=1e-6)
    signs = strides(image, jnp.ones_like(image), sizes, "linf")[:, 0, 0]
    np.testing.assert_allclose(signs, [[0.7, 0.7, 1.0], [0.6, 0.6, 1.0]], rtol=1e-6)


def test_thresholds_are_those_of_the_paper_but_for_the_rounding_of_large_images():
    assert threshold(SIZE, 1.0, "l2") == SIZE**-1.5
    assert threshold(SIZE, 2.0, "linf") == 2 * SIZE**-2.0
    assert threshold(299 * 299 * 3, 1.0, "l2") == threshold(299 * 299 * 3, 1.0, "linf") == 2**-22


HOW = {
    "scaled": lambda logits: 8 * logits,
    "bent": lambda logits: jnp.sinh(2 * logits),
    "labels": lambda logits: 1e3 * jax.nn.one_hot(logits.argmax(-1), logits.shape[-1]),
}


@pytest.mark.parametrize("how", HOW)
def test_it_reads_nothing_but_labels(how, key):
    model, images, labels = setting()
    attack = attacks.HopSkipJump(**SHORT)
    result = attacks.run(attack, key, Told(model, lambda logits: logits), images, labels)
    told = attacks.run(attack, key, Told(model, HOW[how]), images, labels)
    assert result.success.all() and (told.images == result.images).all()
    assert (told.forwards == result.forwards).all()


@NORMS
def test_more_iterations_go_on_where_fewer_ended_and_are_never_worse(norm, key):
    model, images, labels = setting()
    last, before = np.inf, 0
    for steps in (1, 3, 6):
        attack = attacks.HopSkipJump(**SHORT | dict(steps=steps), norm=norm)
        result = attacks.run(attack, key, model, images, labels)
        sizes = toy.size_of(result.images - images, norm)
        assert (sizes <= last).all() and (result.forwards > before).all()
        last, before = sizes, result.forwards
    assert (toy.predictions(model, result.images) != labels).all()


@pytest.mark.parametrize("block", [1, 7])
def test_every_image_that_the_model_sees_is_counted(block, key):
    seen = []
    weights = np.asarray(toy.linear(2, SHAPE, 2).weights)

    def look(images):
        seen.append(len(images))
        return (images.reshape(len(images), -1) - 0.5) @ weights

    def predict(images):
        # each image of a vmap is a call of its own
        kind = jax.ShapeDtypeStruct((len(images), 2), jnp.float32)
        return jax.pure_callback(look, kind, images, vmap_method="sequential")

    images = toy.images(1, 1, SHAPE)
    labels = jnp.asarray(look(np.asarray(images)).argmax(1), jnp.int32)
    seen.clear()
    result = attacks.run(
        attacks.HopSkipJump(**SHORT, block=block), key, predict, images, labels, batch_size=1
    )
    assert result.forwards[0] == block * result.steps[0] == sum(seen) - 2  # two looks of the engine
    rounds = {1: 8, 7: 3}[block]  # the least number with (block + 1) ** rounds >= 36 ** 1.5
    estimates = -(-20 // block) - (-28 // block)
    searches = result.steps[0] - 3 * rounds - estimates  # one start and two strides at the least
    assert 3 <= searches <= 5 and result.success[0]


def test_noise_that_never_fools_is_flagged_for_that_example_alone(key):
    # Foolbox raises an error for all: "init_attack failed for 1 of 3 inputs"
    model = Brightness(jnp.array(0.75))  # beyond all noise
    images = jnp.stack([jnp.full(SHAPE, value) for value in (0.8, 0.3, 0.9)])
    labels = toy.predictions(model, images)
    attack = attacks.HopSkipJump(**SHORT, block=5)
    result = attacks.run(attack, key, model, images, labels)
    assert result.success.tolist() == [True, False, True]
    assert result.flat.tolist() == [False, True, False]
    assert (result.images[1] == images[1]).all() and result.forwards[1] == 20
    alone = attacks.run(attack, key, model, images[:1], labels[:1])
    np.testing.assert_allclose(alone.images[0], result.images[0], atol=1e-6)


@NORMS
def test_trap_an_image_on_the_boundary_gives_no_nan_and_no_endless_loop(norm, key):
    # 0 / 0 and endless loops in Foolbox and ART where the distance, and so delta, is 0
    model = toy.linear(2, SHAPE, 2)
    images = jnp.full((2, *SHAPE), 0.5)
    labels = toy.predictions(model, images)
    attack = attacks.HopSkipJump(**SHORT, norm=norm)
    result = attacks.run(attack, key, model, images, labels)
    assert jnp.isfinite(result.images).all()
    assert toy.size_of(result.images - images, norm).max() < 1e-3
    assert (result.forwards <= 10 * attack.max_steps(SHAPE)).all()


def test_trap_a_misclassified_image_is_free_and_stays(key):
    # with these, Foolbox and ART divided by 0 and never ended
    model, images, labels = setting()
    result = attacks.run(attacks.HopSkipJump(**SHORT), key, model, images, (labels + 1) % 4)
    assert result.misclassified.all() and not result.success.any() and not result.flat.any()
    assert (result.images == images).all() and not result.forwards.any()


@NORMS
def test_trap_no_search_is_endless(norm, key):
    # the only image that fools is the start: no stride and no point of a way is another one
    start, image = toy.images(0, 2, SHAPE)
    model, labels = OnlyAt(start), jnp.zeros(1, jnp.int32)
    attack = attacks.HopSkipJump(**SHORT, norm=norm, starts=start[None], block=4)
    result = attacks.run(attack, key, model, image[None], labels)
    assert result.success[0] and (result.images[0] == start).all()
    searches = result.steps[0] - 1 - 5 - 7  # all but the start and the estimates
    assert searches == attack.max_steps(SHAPE) - 5 - 5 - 7


def test_trap_the_norm_counts(key):
    # Foolbox 2 minimised the L2 distance whatever was asked for
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    found = {}
    for norm in ("l2", "linf"):
        attack = attacks.HopSkipJump(norm=norm, steps=6)
        found[norm] = attacks.run(attack, key, model, images, labels).images - images
    for norm, other in (("l2", "linf"), ("linf", "l2")):
        assert (toy.size_of(found[norm], norm) < toy.size_of(found[other], norm)).all()


def test_trap_batch_mates_do_not_shorten_strides(key):
    # Foolbox divides the directions by their common norm
    model = toy.linear(2, SHAPE, 2)
    images = toy.images(1, COUNT, SHAPE)
    labels = toy.predictions(model, images)
    attack = attacks.HopSkipJump(steps=3, initial_evals=50)
    together = attacks.run(attack, key, model, images, labels)
    alone = attacks.run(attack, key, model, images, labels, batch_size=1)
    np.testing.assert_allclose(together.images, alone.images, atol=1e-6)


def other_images(model, wanted):
    """Images of the classes that are wanted."""
    pool = toy.images(9, 200, SHAPE, low=0.0, high=1.0)
    found = np.asarray(toy.predictions(model, pool))
    return jnp.stack([pool[int(np.flatnonzero(found == one)[0])] for one in np.asarray(wanted)])


def test_with_targets_it_goes_from_the_start_to_the_target(key):
    model, images, labels = setting()
    targets = (labels + 1) % 4
    starts = other_images(model, targets)
    attack = attacks.HopSkipJump(**SHORT | dict(steps=4), starts=starts)
    result = attacks.run(attack, key, model, images, labels, targets)
    assert result.success.all() and (toy.predictions(model, result.images) == targets).all()
    sizes = toy.size_of(result.images - images, "l2")
    assert (sizes < 0.8 * toy.size_of(starts - images, "l2")).all()
    parted = attacks.run(attack, key, model, images, labels, targets, batch_size=4)
    np.testing.assert_allclose(parted.images, result.images, atol=1e-6)


def test_a_start_of_another_class_is_no_start(key):
    model, images, labels = setting()
    targets = (labels + 1) % 4
    starts = other_images(model, targets).at[1].set(images[1])
    bounded = Told(model, lambda logits: jnp.tanh(logits))
    attack = attacks.HopSkipJump(**SHORT | dict(tries=1), starts=starts, block=1)
    result = attacks.run(attack, key, bounded, images, labels, targets)
    assert result.flat.tolist() == [False, True] + 6 * [False]
    assert (result.success == ~result.flat).all() and (result.images[1] == images[1]).all()
    noise = attacks.run(
        dataclasses.replace(attack, tries=50), key, bounded, images, labels, targets
    )
    assert noise.success[1]  # after the start, noise is looked at


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(norm="l1"), "norm must be one of"),
        (dict(gamma=0.0), "gamma must be"),
        (dict(steps=0), "steps must be"),
        (dict(initial_evals=0), "initial_evals must be"),
        (dict(max_evals=0.5), "max_evals must be"),
        (dict(tries=0), "tries must be"),
        (dict(block=0), "block must be"),
        (dict(starts=np.zeros((COUNT, *SHAPE), np.uint8)), "Images are float32"),
        (dict(starts=np.full((COUNT, *SHAPE), 255.0)), "Pixels lie in"),
        (dict(starts=np.zeros((COUNT, 3, 3, 3), np.float32)), "starts are images of the shape"),
        (
            dict(starts=np.zeros((3, *SHAPE), np.float32)),
            "starts of HopSkipJump has a row",
        ),
    ],
)
def test_refuses(options, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attacks.HopSkipJump(**options), key, *setting())


def test_refuses_targets_without_starts_and_label_maps(key):
    model, images, labels = setting()
    with pytest.raises(ValueError, match="needs starts, an image of the target class"):
        attacks.run(attacks.HopSkipJump(), key, model, images, labels, (labels + 1) % 4)
    dense, segmenter = toy.images(0, 2, (6, 6, 1)), toy.segmenter(0)
    with pytest.raises(ValueError, match="classifiers"):
        labels = toy.predictions(segmenter, dense)
        attacks.run(attacks.HopSkipJump(), key, segmenter, dense, labels)
