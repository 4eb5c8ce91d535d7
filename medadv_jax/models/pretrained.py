"""Weights of other libraries: torchvision's Inception V3, timm's Inception V4, Keras' MobileNet.

Reads names and arrays, never pickles: a checkpoint cannot run code here. What is not `.npz` or
`.safetensors` is turned into a mapping where its library is at hand: `{name: value.numpy() for
name, value in model.state_dict().items()}` in PyTorch, `{w.path: np.asarray(w) for w in
model.weights}` in Keras.
"""

import json
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.models.inception_v3 import InceptionV3
from medadv_jax.models.inception_v4 import InceptionV4
from medadv_jax.models.mobilenet import MobileNet
from medadv_jax.types import Variables

Path: TypeAlias = tuple[str, ...]
"""Where an array lies in a variable dictionary, such as ('params', 'conv1', 'conv', 'kernel')."""
Axes: TypeAlias = tuple[int, ...] | None
"""An order of axes for `transpose`; None leaves them as they are."""


def convert(model: nn.Module, state: Mapping[str, Any]) -> Variables:
    """Gives a model the weights of the net that it was modelled on.

    Args:
      model: An `InceptionV3`, `InceptionV4` or `MobileNet`.
      state: Names and arrays, in the order of axes of torchvision, timm or Keras.

    Returns:
      Variables of the model, `params` and `batch_stats`, float32.

    Raises:
      ValueError: An array is missing, left over or misshaped, or there is no such net elsewhere.
    """
    library = _LIBRARIES.get(type(model))
    if library is None:
        known = ", ".join(net.__name__ for net in _LIBRARIES)
        raise ValueError(f"convert knows {known}, got a {type(model).__name__}.")
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    expected = jax.eval_shape(model.init, jax.random.key(0), image)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(expected)
    paths = [tuple(str(entry.key) for entry in path) for path, _ in leaves]  # pyright: ignore[reportAttributeAccessIssue]
    names = [library.rename(model, path) for path in paths]
    _check_names(library.name, names, [n for n in state if not re.search(library.ignored, n)])
    arrays = [
        _fit(f"{library.name}'s {name!r}", np.asarray(state[name]), library.axes(path), leaf.shape)
        for name, path, (_, leaf) in zip(names, paths, leaves, strict=True)
    ]
    return jax.tree_util.tree_unflatten(treedef, arrays)


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the names and arrays of a `.npz` or `.safetensors` file.

    Args:
      path: The file.

    Returns:
      A dictionary from names to arrays.

    Raises:
      ValueError: Another kind of file, or one that is damaged.
    """
    path = pathlib.Path(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    raise ValueError(f"{path}: weights are read from .npz and .safetensors files only.")


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the format of huggingface/safetensors: the header's length, the header, the bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length:
        raise ValueError(f"{path}: the file ends within its header.")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    body, arrays = content[8 + length :], {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{path}: {name!r} is {entry['dtype']}, known are {[*_DTYPES]}.")
        if stop > len(body):
            raise ValueError(f"{path}: the file ends within {name!r}.")
        values = np.frombuffer(body[start:stop], _DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return arrays


def _check_names(library: str, expected: list[str], given: list[str]) -> None:
    missing = sorted(set(expected) - set(given))
    extra = sorted(set(given) - set(expected))
    if missing or extra:
        raise ValueError(
            f"The weights are not {library}'s of this net: {len(missing)} missing"
            f" (first {missing[:3]}), {len(extra)} left over (first {extra[:3]})."
        )


def _fit(name: str, array: np.ndarray, axes: Axes, shape: tuple[int, ...]) -> jax.Array:
    """Transposes an array to ours and checks its shape."""
    if axes is not None and array.ndim == len(axes):
        array = array.transpose(axes)
    # Keras classifies by a 1x1 convolution, we by a matrix.
    if array.shape == (1, 1, *shape):
        array = array.reshape(shape)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape} in our order of axes, needed is {shape}.")
    return jnp.asarray(array, jnp.float32)


def _torch_axes(path: Path) -> Axes:
    if path[-1] != "kernel":
        return None
    return (1, 0) if path[-2] in ("fc", "logits") else (2, 3, 1, 0)


def _keras_axes(path: Path) -> Axes:
    return (0, 1, 3, 2) if path[-2:] == ("depthwise", "kernel") else None


def _torch_leaf(path: Path) -> str:
    batch_norm = {"scale": "weight", "mean": "running_mean", "var": "running_var"}
    return {"kernel": "weight", **batch_norm}.get(path[-1], path[-1])


def _torchvision_name(model: nn.Module, path: Path) -> str:
    return ".".join((*path[1:-1], _torch_leaf(path)))


def _timm_name(model: nn.Module, path: Path) -> str:
    """Returns timm's name: blocks are counted through, branches count their convolutions from 0."""
    block, *inner = path[1:-1]
    leaf = _torch_leaf(path)
    if block == "logits":
        return f"last_linear.{leaf}"
    if block == "stem":
        return ".".join((_timm_stem(inner[0]), inner[1], leaf))
    assert isinstance(model, InceptionV4)
    a, b, _ = model.repeats
    first = {"inception_a": 5, "reduction_a": 6 + a, "inception_b": 6 + a}
    first |= {"reduction_b": 7 + a + b, "inception_c": 7 + a + b}
    kind = block.rstrip("0123456789")
    number = first[kind] + int(block.removeprefix(kind) or 0)
    name, _, place = inner[0].partition("_")
    if place:
        place = f"{int(place[0]) - 1}{place[1:]}"
        name = f"{name}_{place}" if kind == "inception_c" else f"{name}.{place}"
    elif name == "branch3":
        name = "branch3.1"  # after the pooling
    return f"features.{number}.{name}.{inner[1]}.{leaf}"


def _timm_stem(name: str) -> str:
    if name.startswith("conv_"):
        return f"features.{int(name[-1]) - 1}"
    if name.startswith("mixed_4a"):
        _, _, side, place = name.split("_")
        return f"features.4.branch{side}.{int(place) - 1}"
    return {"mixed_3a": "features.3.conv", "mixed_5a": "features.5.conv"}[name]


def _keras_name(model: nn.Module, path: Path) -> str:
    block, *inner = path[1:-1]
    if block == "logits":
        return f"conv_preds/{path[-1]}"
    if block.startswith("block"):
        number = block.removeprefix("block")
        block = f"conv_{'dw' if inner.pop(0) == 'depthwise' else 'pw'}_{number}"
    if "bn" not in inner:
        return f"{block}/kernel"
    leaf = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}
    return f"{block}_bn/{leaf[path[-1]]}"


class _Library(NamedTuple):
    """How a library stores a net."""

    name: str
    rename: Callable[[nn.Module, Path], str]  # from our paths to its names
    axes: Callable[[Path], Axes]  # its axes in our order
    ignored: str  # a regular expression: names that are no weights


_LIBRARIES: dict[type[nn.Module], _Library] = {
    InceptionV3: _Library("torchvision", _torchvision_name, _torch_axes, r"num_batches_tracked$"),
    InceptionV4: _Library("timm", _timm_name, _torch_axes, r"num_batches_tracked$"),
    MobileNet: _Library("Keras", _keras_name, _keras_axes, r"^seed_generator"),
}
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
}
