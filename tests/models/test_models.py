import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax import models

SMALL = {
    "inception_v3": dict(width=1 / 8, repeats=(1, 1, 1)),
    "inception_v4": dict(width=1 / 8, repeats=(1, 1, 1)),
    "mobilenet": dict(width=1 / 8, repeats=(1, 1, 1, 1, 1)),
}
SMALLEST = {"inception_v3": 75, "inception_v4": 75, "mobilenet": 32}
NETS = pytest.mark.parametrize("name", list(SMALL))


@functools.cache
def small(name):
    """A small net, its first weights, and its compiled function in evaluation and in training."""
    model = models.create(name, 3, **SMALL[name], dropout=0.5)
    side = SMALLEST[name]
    variables = models.init(jax.random.key(1), model, (side, side, 3))

    @jax.jit
    def run(variables, images, key):
        evaluated, kept = models.apply(model, variables, images)
        trained, learnt = models.apply(model, variables, images, train=True, key=key)
        return evaluated, kept, trained, learnt

    images = jax.random.uniform(jax.random.key(2), (4, side, side, 3))
    return variables, images, run


def shapes(model, side):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, side, side, 3)))


@pytest.mark.parametrize(
    "name, side, parameters",
    [
        ("inception_v3", 299, 23_834_568),  # torchvision, without its auxiliary head
        ("inception_v4", 299, 42_679_816),  # timm
        ("mobilenet", 224, 4_231_976),  # Keras, its trainable parameters
    ],
)
def test_published_number_of_parameters(name, side, parameters):
    assert models.count(shapes(models.create(name, 1000), side)) == parameters


def test_number_of_parameters_with_the_auxiliary_head():
    assert models.count(shapes(models.create("inception_v3", 1000, aux=True), 299)) == 27_161_264


@NETS
def test_every_batch_norm_keeps_nine_tenths(name):
    variables, images, run = small(name)
    _, _, _, learnt = run(variables, images, jax.random.key(3))
    # From variance 1 one step of momentum 0.9 leaves 0.9 and a tenth of the batch's variance.
    for path, leaf in jax.tree_util.tree_leaves_with_path(learnt):
        if path[-1].key == "var":
            assert np.all(np.asarray(leaf) >= 0.9 - 1e-6), path


@NETS
def test_finite_and_statistics_change_in_training_only(name):
    variables, images, run = small(name)
    evaluated, kept, trained, learnt = run(variables, images, jax.random.key(3))
    chex.assert_shape((evaluated, trained), (4, 3))
    chex.assert_tree_all_finite((evaluated, trained, learnt))
    chex.assert_trees_all_equal(kept, variables["batch_stats"])
    chex.assert_trees_all_equal_shapes_and_dtypes(learnt, variables["batch_stats"])
    for path, old in jax.tree_util.tree_leaves_with_path(variables["batch_stats"]):
        new = functools.reduce(lambda node, entry: node[entry.key], path, learnt)
        assert not np.array_equal(new, old), path
    assert float(jnp.std(evaluated)) > 1e-4  # the signal is not lost in the depth


@NETS
def test_dropout_in_training_only(name):
    variables, images, run = small(name)
    one = run(variables, images, jax.random.key(4))
    other = run(variables, images, jax.random.key(5))
    np.testing.assert_array_equal(one[0], other[0])
    assert not np.array_equal(one[2], other[2])
    chex.assert_trees_all_equal(one[3], other[3])


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4"])
def test_auxiliary_head_speaks_in_training_only(name, key):
    model = models.create(name, 5, **SMALL[name], aux=True)
    rngs = {"dropout": key}
    for side in (75, 96, 299):
        variables = shapes(model, side)
        images = jnp.zeros((2, side, side, 3))
        run = functools.partial(model.apply, rngs=rngs, mutable=["batch_stats"])
        logits, _ = jax.eval_shape(functools.partial(run, train=False), variables, images)
        assert logits.shape == (2, 5)
        (logits, aux), _ = jax.eval_shape(functools.partial(run, train=True), variables, images)
        assert logits.shape == aux.shape == (2, 5)


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4"])
def test_weights_of_the_auxiliary_head_fit_every_size(name):
    model = models.create(name, 5, **SMALL[name], aux=True)
    assert shapes(model, 75) == shapes(model, 299)


@NETS
def test_sizes(name):
    model = models.create(name, 3, **SMALL[name])
    variables = shapes(model, 96)
    smallest = SMALLEST[name]
    for side in (smallest, 80, 96, 299):
        images = jnp.zeros((2, side, side, 3))
        assert jax.eval_shape(model.apply, variables, images).shape == (2, 3)
    for shape in [(1, smallest - 1, 96, 3), (1, 96, smallest - 1, 3)]:
        with pytest.raises(ValueError, match=rf"at least {smallest}x{smallest} pixels, got shape"):
            model.apply(variables, jnp.zeros(shape))


@NETS
def test_gray_images(name):
    model = models.create(name, 2, **SMALL[name])
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 80, 80, 1)))
    assert jax.eval_shape(model.apply, variables, jnp.zeros((1, 80, 80, 1))).shape == (1, 2)


@NETS
def test_repeats_count_the_blocks(name):
    options = dict(SMALL[name])
    few = shapes(models.create(name, 2, **options), 80)["params"]
    options["repeats"] = tuple(repeat + 1 for repeat in options["repeats"])
    more = shapes(models.create(name, 2, **options), 80)["params"]
    assert len(more) - len(few) == len(options["repeats"])
    assert set(few) < set(more)


def test_create_refuses():
    segmenters = ("unet", "segnet", "fc_densenet")
    assert models.names() == ("inception_v3", "inception_v4", "mobilenet", *segmenters)
    with pytest.raises(ValueError, match="Unknown model 'resnet'; known are inception_v3"):
        models.create("resnet", 7)
    with pytest.raises(ValueError, match="mobilenet has no option 'aux'; it has dropout"):
        models.create("mobilenet", 7, aux=True)
    with pytest.raises(ValueError, match="at least 2 classes, got num_classes=1"):
        models.create("mobilenet", 1)
    with pytest.raises(ValueError, match=r"repeats=\(1, 1\)"):
        models.create("inception_v3", 7, repeats=(1, 1))
    with pytest.raises(ValueError, match=r"repeats=\(1, 0, 1\)"):
        models.create("inception_v4", 7, repeats=(1, 0, 1))
    for name in models.names():
        with pytest.raises(ValueError, match=r"width >= 1/32, got width=0.01"):
            models.create(name, 7, width=0.01)


def test_equal_options_are_one_program():
    first, second = (models.create("mobilenet", 7, width=0.5) for _ in range(2))
    assert first == second and hash(first) == hash(second)


def test_init_is_a_function_of_the_key():
    variables, _, _ = small("mobilenet")
    model = models.create("mobilenet", 3, **SMALL["mobilenet"], dropout=0.5)
    again = models.init(jax.random.key(1), model, (32, 32, 3))
    chex.assert_trees_all_equal(variables, again)
    abstract = jax.eval_shape(lambda key: models.init(key, model, (32, 32, 3)), jax.random.key(1))
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, abstract)
