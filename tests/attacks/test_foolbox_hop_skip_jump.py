"""HopSkipJump for as many queries comes as near as Foolbox's."""

import warnings

import jax
import numpy as np
import pytest
import toy

from medadv_jax import attacks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # foolbox and eagerpy import what is deprecated
    eagerpy = pytest.importorskip("eagerpy")
    foolbox = pytest.importorskip("foolbox")


def theirs(model, images, labels, steps, norm):
    """What Foolbox finds, and how many queries each image had."""
    calls = []

    def counted(images, compiled=jax.jit(lambda images: model(images))):  # noqa: B008
        calls.append(len(images))
        return compiled(images)

    with warnings.catch_warnings(), jax.numpy_rank_promotion("allow"):
        warnings.simplefilter("ignore")
        wrapped = foolbox.models.JAXModel(counted, bounds=(0, 1))
        attack = foolbox.attacks.HopSkipJumpAttack(steps=steps, constraint=norm)
        found = attack.run(wrapped, images, foolbox.criteria.Misclassification(labels))
    return np.asarray(found), len(calls)


# in L2, Foolbox's strides get shorter with more batch mates: there each image is alone
@pytest.mark.parametrize("norm, rows", [("l2", 1), ("linf", 8)])
def test_it_comes_as_near_for_as_many_queries(norm, rows, key):
    model, steps, count = toy.conv_net(0, 2), 4, 8
    images = toy.images(3, count, (8, 8, 3), low=0.02, high=0.98)
    labels = toy.predictions(model, images)
    eagerpy.JAXTensor.key = None  # their generator begins anew
    parts = [slice(start, start + rows) for start in range(0, count, rows)]
    found = [theirs(model, images[part], labels[part], steps, norm) for part in parts]
    other = toy.size_of(np.concatenate([images for images, _ in found]) - images, norm)
    queries = np.mean([calls for _, calls in found])

    attack = attacks.HopSkipJump(norm=norm, steps=steps, block=1)
    result = attacks.run(attack, key, model, images, labels)
    assert result.success.all() and result.forwards.mean() <= queries
    sizes = toy.size_of(result.images - images, norm)
    assert np.median(sizes / other) <= 1.02
