"""A model seen as a function of one perturbation that all images of a batch share."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float

CENTER = 0.5
"""The pixel that stands for no change: an attack keeps its image in [0, 1]."""


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Shared:
    """A Predict of a perturbation: what the model says of every image that it is added to.

    The perturbation v is handed over as the image 1/2 + v, so that any attack can move it; v stays
    in [-1/2, 1/2]. The logits of all g images are those of one "image", as if they were its
    pixels, so that a loss is the mean over the images and a label of -1 leaves an image out. Of a
    single image they are what the model gives, so that attacks on classifiers work too.

    Where a perturbed image leaves [0, 1] it is clipped, and has no gradient: v is not changed by
    what this image cannot show. A pixel that lies on the border has its gradient, for v may lead
    it inside.

    Attributes:
      predict: The model.
      images: What the perturbation is added to, `(g, *space, c)`.
    """

    predict: Any
    images: Any

    def __call__(self, shifted: Float[Array, "n *space c"], /) -> Float[Array, "n *rest k"]:
        """Returns logits `(n, g, *dense, k)` of n perturbations, `(n, *dense, k)` if g is 1."""
        moved = self.images[None] + (shifted - CENTER)[:, None]
        inside = (moved >= 0) & (moved <= 1)
        seen = jnp.where(inside, moved, jax.lax.stop_gradient(jnp.clip(moved, 0, 1)))
        logits = self.predict(seen.reshape(-1, *self.images.shape[1:]))
        groups = (len(shifted),) if len(self.images) == 1 else (len(shifted), len(self.images))
        return logits.reshape(*groups, *logits.shape[1:])


def as_label(labels: Any) -> Any:
    """Returns labels `(g, *dense)` of the images as the one label of a perturbation."""
    return labels if len(labels) == 1 else labels[None]


def shifted(delta: Any) -> Any:
    """Returns a perturbation as the image that stands for it."""
    return CENTER + delta
