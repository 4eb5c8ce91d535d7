"""Where a batch lies: its rows spread over all local devices, the weights copied to each."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


class Placement:
    """Places trees of arrays; it does nothing where there is one device.

    Attributes:
      count: Number of devices; a spread batch needs a multiple of it as its length.
    """

    def __init__(self) -> None:
        """Takes all local devices, or the one that `jax.default_device` names."""
        default = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
        devices = jax.local_devices()
        if default is not None:
            devices = devices[:1]  # where there is one, nothing is placed
        self.count = len(devices)
        self._mesh = Mesh(np.array(devices), ("b",))

    def spread(self, tree: Any) -> Any:
        """Spreads the first axis of every leaf over the devices."""
        return self._put(tree, PartitionSpec("b"))

    def copy(self, tree: Any) -> Any:
        """Copies every leaf to each device."""
        return self._put(tree, PartitionSpec())

    def _put(self, tree: Any, spec: PartitionSpec) -> Any:
        return tree if self.count == 1 else jax.device_put(tree, NamedSharding(self._mesh, spec))
