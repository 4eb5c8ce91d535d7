"""What holds of every net, classifier or segmenter."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_nets import create, small
from tables import MODELS

from medadv_jax import models

NETS = pytest.mark.parametrize("name", list(MODELS))


def test_every_model_has_a_row():
    assert {row.name for row in MODELS.values()} == set(models.names())


@NETS
def test_finite_and_statistics_change_in_training_only(name):
    variables, images, run = small(name)
    evaluated, kept, trained, learnt, slope = run(variables, images, jax.random.key(3))
    dense = MODELS[name].dense
    space = images.shape[1:-1] if dense else ()
    chex.assert_shape((evaluated, trained), (len(images), *space, 3))
    chex.assert_tree_all_finite((evaluated, trained, learnt, slope))
    # The signal is not lost in the depth.
    assert float(jnp.std(evaluated)) > (1e-3 if dense else 1e-4)
    assert float(jnp.mean(slope != 0)) > 0.5
    if name == "unet_plain":
        assert "batch_stats" not in variables
        return
    chex.assert_trees_all_equal(kept, variables["batch_stats"])
    chex.assert_trees_all_equal_shapes_and_dtypes(learnt, variables["batch_stats"])
    for path, old in jax.tree_util.tree_leaves_with_path(variables["batch_stats"]):
        new = functools.reduce(lambda node, entry: node[entry.key], path, learnt)
        assert not np.array_equal(new, old), path
        # From variance 1 one step of momentum 0.9 leaves 0.9 and a tenth of the batch's variance.
        if path[-1].key == "var":
            assert np.all(np.asarray(new) >= 0.9 - 1e-6), path


@NETS
def test_dropout_in_training_only(name):
    variables, images, run = small(name)
    one = run(variables, images, jax.random.key(4))
    other = run(variables, images, jax.random.key(5))
    np.testing.assert_array_equal(one[0], other[0])
    assert not np.array_equal(one[2], other[2])
    if not MODELS[name].dense:  # a classifier drops behind its last normalisation
        chex.assert_trees_all_equal(one[3], other[3])


@pytest.mark.parametrize("name", ["mobilenet", "segnet"])
def test_init_is_a_function_of_the_key(name):
    variables, _, _ = small(name)
    model, shape = create(name, dropout=0.5), MODELS[name].shape
    chex.assert_trees_all_equal(variables, models.init(jax.random.key(1), model, shape))
    abstract = jax.eval_shape(lambda key: models.init(key, model, shape), jax.random.key(1))
    chex.assert_trees_all_equal_shapes_and_dtypes(variables, abstract)
