"""The rows of a batch are spread over all devices; eight of them are made from the CPU."""

import os
import subprocess
import sys

PROGRAM = """
import dataclasses, sys
import jax, jax.numpy as jnp, numpy as np
sys.path.insert(0, sys.argv[1])
import toy
from medadv_jax import attacks, losses
from medadv_jax.attacks import devices

assert len(jax.devices()) == int(sys.argv[2])
model, images = toy.mlp(0), toy.images(1, 21, (4, 3, 3), low=0.0, high=1.0)
labels = toy.predictions(model, images).at[2].add(1) % 4
pgd = attacks.PGD(eps=np.geomspace(0.5, 0.02, 21), steps=12, until_fooled=True, loss=losses.margin)
for attack in (pgd, attacks.WorstCase(attacks=(attacks.FGSM(eps=0.05), attacks.DeepFool()))):
    for size in (None, 6):
        result = attacks.run(attack, jax.random.key(0), model, images, labels, batch_size=size)
        print(*(np.asarray(leaf, float).round(4).tolist() for leaf in result[:7]), sep="\\n")
placement = devices.Placement()
assert len(placement.spread(jnp.zeros((24, 2))).sharding.device_set) == len(jax.devices())
"""


def output(count):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), str(count)]
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_eight_devices_give_what_one_gives():
    one, eight = output(1), output(8)
    assert len(one) == 4 * 7
    for expected, found in zip(one, eight, strict=True):
        assert found == expected
