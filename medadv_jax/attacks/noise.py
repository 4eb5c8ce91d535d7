"""Random perturbations, the control group: what the model loses without an adversary.

They do not look at the model. A perturbed pixel is clipped to [0, 1].
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from medadv_jax.attacks import checks
from medadv_jax.types import Image, Label, PRNGKey, Scalar, attack


class NoiseState(NamedTuple):
    """The state of a perturbation that is done as soon as it begins."""

    image: Float[Array, "*space c"]
    done: Bool[Array, ""]
    flat: Bool[Array, ""]


class Noise:
    """What every noise does alike; one of them says how it perturbs an image."""

    noise = True
    size: str

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError unless eps lies in [0, 1], or sigma is a number of at least 0."""
        amount = getattr(self, self.size)
        if self.size == "eps":
            checks.radius(self.size, amount, "linf")
        else:
            checks.number(self.size, amount, 0)

    def perturb(self, key: PRNGKey, image: Image) -> Image:
        """Returns the noisy image, not yet clipped."""
        raise TypeError(f"{type(self).__name__} does not say how it perturbs an image.")

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns 0: all is done in `init`."""
        return 0

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> NoiseState:
        """Returns the perturbed image."""
        checks.untargeted(self, target)
        perturbed = jnp.clip(self.perturb(key, image), 0, 1)
        return NoiseState(perturbed, jnp.array(True), jnp.array(False))

    def step(self, predict: Any, state: NoiseState) -> NoiseState:
        """Returns the state as it is."""
        return state


@attack
class GaussianNoise(Noise):
    r"""Independent normal noise on every pixel, $x + \sigma n$ with $n \sim N(0, 1)$.

    Args:
      sigma: Standard deviation before clipping, in pixels of [0, 1].
    """

    sigma: Scalar
    size = "sigma"

    def perturb(self, key: PRNGKey, image: Image) -> Image:
        """Returns the noisy image, not yet clipped."""
        return image + self.sigma * jax.random.normal(key, image.shape)


@attack
class RicianNoise(Noise):
    r"""The noise of magnitude MR images, $\sqrt{(x + \sigma n_1)^2 + (\sigma n_2)^2}$.

    An MR image is the length of a complex signal whose two parts carry independent normal noise,
    $n_1, n_2 \sim N(0, 1)$. Where x is large it is nearly normal; where x is 0, as in air, it is a
    Rayleigh variable of mean $\sigma\sqrt{\pi / 2}$, so that black turns grey.

    Some published code takes the density of the Rice distribution at x for this noise; it is not.

    Args:
      sigma: Standard deviation of either part before clipping, in pixels of [0, 1].

    Source: Gudbjartsson, Patz, "The Rician distribution of noisy MRI data", 1995.
    """

    sigma: Scalar
    size = "sigma"

    def perturb(self, key: PRNGKey, image: Image) -> Image:
        """Returns the noisy image, not yet clipped."""
        real, imaginary = self.sigma * jax.random.normal(key, (2, *image.shape))
        return jnp.hypot(image + real, imaginary)


@attack
class UniformNoise(Noise):
    r"""Independent uniform noise on every pixel, $x + u$ with $u \sim U(-\epsilon, \epsilon)$.

    Args:
      eps: Half the width of the distribution, in pixels of [0, 1].
    """

    eps: Scalar
    size = "eps"

    def perturb(self, key: PRNGKey, image: Image) -> Image:
        """Returns the noisy image, not yet clipped."""
        return image + self.eps * jax.random.uniform(key, image.shape, minval=-1.0)


@attack
class SignNoise(Noise):
    r"""Every pixel moves by $+\epsilon$ or $-\epsilon$ at random: a corner of the ball.

    It is as large as what FGSM does, and so the fair control for it.

    Args:
      eps: Size of the change of every pixel, in pixels of [0, 1].
    """

    eps: Scalar
    size = "eps"

    def perturb(self, key: PRNGKey, image: Image) -> Image:
        """Returns the noisy image, not yet clipped."""
        return image + self.eps * jax.random.rademacher(key, image.shape, jnp.float32)
