"""DAG and ASMA give the images of adv-lib 0.2.8 (PyTorch) on the same small convolution net."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks

torch = pytest.importorskip("torch", exc_type=ImportError)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it opens visdom, which imports what is deprecated
    pytest.importorskip("adv_lib", exc_type=ImportError)
    from adv_lib.attacks.segmentation import asma as their_asma, dag as their_dag

SHAPE, COUNT = (8, 9, 1), 4
KERNELS = [
    0.8 * jax.random.normal(jax.random.key(n), s)
    for n, s in enumerate([(3, 3, 1, 6), (3, 3, 6, 4)])
]


def ours(images):
    x = images - 0.5
    for kernel in KERNELS:
        x = jax.lax.conv_general_dilated(
            jnp.tanh(x), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    return x


def theirs(images):
    x = images - 0.5
    for kernel in KERNELS:
        weight = torch.tensor(np.asarray(kernel)).permute(3, 2, 0, 1)
        x = torch.nn.functional.conv2d(torch.tanh(x), weight, padding=1)
    return x


def setting():
    """Images well inside of [0, 1], labels with void pixels, and targets near the labels."""
    images = toy.images(5, COUNT, SHAPE, low=0.4, high=0.6)
    logits = ours(images)
    labels = jnp.argmax(logits, -1).astype(jnp.int32)
    second = jnp.argmax(jnp.where(jax.nn.one_hot(labels, 4, dtype=bool), -jnp.inf, logits), -1)
    targets = labels.at[:, 3:5, 4].set(second[:, 3:5, 4])
    return images, labels.at[:, 0].set(-1), targets


def run_theirs(attack, images, classes, valid, **options):
    """Their attack on our arrays; a class of a pixel that is not valid is masked away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = attack(
            theirs,
            torch.tensor(np.asarray(images)).permute(0, 3, 1, 2),
            torch.tensor(np.asarray(jnp.maximum(classes, 0)), dtype=torch.int64),
            torch.tensor(np.asarray(valid)),
            **options,
        )
    return found.detach().permute(0, 2, 3, 1).numpy()


def test_the_nets_are_the_same():
    images, _, _ = setting()
    theirs_out = theirs(torch.tensor(np.asarray(images)).permute(0, 3, 1, 2))
    np.testing.assert_allclose(ours(images), theirs_out.permute(0, 2, 3, 1), atol=1e-5)


@pytest.mark.parametrize("norm, gamma", [("linf", 0.005), ("l2", 0.05)])
@pytest.mark.parametrize("foreground_only", [False, True])
def test_untargeted_dag(norm, gamma, foreground_only, key):
    # a mask is their way to leave the background out; their gamma is in pixels of [0, 1] as ours is
    images, labels, _ = setting()
    dag = attacks.DAG(gamma=gamma, step_norm=norm, foreground_only=foreground_only)
    result = attacks.run(dag, key, ours, images, labels)
    valid = labels >= (1 if foreground_only else 0)
    expected = run_theirs(their_dag, images, labels, valid, γ=gamma, p=float(norm[1:]))
    assert result.success.all() and (result.steps > 10).all()
    assert 0 < expected.min() and expected.max() < 1  # beyond, ours differs: see below
    np.testing.assert_allclose(result.images, expected, atol=2e-5)


@pytest.mark.parametrize("norm, gamma", [("linf", 0.005), ("l2", 0.05)])
def test_targeted_dag_is_the_one_of_all_pixels_not_at_their_target(norm, gamma, key):
    images, labels, targets = setting()
    dag = attacks.DAG(gamma=gamma, step_norm=norm, active="target", steps=60)
    result = attacks.run(dag, key, ours, images, labels, targets)
    options = dict(targeted=True, γ=gamma, p=float(norm[1:]), max_iter=61)  # the last one judges
    expected = run_theirs(their_dag, images, targets, labels >= 0, **options)
    # of fewer than 100 pixels each counts, so that their rule of success is ours
    changed = (expected != images).any((1, 2, 3))
    assert (result.success == changed).all() and changed.sum() >= 2
    found = np.asarray(result.success)
    np.testing.assert_allclose(np.asarray(result.images)[found], expected[found], atol=5e-5)


def test_where_pixels_are_clipped_both_succeed_with_other_images(key):
    # they add up the steps without a bound and clip a copy, so that a pixel far outside of [0, 1]
    # has no gradient and a long way back; here the image itself is clipped
    images, labels, _ = setting()
    dark = images - 0.3
    labels = jnp.where(labels < 0, -1, jnp.argmax(ours(dark), -1))
    dag = attacks.DAG(gamma=0.03, steps=60, foreground_only=False)
    result = attacks.run(dag, key, ours, dark, labels)
    expected = run_theirs(their_dag, dark, labels, labels >= 0, γ=0.03, max_iter=61)
    assert result.success.all() and (expected != dark).any((1, 2, 3)).all()
    assert (expected == 0).any() and (result.images == 0).any()
    assert (np.abs(result.images - expected).max((1, 2, 3)) > 0.01).all()


def test_asma(key):
    # no pixel is void and every class occurs, else their IoU is another; and one image at a time,
    # since theirs is that of the whole batch
    images, _, targets = setting()
    labels = jnp.argmax(ours(images), -1)
    assert all(len(np.unique(target)) == 4 for target in targets)
    asma = attacks.ASMA(tau=1e-4, beta=1e-3, steps=60)
    result = attacks.run(asma, key, ours, images, labels, targets)
    assert result.success.sum() >= 2
    for n in np.flatnonzero(result.success):
        one = slice(n, n + 1)
        options = dict(targeted=True, num_steps=60, τ=1e-4, β=1e-3)
        expected = run_theirs(their_asma, images[one], targets[one], labels[one] >= 0, **options)
        np.testing.assert_allclose(result.images[one], expected, atol=2e-5)
