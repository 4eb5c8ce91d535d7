import functools

import chex
import jax
import numpy as np
import pytest
import toy

from medadv_jax import attacks


def setting():
    model, rng = toy.segmenter(3), np.random.default_rng(0)
    images = toy.images(4, 6, (6, 6, 1), low=0.2, high=0.8)
    labels = np.array(toy.predictions(model, images))
    labels[:, 0] = -1
    labels[0, 1, :3] = rng.integers(0, 4, 3)
    return model, images, labels


@pytest.mark.parametrize("kind", ["a", "b", "c"])
def test_equals_the_attack_given_its_targets(kind):
    model, images, labels = setting()
    keys = jax.random.split(jax.random.key(5), len(images))
    dag = attacks.DAG(gamma=0.1, steps=20, active="target")
    own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, 1)
    aim = functools.partial(attacks.dag_target, kind=kind, num_classes=4, iterations=2)
    targets = jax.vmap(aim)(own, labels)
    plain = attacks.run(dag, keys, model, images, labels, targets)
    made = attacks.Targeted(attack=dag, kind=kind, iterations=2)
    chex.assert_trees_all_close(attacks.run(made, keys, model, images, labels), plain, atol=1e-6)
    inside = jax.jit(attacks.run)(made, keys, model, images, labels)
    chex.assert_trees_all_close(inside, plain, atol=1e-6)
    if kind == "a":
        assert plain.success.any(), "else the verdict by targets is not tested"


def test_refuses(key):
    model, images, labels = setting()
    with pytest.raises(ValueError, match="kind must be one of 'a', 'b', 'c', got 'd'"):
        attacks.run(attacks.Targeted(attack=attacks.DAG(), kind="d"), key, model, images, labels)
    made = attacks.Targeted(attack=attacks.DAG(), kind="a")
    with pytest.raises(ValueError, match="takes none"):
        attacks.run(made, key, model, images, labels, np.maximum(labels, 0))
