"""One perturbation for all images, applied; `fit_universal` fits one."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.noise import NoiseState
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack, static

ROUNDING = 1e-5
"""Part by which a perturbation may be larger than the ball that it is said to lie in."""


@attack
class UniversalPerturbation:
    r"""Adds the same perturbation to every image: $\mathrm{clip}_{[0,1]}(x + \mathrm{scale}\,v)$.

    It does not look at the model, costs nothing, and perturbs what is misclassified too. `success`
    is judged as that of any attack, with targets by the targets.

    A stack of perturbations is for an evaluation where each image meets one of several, drawn
    uniformly by the image's key: Liang and Hayes, "Deep adversarial robustness" (2017), add one of
    the six that Moosavi-Dezfooli et al. published. Those are in units of 0 to 255 and made for 224
    pixels; here a perturbation has the images' unit and shape, and is never resized. Dense labels
    and volumes are no special case.

    Args:
      delta: What is added, `(*space, c)` in pixels of [0, 1], or a stack of n, `(n, *space, c)`.
      scale: Factor of delta.
      eps: Radius of the ball that delta lies in, of which a report speaks; None if it is not known.
        It changes no image.
      norm: Of that ball.

    Source: Moosavi-Dezfooli, Fawzi, Fawzi, Frossard, "Universal adversarial perturbations", CVPR
    2017.
    """

    delta: Any
    scale: Scalar = 1.0
    eps: Scalar | None = None
    norm: Literal["linf", "l2"] = static(default="linf")
    size = "scale"

    @property
    def radius(self) -> Any:
        """Radius of the ball that the change lies in, None if it is not known."""
        return None if self.eps is None else self.scale * self.eps

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a perturbation of another shape, unit or size than it should be."""
        found = np.shape(self.delta)
        if found != shape and (len(found) < 2 or found[1:] != shape or not found[0]):
            raise ValueError(
                f"A universal perturbation has the shape of an image, {shape}, or is a stack "
                f"(n, {', '.join(map(str, shape))}) of them: got {found}. It is not resized."
            )
        checks.number("scale", self.scale, 0)
        checks.radius("eps", self.eps, self.norm)
        checks.choice("norm", self.norm, ("linf", "l2"))
        if isinstance(self.delta, Tracer):
            return
        delta = np.asarray(self.delta).reshape(-1, *shape)
        if not np.abs(delta).max() <= 1:  # written to refuse NaN too
            raise ValueError(
                f"delta is in the unit of the pixels, which lie in [0, 1]: got values up to "
                f"{np.abs(delta).max():g}; one made for images of 0 to 255 is divided by 255."
            )
        if self.eps is not None and not isinstance(self.eps, Tracer):
            largest = max(float(norms.length(one, self.norm)) for one in delta) / (1 + ROUNDING)
            checks.at_most(f"The {self.norm} norm of delta", largest, "eps", self.eps)

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns 0: all is done in `init`."""
        return 0

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> NoiseState:
        """Returns the perturbed image; the key draws the perturbation where there are several."""
        delta = jnp.asarray(self.delta, image.dtype)
        if delta.ndim > image.ndim:
            delta = delta[jax.random.randint(key, (), 0, len(delta))]
        perturbed = jnp.clip(image + self.scale * delta, 0, 1)
        return NoiseState(perturbed, jnp.array(True), jnp.array(False))

    def step(self, predict: Any, state: NoiseState) -> NoiseState:
        """Returns the state as it is."""
        return state
