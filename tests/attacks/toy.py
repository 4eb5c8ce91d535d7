"""Models so small that their boundaries are known, and images for them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass

TRACES = []
"""One entry for each time that a model was traced."""


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Linear:
    weights: jax.Array  # (n, k)
    bias: jax.Array  # (k,)

    def __call__(self, images):
        TRACES.append(images.shape)
        return images.reshape(len(images), -1) @ self.weights + self.bias[None]


def linear(seed, shape=(6, 6, 3), num_classes=3, scale=8.0):
    """A linear model; its logits span tens on images in [0, 1]."""
    size = int(np.prod(shape))
    weights = scale * jax.random.normal(jax.random.key(seed), (size, num_classes))
    return Linear(weights=weights, bias=-0.5 * weights.sum(axis=0))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class MLP:
    hidden: jax.Array
    output: jax.Array

    def __call__(self, images):
        TRACES.append(images.shape)
        return jnp.tanh((images.reshape(len(images), -1) - 0.5) @ self.hidden) @ self.output


def mlp(seed, shape=(4, 3, 3), num_classes=4, width=12):
    one, two = jax.random.split(jax.random.key(seed))
    hidden = 0.4 * jax.random.normal(one, (int(np.prod(shape)), width))
    return MLP(hidden=hidden, output=2 * jax.random.normal(two, (width, num_classes)))


@register_dataclass
@dataclasses.dataclass(frozen=True)
class ConvNet:
    first: jax.Array
    second: jax.Array
    output: jax.Array

    def __call__(self, images):
        x = images * 2 - 1
        for kernel in (self.first, self.second):
            x = jax.lax.conv_general_dilated(
                x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.softplus(2 * x)
        return x.reshape(len(x), -1) @ self.output


def conv_net(seed, num_classes=5):
    """A convolution net for images (8, 8, 3)."""
    one, two, three = jax.random.split(jax.random.key(seed), 3)
    return ConvNet(
        first=0.4 * jax.random.normal(one, (3, 3, 3, 8)),
        second=0.2 * jax.random.normal(two, (3, 3, 8, 8)),
        output=0.2 * jax.random.normal(three, (2 * 2 * 8, num_classes)),
    )


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Pixelwise:
    """A model of dense labels: each pixel is classified by its own channels."""

    weights: jax.Array  # (c, k)

    def __call__(self, images):
        return (images - 0.5) @ self.weights


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Segmenter:
    """A model of dense labels: each pixel is classified by the 3 x 3 pixels around it."""

    hidden: jax.Array  # (9 c, width)
    output: jax.Array  # (width, k)
    bias: jax.Array  # (1, 1, 1, k)

    def __call__(self, images):
        TRACES.append(images.shape)
        return jnp.tanh(neighbours(images - 0.5) @ self.hidden) @ self.output + self.bias


@register_dataclass
@dataclasses.dataclass(frozen=True)
class LinearSegmenter:
    """A linear model of dense labels: each pixel by the 3 x 3 pixels around it."""

    weights: jax.Array  # (9 c, k)

    def __call__(self, images):
        return neighbours(images - 0.5) @ self.weights


def segmenter(seed, channels=1, num_classes=4, width=8):
    """A segmenter; where its output is zero, its bias makes all pixels class 1."""
    one, two = jax.random.split(jax.random.key(seed))
    return Segmenter(
        hidden=jax.random.normal(one, (9 * channels, width)),
        output=2 * jax.random.normal(two, (width, num_classes)),
        bias=0.1 * (jnp.arange(num_classes) == 1)[None, None, None],
    )


def neighbours(images):
    """The 3 x 3 pixels around each pixel (b, h, w, 9 c), zero beyond the border."""
    _, h, w, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)


def images(seed, count, shape, low=0.3, high=0.7):
    return jax.random.uniform(jax.random.key(seed), (count, *shape), minval=low, maxval=high)


def predictions(predict, images):
    return jnp.argmax(predict(images), axis=-1).astype(jnp.int32)


def distances(model, images, labels, norm):
    """Exact distances of the boundaries to all other classes (b, k), infinite for the label."""
    logits = np.asarray(model(images), np.float64)
    weights = np.asarray(model.weights, np.float64)
    rows = np.arange(len(labels))
    gaps = logits[rows, labels][:, None] - logits
    slopes = weights.T[None] - weights.T[np.asarray(labels)][:, None]  # (b, k, n)
    dual = np.abs(slopes).sum(-1) if norm == "linf" else np.sqrt((slopes**2).sum(-1))
    gaps[rows, labels], dual[rows, labels] = np.inf, 1.0
    return gaps / dual


def size_of(change, norm):
    flat = np.asarray(change, np.float64).reshape(len(change), -1)
    if norm == "linf":
        return np.abs(flat).max(1)
    return np.sqrt((flat**2).sum(1)) if norm == "l2" else np.abs(flat).sum(1)


@jax.tree_util.Partial
def tent(images):
    """Three classes by the mean: class 1 leads from .5325 to .5405, and from .557 on all is flat.

    At its foot the tent rises slowly, so that from there its top seems farther than it is.
    """
    mean = images.mean((1, 2, 3)) - 0.5
    rise = jnp.where(mean < 0.01, mean - 0.1, 4 * mean - 0.13)
    own = jnp.maximum(jnp.where(mean < 0.04, rise, 2.43 - 60 * mean), -1)
    return jnp.stack([jnp.zeros_like(own), own, jnp.full_like(own, -3)], -1)


def fitted(attack, shape):
    """An attack, its universal perturbation repeated or cut to the shape of an image."""
    if not hasattr(attack, "delta"):
        return attack
    return dataclasses.replace(attack, delta=np.resize(attack.delta, shape))
