"""Backward pass differentiable approximation: a model behind a step that has no useful gradient."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float


def identity(image: Any) -> Any:
    """Returns the image: the gradient goes straight through."""
    return image


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _shown(forward: Any, backward: Any, image: Any) -> Any:
    return forward(image)


def _shown_forward(forward: Any, backward: Any, image: Any) -> tuple[Any, Any]:
    return forward(image), image


def _shown_backward(forward: Any, backward: Any, image: Any, cotangent: Any) -> tuple[Any]:
    _, pull = jax.vjp(backward, image)
    return pull(cotangent)


_shown.defvjp(_shown_forward, _shown_backward)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class BPDA:
    r"""A model behind a preprocessing step, with the gradient of another step in its place.

    $$f(g(x)), \qquad \nabla_x \text{ by } h: \quad
      \left(\frac{\partial h}{\partial x}\right)^{\!\top} \nabla_z f(z) \big|_{z = g(x)}$$

    Quantisation, median filters, JPEG and other cleaning of images have a gradient of zero or none
    at all: every gradient attack ends as `flat`, and the defence looks strong. With a smooth h near
    g, often the identity, the attack goes through. The logits are exactly those of f behind g, so
    that `attacks.run` judges the defended model. It is a Predict: a pytree whose leaves are the
    weights of the model.

    ART writes an `estimate_gradient` for each of its defences; here any function will do.

    Args:
      predict: The model behind the step, a Predict.
      forward: g, from one image to one image; jax never differentiates it. With `jax.pure_callback`
        it may be any code.
      backward: h, likewise, whose gradient is taken; its result has the shape of that of g. Both
        are structure: a new function is a new program.

    Source: Athalye, Carlini, Wagner, "Obfuscated gradients give a false sense of security", 2018.

    >>> import jax.numpy as jnp
    >>> halves = lambda image: jnp.round(2 * image) / 2
    >>> total = BPDA(lambda images: images.sum((1, 2, 3))[:, None], halves)
    >>> image = jnp.full((1, 1, 1, 1), 0.7)
    >>> print(total(image), jax.grad(lambda image: total(image).sum())(image).ravel())
    [[0.5]] [1.]
    """

    predict: Any
    forward: Callable[[Any], Any] = dataclasses.field(metadata=dict(static=True))
    backward: Callable[[Any], Any] = dataclasses.field(default=identity, metadata=dict(static=True))

    def __call__(self, images: Float[Array, "b *space c"], /) -> Float[Array, "b *dense k"]:
        """Returns the logits of a batch of images, each behind the step."""
        one = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
        shape, own = (jax.eval_shape(step, one).shape for step in (self.forward, self.backward))
        if own != shape:
            raise ValueError(f"backward returns the shape of forward, {shape}: got {own}.")
        shown = jax.vmap(lambda image: _shown(self.forward, self.backward, image))
        return self.predict(shown(images))
