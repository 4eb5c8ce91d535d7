"""What a cell depends on, as a hash: equal hashes, equal numbers."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from medadv_jax.attacks import rows
from medadv_jax.types import Attack, Batch, Predict, PRNGKey

VERSION = 1
"""Raised when an attack or a cell changes its meaning, so that old files are not used."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NAMELESS = ("<lambda>", "<locals>", " object at 0x")


def of_all(parts: Sequence[str]) -> str:
    """Returns the hash of several strings, in their order."""
    joined = "\0".join([str(VERSION), *parts])
    return hashlib.blake2b(joined.encode(), digest_size=20).hexdigest()


def of_model(predict: Predict) -> str:
    """Returns the hash of a model: its structure and all its weights.

    Raises:
      ValueError: It holds a function that has no name of its own.
    """
    return _of_tree(predict)


def of_attack(attack: Attack) -> str:
    """Returns the hash of an attack: its class and all its fields, 0.1 being float32(0.1).

    Raises:
      ValueError: A field is a function that has no name of its own.
    """
    return _of_tree(rows.strong(attack))


def of_key(key: PRNGKey) -> str:
    """Returns the hash of a random key."""
    return f"{jax.random.key_impl(key)} {np.asarray(jax.random.key_data(key)).tolist()}"


def of_data(batches: Iterable[Batch]) -> str:
    """Returns the hash of all images, labels and record numbers, however they are batched."""
    parts = [hashlib.blake2b(digest_size=20) for _ in range(3)]
    shapes = set()
    for batch in batches:
        mask = np.asarray(batch.mask)
        for part, values in zip(parts, (batch.images, batch.labels, batch.index), strict=True):
            valid = np.asarray(values)[mask]
            shapes.add((valid.dtype.str, valid.shape[1:]))
            part.update(valid.tobytes())
    return " ".join([*(part.hexdigest() for part in parts), str(sorted(shapes))])


def _of_tree(tree: Any) -> str:
    digest = hashlib.blake2b(digest_size=20)
    kind = type(tree)
    written = str(jax.tree.structure(tree))
    if any(nameless in written for nameless in _NAMELESS):
        raise ValueError(
            f"{kind.__name__} holds a lambda or a nested function, or an object without a name, "
            "which a cache cannot tell from another one: define it as a function at module level, "
            "or evaluate without a cache."
        )
    structure = _ADDRESS.sub("", written)
    digest.update(f"{kind.__module__}.{kind.__qualname__} {structure}".encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
