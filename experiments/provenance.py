"""Where a result comes from: command, versions, hardware."""

import datetime
import importlib.metadata
import os
import platform
import shlex
from collections.abc import Sequence
from typing import Any

import jax

PACKAGES = ("medadv_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def facts(arguments: Sequence[str], seed: int) -> dict[str, Any]:
    """Returns what a reader needs to make a result again.

    Args:
      arguments: The words after `python`.
      seed: The seed of the run.
    """
    device = jax.devices()[0]
    return {
        "command": shlex.join(["python", *arguments]),
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "hardware": f"{jax.device_count()} x {device.device_kind} ({device.platform}), "
        f"{os.cpu_count()} CPU cores, {platform.machine()}",
    }
