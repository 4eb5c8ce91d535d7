"""What a cell depends on, as a hash: equal hashes, equal numbers."""

import dataclasses
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from medadv_jax.attacks import rows
from medadv_jax.types import Attack, Batch, Predict, PRNGKey

VERSION = 2
"""Raised when an attack or a cell changes its meaning, so that old files are not used."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NAMELESS = ("<lambda>", "<locals>", " object at 0x")


def of_all(parts: Sequence[str]) -> str:
    """Returns the hash of several strings, in their order."""
    joined = "\0".join([str(VERSION), *parts])
    return hashlib.blake2b(joined.encode(), digest_size=20).hexdigest()


def of_model(predict: Predict) -> str:
    """Returns the hash of a model: its structure, its code and all its weights.

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
    structure = jax.tree.structure(tree)
    written = str(structure)
    if any(nameless in written for nameless in _NAMELESS):
        raise ValueError(
            f"{type(tree).__name__} holds a lambda or a nested function, or an object without a "
            "name, which a cache cannot tell from another one: define it as a function at module "
            "level, or evaluate without a cache."
        )
    digest.update(_ADDRESS.sub("", written).encode())
    for part in _code(structure):  # a name alone may mean another function tomorrow
        digest.update(_of_code(part).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _code(structure: Any) -> Iterator[Any]:
    """Yields the classes and functions that a tree is made of: its nodes and what is static."""
    if (node := structure.node_data()) is not None:
        yield node[0]
        yield from _inside(node[1])
    for child in structure.children():
        yield from _code(child)


def _inside(value: Any) -> Iterator[Any]:
    """Yields the classes and functions in what is static."""
    if isinstance(value, (tuple, list)):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        parts = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    else:
        parts = []
        if callable(value):
            yield inspect.unwrap(value)
    for part in parts:
        yield from _inside(part)


def _of_code(part: Any) -> str:
    """Names a class or a function; one that is not ours by its code too, which we do not version.

    What it calls by name is not looked into.
    """
    kind = part if hasattr(part, "__qualname__") else type(part)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name.startswith("medadv_jax."):
        return name
    own = vars(kind).values() if isinstance(kind, type) else [kind]
    codes = [getattr(one, "__code__", None) for one in own]
    return " ".join([name, *(_written(code) for code in codes if code is not None)])


def _written(code: types.CodeType) -> str:
    """Returns the instructions, names and constants of a function."""
    return f"{code.co_code.hex()} {code.co_names} {[_constant(one) for one in code.co_consts]}"


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):  # whose order changes from process to process
        return repr(sorted(map(repr, value)))
    return _written(value) if isinstance(value, types.CodeType) else repr(value)
