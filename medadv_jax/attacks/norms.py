"""Steps, projections and random starts in the L-infinity, L2 and L1 norms, for one image.

A radius or a length may be 0 and may be traced; every division has a floor, so that nothing is NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
from optax import projections

from medadv_jax.types import Image, PRNGKey

IDLE = 1e-6
"""A step that moves no pixel by more leads nowhere: it is the rounding of a projection."""
TINY = 1e-12
"""Floor of a norm that is divided by; the smallest pixel change is far above it."""


def length(vector: Any, norm: str) -> Any:
    """Returns the norm of an array as if it were flat."""
    if norm == "linf":
        return jnp.max(jnp.abs(vector))
    return jnp.sqrt(jnp.sum(vector**2)) if norm == "l2" else jnp.sum(jnp.abs(vector))


def rescaled(gradient: Any) -> Any:
    """Returns a gradient whose largest entry is 1, or zero.

    A saturated loss has gradients whose squares would all be rounded to zero.
    """
    return gradient / jnp.maximum(length(gradient, "linf"), jnp.finfo(jnp.float32).tiny)


def ascend(image: Image, gradient: Any, size: Any, norm: str) -> Image:
    r"""Moves an image by the step of a given length that increases a linear function the most.

    Linf: $\alpha\,\mathrm{sign}(g)$. L2: $\alpha\,g / \|g\|_2$. L1: the pixel with the largest
    $|g_i|$ moves by $\alpha$; where it meets the end of [0, 1], the next pixel takes the rest. (A
    step along $g / \|g\|_1$, as some libraries take it, is no steepest ascent in L1.) For Linf and
    L2 the result may lie outside [0, 1].
    """
    if norm == "linf":
        return image + size * jnp.sign(gradient)
    if norm == "l2":
        gradient = rescaled(gradient)
        return image + size * gradient / jnp.maximum(length(gradient, "l2"), TINY)
    slope = gradient.ravel()
    room = jnp.where(slope > 0, 1 - image.ravel(), image.ravel())
    room = jnp.where(slope == 0, 0, room)
    order = jnp.argsort(-jnp.abs(slope))
    spent = jnp.cumsum(room[order]) - room[order]
    moves = jnp.zeros_like(slope).at[order].set(jnp.clip(size - spent, 0, room[order]))
    return image + (moves * jnp.sign(slope)).reshape(image.shape)


def project(image: Image, clean: Image, eps: Any, norm: str) -> Image:
    """Projects an image onto the ball around the clean one, then onto [0, 1], which stays in it."""
    if norm == "linf":
        return jnp.clip(jnp.clip(image, clean - eps, clean + eps), 0, 1)
    onto = projections.projection_l2_ball if norm == "l2" else projections.projection_l1_ball
    change = onto(image - clean, jnp.maximum(eps, TINY))
    return jnp.clip(clean + jnp.where(eps > 0, change, 0), 0, 1)


def random_in_ball(key: PRNGKey, image: Image, eps: Any, norm: str) -> Image:
    """Returns an image drawn uniformly from the ball around one, then clipped to [0, 1]."""
    if norm == "linf":
        change = jax.random.uniform(key, image.shape, minval=-1.0)
    elif norm == "l2":
        # uniform on the sphere by symmetry, and a radius whose d-th power is uniform
        direction_key, radius_key = jax.random.split(key)
        direction = jax.random.normal(direction_key, image.shape)
        radius = jax.random.uniform(radius_key) ** (1 / image.size)
        change = radius * direction / jnp.maximum(length(direction, "l2"), TINY)
    else:
        # d of d + 1 exponential gaps over their sum are uniform on a simplex; the signs are free
        direction_key, rest_key = jax.random.split(key)
        direction = jax.random.laplace(direction_key, image.shape)
        change = direction / (length(direction, "l1") + jax.random.exponential(rest_key))
    return jnp.clip(image + eps * change, 0, 1)


def random_at_border(key: PRNGKey, image: Image, radius: Any, norm: str) -> Image:
    """Returns a random image on the border of the ball around one, then clipped to [0, 1]."""
    if norm == "linf":
        direction = jax.random.uniform(key, image.shape, minval=-1.0)
    else:
        direction = jax.random.normal(key, image.shape)
    direction = direction / jnp.maximum(length(direction, norm), TINY)
    return jnp.clip(image + radius * direction, 0, 1)
