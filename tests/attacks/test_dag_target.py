"""The targets of dense attacks: what each kind changes, and what none of them does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from medadv_jax.attacks import dag_target

CLASSES = 7


def label_map(seed, shape=(20, 24), classes=CLASSES):
    """Blobs of classes on background, with some void pixels."""
    rng = np.random.default_rng(seed)
    noise = scipy.ndimage.gaussian_filter(
        rng.normal(size=(classes, *shape)), (0, *[2] * len(shape))
    )
    label = noise.argmax(axis=0).astype(np.int32)
    label[..., 0] = -1
    return label


LABEL = label_map(0)


def areas(label):
    return np.array([(np.asarray(label) == c).sum() for c in range(CLASSES)])


def test_a_is_all_background(key):
    target = dag_target(key, LABEL, "a", CLASSES)
    np.testing.assert_array_equal(target, np.where(LABEL < 0, -1, 0))
    assert target.dtype == jnp.int32


@pytest.mark.parametrize("seed", range(5))
def test_b_swaps_the_two_largest_structures_and_nothing_else(seed, key):
    label = label_map(seed)
    one, two = np.argsort(-areas(label)[1:], kind="stable")[:2] + 1
    target = np.asarray(dag_target(key, label, "b", CLASSES))
    assert one != two and areas(label)[[one, two]].min() > 0
    np.testing.assert_array_equal(target == one, label == two)
    np.testing.assert_array_equal(target == two, label == one)
    others = (label != one) & (label != two)
    np.testing.assert_array_equal(target[others], label[others])


def test_b_does_not_take_the_background_or_void_for_a_structure(key):
    label = np.zeros((6, 6), np.int32)
    label[0], label[1, :3], label[2, :2] = -1, 5, 2
    target = np.asarray(dag_target(key, label, "b", CLASSES))
    assert (target[1, :3] == 2).all() and (target[2, :2] == 5).all()
    assert (target[label == 0] == 0).all() and (target[0] == -1).all()


@pytest.mark.parametrize("iterations", [1, 6])
@pytest.mark.parametrize("shape", [(20, 24), (8, 9, 10)])
def test_c_grows_one_structure_by_dilation(shape, iterations):
    label, chosen = label_map(1, shape), set()
    present = {c for c in range(1, CLASSES) if (label == c).any()}
    grow = jax.jit(lambda key: dag_target(key, label, "c", CLASSES, iterations=iterations))
    for seed in range(12):
        target = np.asarray(grow(jax.random.key(seed)))
        (grown,) = np.unique(target[target != label])  # one class a pixel, one class grows
        region = scipy.ndimage.binary_dilation(label == grown, iterations=iterations)
        expected = np.where((label >= 0) & region, grown, label)
        np.testing.assert_array_equal(target, expected)
        chosen.add(int(grown))
    assert chosen <= present and len(chosen) >= 3


def test_c_draws_every_structure_that_is_present_equally_often():
    label = np.array([[0, 2, 2, 2, 2, 2], [0, 0, 0, 5, 0, 1]], np.int32)
    keys = jax.random.split(jax.random.key(0), 600)
    one = functools.partial(dag_target, label=label, kind="c", num_classes=CLASSES, iterations=1)
    targets = np.asarray(jax.vmap(lambda key: one(key))(keys))
    grown = [np.unique(target[target != label]) for target in targets]
    assert all(len(classes) == 1 for classes in grown)
    counts = np.bincount(np.concatenate(grown), minlength=CLASSES)
    assert counts[[0, 3, 4, 6]].sum() == 0
    assert (np.abs(counts[[1, 2, 5]] - 200) < 4 * np.sqrt(600 * 2 / 9)).all()


@pytest.mark.parametrize("kind, structures", [("a", 0), ("b", 0), ("b", 1), ("c", 0)])
def test_with_too_few_structures_the_target_is_the_label(kind, structures, key):
    label = np.zeros((4, 5), np.int32)
    label[0] = -1
    label[2, :structures] = 3
    np.testing.assert_array_equal(dag_target(key, label, kind, CLASSES), label)
    two = np.clip(label, -1, 1)
    np.testing.assert_array_equal(dag_target(key, two, kind, 2), two)


@pytest.mark.parametrize("kind", "abc")
def test_it_is_pure_and_works_under_jit_and_vmap(kind, key):
    labels = np.stack([label_map(seed) for seed in range(3)])
    before, keys = labels.copy(), jax.random.split(key, 3)
    one = functools.partial(dag_target, kind=kind, num_classes=CLASSES)
    batched = jax.jit(jax.vmap(one))(keys, labels)
    for key, label, target in zip(keys, labels, batched, strict=True):
        np.testing.assert_array_equal(one(key, label), target)
        assert (target != label).any()
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(kind="d"), "kind must be one of 'a', 'b', 'c', got 'd'"),
        (dict(num_classes=1), "num_classes must be an integer of at least 2"),
        (dict(num_classes=4), "Labels lie in 0 .. 3, got"),
        (dict(iterations=0), "iterations must be an integer of at least 1"),
        (dict(label=LABEL - 1), "Labels lie in 0 .. 6, got -2"),
        (dict(label=LABEL * 1.0), "A label map is integer"),
        (dict(label=LABEL[0]), "A label map is integer"),
        (dict(label=[[0, 1]]), "A label map is integer"),
    ],
)
def test_bad_input_is_refused(change, message, key):
    with pytest.raises(ValueError, match=message):
        dag_target(**dict(key=key, label=LABEL, kind="a", num_classes=CLASSES) | change)
