"""The deterministic attacks give the images that Foolbox gives."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # foolbox and eagerpy import what is deprecated
    foolbox = pytest.importorskip("foolbox")

MODELS = pytest.mark.parametrize(
    "model, shape",
    [
        pytest.param(toy.linear(0, (6, 6, 3), 3, scale=0.5), (6, 6, 3), id="linear"),
        pytest.param(toy.mlp(0), (4, 3, 3), id="mlp"),
        pytest.param(toy.conv_net(0), (8, 8, 3), id="conv"),
    ],
)


def theirs(attack, model, images, labels, eps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = foolbox.models.JAXModel(jax.jit(lambda images: model(images)), bounds=(0, 1))
        return attack(wrapped, images, labels, epsilons=eps)[1]


def setting(model, shape):
    images = toy.images(3, 8, shape, low=0.0, high=1.0)
    return images, toy.predictions(model, images)


@MODELS
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm(model, shape, norm, key):
    images, labels = setting(model, shape)
    kind = {"linf": "LinfFastGradientAttack", "l2": "L2FastGradientAttack"}[norm]
    expected = theirs(getattr(foolbox.attacks, kind)(), model, images, labels, 0.1)
    result = attacks.run(attacks.FGSM(eps=0.1, norm=norm), key, model, images, labels)
    np.testing.assert_allclose(result.images, expected, atol=1e-6)


@MODELS
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_without_a_random_start(model, shape, norm, key):
    images, labels = setting(model, shape)
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    attack = kind(abs_stepsize=0.02, steps=12, random_start=False)
    expected = theirs(attack, model, images, labels, 0.1)
    attack = attacks.PGD(eps=0.1, step_size=0.02, steps=12, norm=norm, random_start=False)
    result = attacks.run(attack, key, model, images, labels)
    np.testing.assert_allclose(result.images, expected, atol=1e-6)


@MODELS
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_deepfool_with_their_stabiliser(model, shape, norm, key):
    images, labels = setting(model, shape)
    kind = {"linf": foolbox.attacks.LinfDeepFoolAttack, "l2": foolbox.attacks.L2DeepFoolAttack}
    expected = theirs(kind[norm](steps=50), model, images, labels, None)
    attack = attacks.DeepFool(norm=norm, stabiliser=1e-4)
    result = attacks.run(attack, key, model, images, labels)
    found = toy.size_of(result.images - images, norm)
    np.testing.assert_allclose(found, toy.size_of(expected - images, norm), rtol=1e-5)
    assert (toy.predictions(model, expected) == toy.predictions(model, result.images)).all()
    assert result.success.all()
    assert jnp.isfinite(result.images).all()
