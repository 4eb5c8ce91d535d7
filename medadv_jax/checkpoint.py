"""Checkpoints of a training: written whole or not at all, read back bit for bit."""

import pathlib
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp


def _template(tree: Any) -> Any:
    """Shapes, dtypes and places: an orbax load without a place warns and guesses."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    as_leaf = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)
    return jax.tree.map(as_leaf, tree)


class Checkpoints:
    """The checkpoints of one training, the last two steps kept.

    Orbax writes into a temporary folder and renames it, so that a process killed at any moment
    leaves complete checkpoints only. Use it as a context manager.

    Args:
      directory: Folder of the checkpoints; made if absent.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = pathlib.Path(directory).absolute()
        latest_two = ocp.training.preservation_policies.LatestN(2)
        self._orbax = ocp.training.Checkpointer(
            str(self.directory),
            preservation_policy=latest_two,  # pyright: ignore[reportArgumentType] (orbax 0.12's hint)
            cleanup_tmp_directories=True,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._orbax.close()

    def latest(self) -> int | None:
        """Returns the step of the newest checkpoint, None if there is none."""
        newest = self._orbax.latest
        return None if newest is None else int(newest.step)

    def path(self, step: int) -> pathlib.Path:
        """Returns the folder of one checkpoint."""
        return self.directory / str(step)

    def save(self, step: int, state: Any) -> None:
        """Writes a pytree of arrays as the checkpoint of a step."""
        self._orbax.save(step, state, overwrite=True)

    def restore(self, like: Any) -> Any:
        """Returns the state of the newest checkpoint.

        Args:
          like: A pytree of arrays or of shapes (`jax.eval_shape`), of the structure that was saved.

        Raises:
          ValueError: The checkpoint holds another structure or other shapes, or is damaged.
        """
        step = self.latest()
        if step is None:
            raise ValueError(f"{self.directory} holds no checkpoint.")
        try:
            return self._orbax.load(step, _template(like))
        except Exception as error:  # orbax raises many kinds; the remedy is the same for all
            raise ValueError(
                f"The checkpoint {self.path(step)} cannot be read as this training's state: it is "
                "damaged or of another configuration. Delete that folder to go on from the one "
                "before it, or choose another directory."
            ) from error
