"""Classifiers and segmenters in Flax Linen; `bind` makes a `Predict` of any of them."""

import math
from typing import Any

import flax.linen as nn
import jax.core
import jax.numpy as jnp

from medadv_jax.models.bind import (
    Bound as Bound,
    Statistic as Statistic,
    apply as apply,
    bind as bind,
    normalise as normalise,
)
from medadv_jax.models.fc_densenet import FCDenseNet as FCDenseNet
from medadv_jax.models.inception_v3 import InceptionV3 as InceptionV3
from medadv_jax.models.inception_v4 import InceptionV4 as InceptionV4
from medadv_jax.models.layers import on_cpu
from medadv_jax.models.mobilenet import MobileNet as MobileNet
from medadv_jax.models.segnet import SegNet as SegNet
from medadv_jax.models.tiles import Tiled as Tiled, tiled as tiled
from medadv_jax.models.unet import UNet as UNet
from medadv_jax.types import PRNGKey, Variables

_MODELS: dict[str, type[nn.Module]] = {
    "inception_v3": InceptionV3,
    "inception_v4": InceptionV4,
    "mobilenet": MobileNet,
    "unet": UNet,
    "segnet": SegNet,
    "fc_densenet": FCDenseNet,
}


def names() -> tuple[str, ...]:
    """Returns the names that `create` knows."""
    return tuple(_MODELS)


def create(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Returns the module of a net, by default the paper's at full size.

    Args:
      name: One of `names()`.
      num_classes: Number of classes, at least 2 (of a pixel: the background included).
      **options: Fields of the net's class, such as `width`.

    Returns:
      A Linen module.

    Raises:
      ValueError: An unknown name or option, or too few classes.

    >>> create("mobilenet", 7, width=0.5).width
    0.5
    """
    if name not in _MODELS:
        raise ValueError(f"Unknown model {name!r}; known are {', '.join(names())}.")
    if num_classes < 2:
        raise ValueError(f"A model needs at least 2 classes, got num_classes={num_classes}.")
    net = _MODELS[name]
    known = sorted(set(net.__dataclass_fields__) - {"parent", "name", "num_classes"})
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}; it has {', '.join(known)}.")
    return net(num_classes=num_classes, **options)


def init(key: PRNGKey, model: nn.Module, image_shape: tuple[int, ...]) -> Variables:
    """Draws the first weights of a model.

    Args:
      key: Random key.
      model: A Linen module.
      image_shape: Shape of one image, `(h, w, c)` or `(d, h, w, c)`.

    Returns:
      Its variables, `params` and `batch_stats`.
    """
    # Weights are drawn once: optimising that program costs far more time than it saves. Under a
    # trace (`jax.eval_shape`) jax refuses the options; they are those of the compiler for CPU.
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    plain = isinstance(key, jax.core.Tracer) or not on_cpu()
    draw = jax.jit(model.init, compiler_options=None if plain else options)
    return dict(draw(key, jnp.zeros((1, *image_shape))))


def count(variables: Any) -> int:
    """Returns the number of trainable parameters; arrays and their shapes (`jax.eval_shape`) alike.

    >>> count({"params": {"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(4)}})
    16
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
