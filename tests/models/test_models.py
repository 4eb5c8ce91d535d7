import functools

import jax
import jax.numpy as jnp
import pytest
from small_nets import create
from tables import MODELS

from medadv_jax import models

SMALLEST = {"inception_v3": 75, "inception_v4": 75, "mobilenet": 32}
NETS = pytest.mark.parametrize("name", list(SMALLEST))


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


@pytest.mark.parametrize("name", ["inception_v3", "inception_v4"])
def test_auxiliary_head_speaks_in_training_only(name, key):
    model = create(name, 5, aux=True)
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
    model = create(name, 5, aux=True)
    assert shapes(model, 75) == shapes(model, 299)


@NETS
def test_sizes(name):
    model = create(name, 3)
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
    model = create(name, 2)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 80, 80, 1)))
    assert jax.eval_shape(model.apply, variables, jnp.zeros((1, 80, 80, 1))).shape == (1, 2)


@NETS
def test_repeats_count_the_blocks(name):
    options = dict(MODELS[name].options)
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
