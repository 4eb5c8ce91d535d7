"""L-BFGS, the first attack of all: a small change with a low loss, inside the box."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from medadv_jax import losses
from medadv_jax.attacks import checks, lbfgs_memory
from medadv_jax.attacks.gradient import useless
from medadv_jax.attacks.lbfgs_memory import Memory
from medadv_jax.attacks.minimised import Minimised, MinimisedState, Trial
from medadv_jax.attacks.objective import lead
from medadv_jax.types import Image, Label, Scalar, attack, static

DECREASE = 1e-4
"""Least part of the decrease that the slope promises, for a step to be taken (Armijo)."""
TRIES = 20
"""Most times that a step is halved."""
CONVERGED = 1e-4
"""Part of the value that a step must have gained, and the next one promise, to go on."""
NEWTON = 0.5
"""Inverse second derivative of the squared size, the first guess of that of the whole."""


class Path(NamedTuple):
    """What L-BFGS carries from step to step.

    Attributes:
      point: The iterate.
      value: There, infinite before the first step.
      slope: There.
      direction: From there to the minimum of the quadratic model.
      length: Part of the direction that the next step tries.
      tries: How often that was halved.
      memory: The inverse Hessian.
    """

    point: Float[Array, "*space c"]
    value: Float[Array, ""]
    slope: Float[Array, "*space c"]
    direction: Float[Array, "*space c"]
    length: Float[Array, ""]
    tries: Int[Array, ""]
    memory: Memory


@attack
class LBFGS(Minimised):
    r"""Szegedy's attack: box-constrained L-BFGS on the size of the change plus c times a loss.

    $$\min_{x' \in [0,1]^n} \|x' - x\|_2^2 + c\,J(x')$$
    for the least c whose minimum fools: c grows by 10 until one does, then it is bisected. With a
    target t, as in the paper, $J = -\log p_t$, the cross-entropy. Without one,
    $J = \log(1 + \exp(z_y - \max_{i \ne y} z_i))$, that of the best other class before the label;
    for two classes the two are the same. It is low once the model is fooled and rewards nothing
    more. The negative loss of the label, which some take, is flat where the model is sure and grows
    for ever beyond the boundary, so that its minima overshoot; and $-\log(1 - p_y)$ aims between
    other classes that are equally near, up to 7 % farther in the median of small nets.

    A step is one gradient, at the image that the line search tries: the iterate moved along the
    direction and clipped. If the value is low enough there, it is the new iterate, else the next
    step tries half the length. Pixels at a wall against which the gradient presses are held fixed,
    which keeps every direction one of descent (projected quasi-Newton, Bertsekas 1982). A
    minimisation ends when a step gains, or the next one promises, less than 1 / 10,000.

    Szegedy et al. wrote $|x' - x|$ for the size and left open whether it is squared; CleverHans
    squares it. It calls SciPy's L-BFGS-B, as Foolbox 1 did, one image at a time; here all examples
    run at once, each in its own line search. The inverse Hessian magnifies rounding, so that an
    example alone and in a batch may differ by some 1e-6, and in a step or two. Misclassified images
    stay as they are, free of cost.

    Args:
      c: The first weight of the loss, in squared pixels of [0, 1].
      search_steps: Minimisations, each for its own c.
      steps: Most steps of each, one gradient a step; it ends by itself after 5 to 20.
      pairs: Steps that the inverse Hessian is made of; each needs the memory of two images.

    Source: Szegedy et al., "Intriguing properties of neural networks", 2014.
    """

    c: Scalar = 1e-3
    search_steps: int = static(default=9)
    steps: int = static(default=1000)
    pairs: int = static(default=10)

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        super().check(shape, num_classes)
        checks.count("pairs", self.pairs)

    def start(self, clean: Image) -> Path:
        """Returns the path before the first step, which looks at the clean image."""
        none = jnp.zeros_like(clean)
        return Path(
            point=clean,
            value=jnp.array(jnp.inf),
            slope=none,
            direction=none,
            length=jnp.array(1.0),
            tries=jnp.array(0),
            memory=lbfgs_memory.empty(clean, self.pairs, NEWTON),
        )

    def advance(self, predict: Any, state: MinimisedState) -> Trial:
        """Looks at the image that the line search tries, and takes it or halves the step."""
        path = state.path
        image = jnp.clip(path.point + path.length * path.direction, 0, 1)

        def objective(image: Image) -> Any:
            logits = predict(image)
            size = jnp.sum((image - state.clean) ** 2)
            return size + state.search.c * loss(logits, state.label, state.target), (logits, size)

        (value, (logits, size)), slope = jax.value_and_grad(objective, has_aux=True)(image)
        finite = jnp.isfinite(value) & jnp.isfinite(slope).all()
        promised = jnp.sum(path.slope * (image - path.point))
        taken = finite & (value <= path.value + DECREASE * promised)
        onward = _onward(path, image, value, slope)
        again = path._replace(length=path.length / 2, tries=path.tries + 1)
        hope = -jnp.sum(onward.slope * onward.direction)
        settled = jnp.minimum(hope, path.value - value) <= CONVERGED * value
        flat = ~finite | (jnp.isinf(path.value) & useless(slope))
        return Trial(
            image=image,
            logits=logits,
            size=size,
            value=value,
            path=jax.tree.map(lambda one, two: jnp.where(taken, one, two), onward, again),
            flat=flat,
            over=jnp.where(taken, settled, again.tries > TRIES) | (flat & jnp.isinf(path.value)),
        )


def _onward(path: Path, image: Image, value: Any, slope: Image) -> Path:
    """Returns the path with a new iterate and the direction of descent from there."""
    memory = lbfgs_memory.remember(path.memory, image - path.point, slope - path.slope)
    free = jnp.where(slope > 0, image > 0, image < 1)
    steep = jnp.where(free, slope, 0)
    direction = jnp.where(free, -lbfgs_memory.newton(memory, steep), 0)
    descends = jnp.sum(direction * steep) < 0  # always, but for rounding
    direction = jnp.where(descends, direction, -NEWTON * steep)
    return Path(image, value, slope, direction, jnp.array(1.0), jnp.array(0), memory)


def loss(logits: Float[Array, " k"], label: Label, target: Label | None) -> Float[Array, ""]:
    """Returns the cross-entropy of the target, or of the best other class before the label.

    >>> print(loss(jnp.array([0.0, 0.0, 0.0]), jnp.array(1), None).round(4))
    0.6931
    """
    if target is not None:
        return losses.cross_entropy(logits, target)
    return jax.nn.softplus(-lead(logits, label, None))
