"""APGD finds what the authors' APGD finds, from the same start on the same network."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks import apgd
from medadv_jax.attacks.apgd_state import record
from medadv_jax.attacks.dlr import dlr

torch = pytest.importorskip("torch")
autopgd = pytest.importorskip("pyautoattack.autopgd_base")
COUNT, EPS = 64, {"linf": 0.02, "l2": 0.18}
NORMS = {"linf": "Linf", "l2": "L2"}


def twin(model):
    """The same network in torch, for images (b, c, h, w)."""
    kernels = [
        torch.tensor(np.transpose(np.array(kernel), (3, 2, 0, 1)))
        for kernel in (model.first, model.second)
    ]
    output = torch.tensor(np.array(model.output))

    def predict(images):
        x = images * 2 - 1
        for kernel in kernels:
            padded = torch.nn.functional.pad(x, (0, 1, 0, 1))  # as "SAME" pads at stride 2
            x = torch.nn.functional.softplus(
                2 * torch.nn.functional.conv2d(padded, kernel, stride=2)
            )
        return x.permute(0, 2, 3, 1).flatten(1) @ output

    return predict


def setting():
    model = toy.conv_net(0)
    images = toy.images(3, COUNT, (8, 8, 3), low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def theirs(attack, images, labels, target=None):
    """The image of the highest loss, whether one has fooled, and the highest loss."""
    x = torch.tensor(np.moveaxis(np.array(images), -1, 1).copy())
    y = torch.tensor(np.array(labels), dtype=torch.long)
    attack.init_hyperparam(x)
    if target is not None:
        attack.y_target = torch.tensor(np.array(target), dtype=torch.long)
    with contextlib.redirect_stdout(io.StringIO()):
        best, standing, loss, _ = attack.attack_single_run(x, y, x_init=x)
    return np.moveaxis(best.numpy(), 1, -1), ~standing.numpy(), loss.numpy()


def values_of(loss, model, images, labels, targets=None):
    logits = model(images)
    if targets is None:
        return np.array(jax.vmap(loss)(logits, labels))
    return np.array(jax.vmap(loss)(logits, labels, targets))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("steps", [10, 50])
def test_untargeted(loss, norm, steps, key):
    model, images, labels = setting()
    attack = autopgd.APGDAttack(
        twin(model), n_iter=steps, norm=NORMS[norm], eps=EPS[norm], loss=loss, device="cpu"
    )
    _, fooled, found = theirs(attack, images, labels)
    options = dict(eps=EPS[norm], norm=norm, steps=steps, loss=loss, random_start=False)
    ours = attacks.run(attacks.APGD(**options, keep="loss"), key, model, images, labels)
    function = losses.cross_entropy if loss == "ce" else dlr
    values = values_of(function, model, ours.images, labels)
    start = values_of(function, model, images, labels)
    if loss == "dlr":  # beyond 1, where an image is fooled, it grows at random: three logits meet
        values, found = np.minimum(values, 1), np.minimum(found, 1)
    assert values.mean() - start.mean() > 0.3  # else the same means say nothing
    np.testing.assert_allclose(values.mean(), found.mean(), atol=0.02 * np.abs(found).mean())
    kept = attacks.run(attacks.APGD(**options), key, model, images, labels)
    assert 0.1 < fooled.mean() < 0.95 and abs(kept.success.mean() - fooled.mean()) <= 0.02


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_with_their_first_comparison_the_images_are_theirs(loss, norm, key, monkeypatch):
    # theirs compares the loss after the first step with 0; few steps, for rounding turns signs
    def record_as_they_do(state, look, first, by_loss):
        state = record(state, look, first, by_loss)
        return state._replace(value=jnp.where(first, 0.0, state.value))

    monkeypatch.setattr(apgd, "record", record_as_they_do)
    model, images, labels = setting()
    attack = autopgd.APGDAttack(
        twin(model), n_iter=11, norm=NORMS[norm], eps=EPS[norm], loss=loss, device="cpu"
    )
    best, _, _ = theirs(attack, images, labels)
    options = dict(eps=EPS[norm], norm=norm, loss=loss, random_start=False, keep="loss")
    # no other test has 11 steps, so that what was compiled here is used nowhere else
    ours = attacks.run(attacks.APGD(steps=11, **options), key, model, images, labels)
    same = np.abs(ours.images - best).reshape(COUNT, -1).max(axis=1) < 1e-4
    assert same.mean() > 0.9


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_targeted_dlr(norm, key):
    model, images, labels = setting()
    targets = (labels + 1) % 5
    attack = autopgd.APGDAttack_targeted(
        twin(model), n_iter=50, norm=NORMS[norm], eps=EPS[norm], device="cpu"
    )
    _, _, found = theirs(attack, images, labels, targets)
    ours = attacks.APGD(
        eps=EPS[norm], norm=norm, steps=50, loss="dlr", random_start=False, keep="loss"
    )
    result = attacks.run(ours, key, model, images, labels, targets)
    values = values_of(dlr, model, result.images, labels, targets)
    assert values.mean() - values_of(dlr, model, images, labels, targets).mean() > 0.3
    np.testing.assert_allclose(values.mean(), found.mean(), atol=0.02 * np.abs(found).mean())
