"""The bench: who found what at which cost, on one network."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import bench, peers
from experiments.cost import Cost
from medadv_jax.evaluate.clock import Clock

foolbox_missing = bool(peers.foolbox("LinfPGD").missing())


@pytest.fixture(scope="module")
def config(image_folder, root):
    return bench.Config(
        attacks=("fgsm", "deepfool_l2", "rfgsm"),
        eps=0.02,
        limit=5,
        data="folder",
        data_dir=image_folder(root / "images"),
        width=0.1,
        epochs=12,
        batch_size=8,
        workdir=root,
    )


@pytest.mark.skipif(foolbox_missing, reason="foolbox is not installed")
def test_both_sides_meet_the_same_images_and_are_measured_once(config, monkeypatch):
    rows = bench.main(config)
    assert [(row["attack"], row["library"]) for row in rows] == [
        ("fgsm", "medadv_jax"),
        ("fgsm", "foolbox"),
        ("deepfool_l2", "medadv_jax"),
        ("deepfool_l2", "foolbox"),
        ("rfgsm", "medadv_jax"),
    ]
    ours, theirs, nearest, their_nearest, _ = rows
    assert ours["fooled"] == theirs["fooled"] and ours["median_norm"] is None
    assert (ours["gradients"], theirs["gradients"], ours["forwards"]) == (1, 1, 0)
    assert nearest["fooled"] == their_nearest["fooled"] == nearest["images"] > 0
    assert nearest["median_norm"] == pytest.approx(their_nearest["median_norm"], rel=1e-3)
    assert all(row["seconds"] > 0 for row in rows)
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("measures again"))
    again = bench.main(dataclasses.replace(config, attacks=("rfgsm", "fgsm")))
    assert again == [rows[4], *rows[:2]]
    folder = config.workdir / "bench" / bench.identity(config)
    assert json.loads((folder / "rows.json").read_text()) == again


def test_what_takes_longer_than_a_moment_is_run_once(monkeypatch):
    calls, waits = [], iter([6.0, 1.0, 0.5])

    def attack(cost):
        calls.append(cost)
        cost.gradients += 1
        return np.zeros(1)

    class Known(Clock):
        def running(self):
            self.seconds = next(waits)
            return super().running()

    monkeypatch.setattr(bench, "Clock", Known)
    assert bench.timed(attack)[1].gradients == 1 and len(calls) == 1
    _, cost, clock = bench.timed(attack)
    assert cost.gradients == 1 and len(calls) == 3
    assert clock.seconds == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(
    "option, message",
    [
        (dict(eps=0.0), "--eps is in"),
        (dict(attacks=("nothing",)), "--attacks are of fgsm, step_ll, .* got nothing"),
        (dict(limit=0), "--limit is at least 1"),
        (dict(image_size=20), "--image-size is at least"),
    ],
)
def test_bad_flags_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        bench.Config(**option)


def test_torch_sees_the_same_network_and_its_cost():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from experiments.torch_bridge import TorchPredict

    weights = jax.random.normal(jax.random.key(0), (12, 3))
    predict = jax.tree_util.Partial(lambda w, images: jnp.sin(images.reshape(-1, 12) @ w), weights)
    images = np.random.default_rng(0).uniform(size=(5, 2, 2, 3)).astype(np.float32)
    cost = Cost()
    module = TorchPredict(predict, cost)
    pixels = torch.tensor(np.moveaxis(images, -1, 1).copy(), requires_grad=True)
    logits = module(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), predict(images), atol=1e-6)
    logits[:, 1].sum().backward()
    expected = jax.grad(lambda images: predict(images)[:, 1].sum())(images)
    np.testing.assert_allclose(np.moveaxis(pixels.grad.numpy(), 1, -1), expected, atol=1e-5)
    module(pixels.detach()[:3])
    assert (cost.gradients, cost.forwards) == (5, 3)
