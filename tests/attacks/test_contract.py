"""Every law of the attack contract over every row of the table."""

import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tables
import toy

from medadv_jax import attacks

COUNT = 8
KEYS = jax.random.split(jax.random.key(7), COUNT)


class Setting(NamedTuple):
    """What `run` takes after the attack and the keys."""

    model: Any
    images: Any
    labels: Any
    targets: Any = None

    def rows(self, chosen):
        model, *rest = self
        return Setting(model, *jax.tree.map(lambda leaf: leaf[chosen], rest))


def setting(row, seed=0):
    """What suits a row: a model, images, labels of which number 2 is wrong, perhaps targets."""
    return example(row.dense, row.targeted, seed)


@functools.cache
def example(dense, targeted, seed):
    model = toy.segmenter(seed) if dense else toy.mlp(seed)
    shape = (6, 6, 1) if dense else (4, 3, 3)
    images = toy.images(seed + 1, COUNT, shape, low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    labels = void(labels.at[2].set((labels[2] + 1) % 4))
    return Setting(model, images, labels, targets_of(labels) if targeted else None)


def void(labels):
    """Labels of pixels are -1, not valid, in the top row."""
    return labels.at[:, 0].set(-1) if labels.ndim > 1 else labels


def targets_of(labels):
    """The next class, of label maps in a part of the pixels only."""
    if labels.ndim == 1:
        return (labels + 1) % 4
    return labels.at[:, 3, 2].set((labels[:, 3, 2] + 1) % 4)


def beaten(row, model, images, labels, targets=None):
    """Whether no pixel that counts has its label, or all have their target."""
    if targets is not None:
        met = (toy.predictions(model, images) == targets) | (labels < 0)
        return np.reshape(met, (COUNT, -1)).all(axis=1)
    counts = np.reshape(labels, (COUNT, -1)) >= row.least
    kept = np.reshape(toy.predictions(model, images) == labels, (COUNT, -1)) & counts
    return ~kept.any(axis=1) & counts.any(axis=1)


def run(row, setting, keys=KEYS, **options):
    return attacks.run(row.attack, keys, *setting, **options)


@functools.cache
def usual(row):
    """The result in the usual setting, with which many laws compare."""
    return run(row, setting(row))


def assert_same(one, two, **tolerance):
    chex.assert_trees_all_close(one, two, **({"rtol": 0, "atol": 1e-6} | tolerance))


def keeps_shape_and_dtype(row):
    images, result = setting(row).images, usual(row)
    chex.assert_equal_shape([images, result.images])
    arrays = jax.tree.leaves(result)
    chex.assert_type(arrays, [jnp.float32, bool, int, int, int, bool, bool])
    chex.assert_shape(arrays[1:], (COUNT,))


def stays_in_range(row):
    images = usual(row).images
    assert images.min() >= 0 and images.max() <= 1


def stays_in_its_ball(row):
    result, images = usual(row), setting(row).images
    assert (toy.size_of(result.images - images, row.norm) <= row.attack.eps * (1 + 1e-5)).all()
    assert toy.size_of(result.images - images, row.norm).max() > 0.5 * row.attack.eps


def same_keys_same_result(row):
    chex.assert_trees_all_equal(run(row, setting(row)), usual(row))


def jit_equals_no_jit(row):
    jitted = jax.jit(attacks.run)(row.attack, KEYS, *setting(row))
    assert_same(jitted, usual(row))


def batch_equals_singles(row):
    together = usual(row)
    for i in range(COUNT):
        one = slice(i, i + 1)
        alone = run(row, setting(row).rows(one), KEYS[one])
        assert_same(alone, jax.tree.map(lambda leaf, one=one: leaf[one], together))


def batch_size_changes_nothing(row):
    assert_same(run(row, setting(row), batch_size=1), usual(row))


def permuting_permutes(row):
    order = np.random.default_rng(0).permutation(COUNT)
    permuted = run(row, setting(row).rows(order), KEYS[order])
    assert_same(permuted, jax.tree.map(lambda leaf: leaf[order], usual(row)))


def one_trace_serves_new_weights_and_sizes(row):
    one, two = setting(row, 5), setting(row, 6)
    run(row, one)
    run(row, one, mask=jnp.arange(COUNT) < 3)  # the smaller batch is a program of its own
    before = len(toy.TRACES)
    run(row, two)
    for value in (0, 0.07, np.float64(0.03), np.float32(0.02), jnp.array(0.01)):
        if row.attack.size is not None:
            attack = dataclasses.replace(row.attack, **{row.attack.size: value})
            attacks.run(attack, KEYS, *one)
    assert len(toy.TRACES) == before


def size_zero_is_the_image(row):
    attack = dataclasses.replace(row.attack, **{row.attack.size: 0})
    result = attacks.run(attack, KEYS, *setting(row))
    assert_same(result.images, setting(row).images, atol=1e-7)


def with_output(row, factor):
    """The setting of a row with the model's output scaled, and labels that fit it."""
    model, images, labels, targets = setting(row)
    model = dataclasses.replace(model, output=factor * model.output)
    labels = void(toy.predictions(model, images))
    return Setting(model, images, labels, None if targets is None else targets_of(labels))


def finite_on_a_constant_model(row):
    result = run(row, with_output(row, 0))
    assert jnp.isfinite(result.images).all()
    assert not result.success.any()
    looks = not getattr(row.attack, "noise", False)
    assert (result.flat == looks).all()


def finite_on_a_saturated_model(row):
    saturated = with_output(row, 1e4)
    assert jnp.abs(saturated.model(saturated.images)).max() > 1e4
    result = run(row, saturated)
    assert jnp.isfinite(result.images).all()


def success_agrees_with_the_model(row):
    model, images, *truth = setting(row)
    result = usual(row)
    wrong = beaten(row, model, images, truth[0])
    assert (result.misclassified == wrong).all() and wrong[2]
    fooled = beaten(row, model, result.images, *truth)
    assert (result.success == fooled & ~wrong).all()


def padding_is_untouched(row):
    images, mask = setting(row).images, jnp.arange(COUNT) < 3
    result = run(row, setting(row), mask=mask)
    assert_same(
        jax.tree.map(lambda leaf: leaf[:3], result),
        jax.tree.map(lambda leaf: leaf[:3], usual(row)),
    )
    rest = jax.tree.map(lambda leaf: leaf[3:], result)
    assert (rest.images == images[3:]).all()
    assert not any(leaf.any() for leaf in jax.tree.leaves(rest)[1:])


def misclassified_is_free(row):
    result = usual(row)
    assert (result.images[2] == setting(row).images[2]).all()
    assert result.steps[2] == result.gradients[2] == result.forwards[2] == 0
    assert not result.success[2] and result.misclassified[2]


def stronger_is_never_weaker(row):
    full = getattr(row.attack, row.budget)
    less = row.less or (2 if isinstance(full, int) else full / 3)
    attack = dataclasses.replace(row.attack, **{row.budget: less})
    weaker = attacks.run(attack, KEYS, *setting(row)).success
    assert (usual(row).success >= weaker).all()
    assert 0 < weaker.sum() < usual(row).success.sum()  # else the law says nothing


CASES = [
    pytest.param(row, globals()[law], id=f"{name}-{law}")
    for name, row in tables.ATTACKS.items()
    for law in tables.ATTACK_LAWS
    if law not in row.without
]


@pytest.mark.parametrize("row, law", CASES)
def test_law(row, law):
    law(row)


def test_every_law_left_out_is_known_and_has_a_reason():
    for row in tables.ATTACKS.values():
        assert set(row.without) <= set(tables.ATTACK_LAWS)
        assert all(len(reason) > 10 for reason in row.without.values())


def test_every_public_attack_has_a_row():
    kinds = [value for value in vars(attacks).values() if isinstance(value, type)]
    public = {kind for kind in kinds if hasattr(kind, "step") or hasattr(kind, "run")}
    assert public == {type(row.attack) for row in tables.ATTACKS.values()}
