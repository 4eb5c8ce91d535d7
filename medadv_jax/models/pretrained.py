"""Weights of other libraries: torchvision's Inception V3, timm's Inception V4, Keras' MobileNet.

Reads names and arrays, never pickles: a checkpoint cannot run code here. What is not `.npz` or
`.safetensors` is turned into a mapping where its library is at hand: `{name: value.numpy() for
name, value in model.state_dict().items()}` in PyTorch, `{w.path: np.asarray(w) for w in
model.weights}` in Keras.
"""

import json
import pathlib
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from medadv_jax.models.inception_v3 import InceptionV3
from medadv_jax.models.inception_v4 import InceptionV4
from medadv_jax.models.mobilenet import MobileNet
from medadv_jax.types import Variables

Path: TypeAlias = tuple[str, ...]
"""Where an array lies in a variable dictionary, such as ('params', 'conv1', 'conv', 'kernel')."""
Shape: TypeAlias = tuple[int, ...]


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
    rows = _rows(model)
    state = {name: array for name, array in state.items() if not _NO_WEIGHTS.search(name)}
    missing = sorted({row.name for row in rows} - set(state))
    extra = sorted(set(state) - {row.name for row in rows})
    if missing or extra:
        raise ValueError(
            f"These are not {_library(model).name}'s weights of this net: {len(missing)} missing"
            f" (first {missing[:3]}), {len(extra)} left over (first {extra[:3]})."
        )
    variables: dict[str, Any] = {}
    for row in rows:
        array = np.asarray(state[row.name])
        if array.shape != row.shape:
            raise ValueError(f"{row.name!r} has shape {array.shape}, needed is {row.shape}.")
        node = variables
        for entry in row.path[:-1]:
            node = node.setdefault(entry, {})
        values = array.transpose(row.axes).reshape(row.our_shape)
        node[row.path[-1]] = jnp.asarray(values, jnp.float32)
    return variables


def expected(model: nn.Module) -> dict[str, Shape]:
    """Returns the names and shapes that `convert` needs, as the other library stores them.

    >>> expected(MobileNet(num_classes=7))["conv_preds/kernel"]
    (1, 1, 1024, 7)
    """
    return {row.name: row.shape for row in _rows(model)}


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
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise ValueError(f"{path}: weights are read from .npz and .safetensors files only.")
    try:
        return readers[path.suffix](path)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the format of huggingface/safetensors: the header's length, the header, the bytes."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length:
        raise ValueError("the file ends within its header")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    body, arrays = content[8 + length :], {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{name!r} is {entry['dtype']}, known are {[*_DTYPES]}")
        if stop > len(body):
            raise ValueError(f"the file ends within {name!r}")
        values = np.frombuffer(body[start:stop], _DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return arrays


class _Row(NamedTuple):
    """One array in both libraries: ours is theirs with its axes reordered, then reshaped."""

    path: Path
    our_shape: Shape
    name: str
    shape: Shape
    axes: Shape


def _rows(model: nn.Module) -> list[_Row]:
    library = _library(model)
    image = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    leaves: dict[Path, Any] = traverse_util.flatten_dict(shapes)
    return [
        _Row(path, leaf.shape, library.rename(model, path), *library.layout(path, leaf.shape))
        for path, leaf in leaves.items()
    ]


def _library(model: nn.Module) -> "_Library":
    library = _LIBRARIES.get(type(model))
    if library is None:
        known = ", ".join(net.__name__ for net in _LIBRARIES)
        raise ValueError(f"Weights are converted for {known}, not for {type(model).__name__}.")
    return library


def _torch_layout(path: Path, shape: Shape) -> tuple[Shape, Shape]:
    """Returns the shape in PyTorch, outputs and inputs first, and the axes that make it ours."""
    if len(shape) == 4:
        rows, columns, inputs, outputs = shape
        return (outputs, inputs, rows, columns), (2, 3, 1, 0)
    return shape[::-1], tuple(range(len(shape)))[::-1]


def _keras_layout(path: Path, shape: Shape) -> tuple[Shape, Shape]:
    """Returns the shape in Keras and the axes that make it ours."""
    if path[-2:] == ("depthwise", "kernel"):
        rows, columns, _, channels = shape
        return (rows, columns, channels, 1), (0, 1, 3, 2)
    if path[-2:] == ("logits", "kernel"):  # there a 1x1 convolution
        return (1, 1, *shape), (0, 1, 2, 3)
    return shape, tuple(range(len(shape)))


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
    layout: Callable[[Path, Shape], tuple[Shape, Shape]]  # its shape, its axes in our order


_LIBRARIES: dict[type[nn.Module], _Library] = {
    InceptionV3: _Library("torchvision", _torchvision_name, _torch_layout),
    InceptionV4: _Library("timm", _timm_name, _torch_layout),
    MobileNet: _Library("Keras", _keras_name, _keras_layout),
}
# What the libraries store beside weights: PyTorch's counter of batches, Keras' state of dropout.
_NO_WEIGHTS = re.compile(r"num_batches_tracked$|^seed_generator")
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "I64": np.int64,
}
