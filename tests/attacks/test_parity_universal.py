"""Fitted perturbations fool as many unseen images as those of ART, and keep clear of its traps."""

import random

import jax
import numpy as np
import pytest
import toy

from medadv_jax import attacks, data

torch = pytest.importorskip("torch")
evasion = pytest.importorskip("art.attacks.evasion")
classification = pytest.importorskip("art.estimators.classification")
COUNT = 64
NORMS = {"linf": np.inf, "l2": 2}


class Twin(torch.nn.Module):
    """The same network in torch, for images (b, c, h, w)."""

    def __init__(self, model):
        super().__init__()
        self.kernels = [
            torch.tensor(np.transpose(np.array(kernel), (3, 2, 0, 1)))
            for kernel in (model.first, model.second)
        ]
        self.output = torch.nn.Parameter(torch.tensor(np.array(model.output)))

    def forward(self, images):
        x = images * 2 - 1
        for kernel in self.kernels:
            padded = torch.nn.functional.pad(x, (0, 1, 0, 1))  # as "SAME" pads at stride 2
            x = torch.nn.functional.conv2d(padded, kernel, stride=2)
            x = torch.nn.functional.softplus(2 * x)
        return x.permute(0, 2, 3, 1).flatten(1) @ self.output


def setting():
    """A network, its images and what it says of them; the first are to be fitted on."""
    model = toy.conv_net(0)
    images = toy.images(3, COUNT + 512, (8, 8, 3), low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def theirs(model, images, eps, norm, labels=None, max_iter=5, seed=0):
    """Their fitted attack, with its perturbation (h, w, c)."""
    random.seed(seed)
    twin = classification.PyTorchClassifier(
        model=Twin(model),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=(3, 8, 8),
        nb_classes=5,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    attack = evasion.UniversalPerturbation(
        twin,
        attacker="deepfool",
        attacker_params=dict(verbose=False, batch_size=1, max_iter=20),
        delta=0.0,
        max_iter=max_iter,
        eps=eps,
        norm=NORMS[norm],
        verbose=False,
    )
    attack.generate(np.moveaxis(np.array(images), -1, 1).copy(), labels)
    return attack, np.moveaxis(attack.noise[0], 0, -1)


def ours(attack, model, images, labels, eps, norm, seed=0):
    batches = data.from_arrays(np.array(images), np.array(labels), 32)
    options = dict(eps=eps, norm=norm, target_rate=1.0, epochs=5)
    return attacks.fit_universal(jax.random.key(seed), attack, model, batches, **options)


def test_the_networks_are_the_same():
    model, images, _ = setting()
    found = Twin(model)(torch.tensor(np.moveaxis(np.array(images), -1, 1).copy()))
    np.testing.assert_allclose(model(images), found.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("norm, eps", [("linf", 0.03), ("linf", 0.06), ("l2", 0.6)])
def test_as_many_unseen_images_are_fooled(norm, eps, key):
    model, images, labels = setting()
    fitted, unseen = (images[:COUNT], labels[:COUNT]), (images[COUNT:], labels[COUNT:])
    rate = lambda attack: float(attacks.run(attack, key, model, *unseen).success.mean())
    given = lambda delta: attacks.UniversalPerturbation(delta=delta)
    expected = np.mean(
        [rate(given(theirs(model, fitted[0], eps, norm, seed=seed)[1])) for seed in range(2)]
    )
    for attack in (attacks.DeepFool(), attacks.FGSM(eps=eps / 4, norm=norm)):
        found = [ours(attack, model, *fitted, eps, norm, seed) for seed in range(2)]
        reached = np.mean([rate(fit.perturbation) for fit in found])
        print(f"{norm} {eps} {type(attack).__name__}: {reached:.3f}, ART {expected:.3f}")
        assert 0.15 < expected <= reached + 0.02


def test_their_rate_counts_what_was_wrong_before():
    model, images, labels = setting()
    wrong = np.array(labels[:8])
    wrong[:4] = (wrong[:4] + 1) % 5
    attack, _ = theirs(model, images[:8], 1e-6, "linf", wrong, max_iter=1)
    assert attack.fooling_rate == 0.5
    assert ours(attacks.DeepFool(), model, images[:8], wrong, 1e-6, "linf").rate == 0
