"""What the attacks that climb a weighted loss of a segmenter's pixels have in common."""

from medadv_jax.attacks.gradient import Ascent, Norm
from medadv_jax.types import Scalar, attack, static


@attack
class DenseAscent(Ascent):
    """Projected gradient descent on segmenters; an attack says how it weighs the pixels.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      step_size: Length of a step in the same norm; None for eps / 3, the papers' .01 at their .03.
      steps: Number of steps, one gradient each.
      norm: Of the ball.
      random_start: Whether to start at a random point of the ball instead of the clean image.
      until_fooled: Stop at the first image that fools: no pixel right, or nearly all at the target.
    """

    eps: Scalar = 0.03
    step_size: Scalar | None = None
    steps: int = static(default=20)
    norm: Norm = static(default="linf")
    random_start: bool = static(default=True)
    until_fooled: bool = static(default=False)
    size = "eps"
    divisor = 3
