"""EAD, the elastic-net attack: small in L2 and L1 together, so that few pixels change."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medadv_jax.attacks import checks
from medadv_jax.attacks.gradient import useless
from medadv_jax.attacks.minimised import Minimised, MinimisedState, Trial
from medadv_jax.attacks.objective import lead
from medadv_jax.types import Image, Scalar, attack, static


class Path(NamedTuple):
    """What FISTA carries from step to step.

    Attributes:
      kept: The iterate, inside [0, 1].
      ahead: The iterate moved on by its momentum, where the next gradient is taken.
    """

    kept: Float[Array, "*space c"]
    ahead: Float[Array, "*space c"]


@attack
class EAD(Minimised):
    r"""Minimises the elastic net of the change plus c times a hinge on the logits, by FISTA.

    $$\min_{x' \in [0,1]^n} \|x' - x\|_2^2 + \beta \|x' - x\|_1
      + c\,\max(0,\ \kappa - g(x'))$$
    with the lead g, the confidence $\kappa$ and the search over c of `CarliniWagner`. A step is
    $x_{i+1} = S_\beta(y_i - \alpha_i \nabla(y_i))$ with the gradient of all but the L1 term,
    $\alpha_i = \alpha \sqrt{1 - i / \mathrm{steps}}$ and
    $y_{i+1} = x_{i+1} + \frac{i}{i + 3} (x_{i+1} - x_i)$. $S_\beta$ brings changes of at most
    beta to zero, shortens others by beta and clips to the box, so that many pixels do not change at
    all. The points $y_i$ may lie outside the box; the images that are judged never do. Each step
    costs one gradient, at $y_i$, and one look at the model, at $x_{i+1}$. Misclassified images stay
    as they are, free of cost.

    Why libraries differ: the threshold is beta, not beta times the step, in the authors' code and
    here, so beta is by far more than the weight of the L1 term. Foolbox has beta 0.01, ten times
    the authors', and watches the progress of the whole batch, without the L1 term. The momentum is
    the paper's, as in Foolbox; in the authors' code it is one step ahead, (i + 1) / (i + 4).
    torchattacks goes on where the minimisation before has ended; here each begins anew.

    Args:
      c: The first weight of the hinge, in squared pixels of [0, 1] for one unit of a logit.
      beta: Weight of the L1 term, and the threshold in pixels of [0, 1].
      learning_rate: Of the first step of a minimisation; it falls to 0.
      confidence: By how much the wrong class, or the target, is to lead, in units of the logits.
      search_steps: Minimisations, each for its own c.
      steps: Most steps of each.
      rule: The least changed image is that with the least elastic net, "en", or L1 norm, "l1".
      fista: Whether steps have momentum; False is ISTA.
      abort_early: Whether a minimisation ends when its value has not fallen by 1 / 10,000 within a
        20th of the steps, or within 50. The authors check every tenth; on small nets that finds the
        same distances at twice the cost.

    Source: Chen et al., "EAD: elastic-net attacks to deep neural networks via adversarial
    examples", 2018.
    """

    c: Scalar = 1e-3
    beta: Scalar = 1e-3
    learning_rate: Scalar = 0.01
    confidence: Scalar = 0.0
    search_steps: int = static(default=9)
    steps: int = static(default=1000)
    rule: Literal["en", "l1"] = static(default="en")
    fista: bool = static(default=True)
    abort_early: bool = static(default=True)
    forwards = 1
    looks = 20

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        super().check(shape, num_classes)
        checks.number("beta", self.beta, 0)
        checks.number("learning_rate", self.learning_rate, 0, above=True)
        checks.choice("rule", self.rule, ("en", "l1"))

    def start(self, clean: Image) -> Path:
        """Returns the path before the first step."""
        return Path(clean, clean)

    def advance(self, predict: Any, state: MinimisedState) -> Trial:
        """Takes one gradient at the point ahead, and one look at the new iterate."""
        kept, ahead = state.path

        def loss(logits: Any) -> Any:
            short = self.confidence - lead(logits, state.label, state.target)
            return state.search.c * jnp.maximum(short, 0)

        def smooth(image: Image) -> Any:
            return jnp.sum((image - state.clean) ** 2) + loss(predict(image))

        value, slope = jax.value_and_grad(smooth)(ahead)
        flat = useless(slope) | ~jnp.isfinite(value)
        rate = self.learning_rate * jnp.sqrt(1 - state.number / self.steps)
        new = shrink(ahead - rate * slope, state.clean, self.beta)
        momentum = state.number / (state.number + 3) if self.fista else 0.0
        logits = predict(new)
        change = new - state.clean
        l1, l2 = jnp.sum(jnp.abs(change)), jnp.sum(change**2)
        net = l2 + self.beta * l1
        path = Path(new, new + momentum * (new - kept))
        return Trial(
            image=new,
            logits=logits,
            size=l1 if self.rule == "l1" else net,
            value=net + loss(logits),
            path=path,
            flat=flat,
            over=flat,
        )


def shrink(image: Image, clean: Image, beta: Scalar) -> Image:
    """Returns changes by at most beta to the clean pixel, shortens others by beta, clips to [0, 1].

    >>> image, clean = jnp.array([0.5, 0.4, 0.2, 0.9]), jnp.array([0.4, 0.35, 0.5, 0.0])
    >>> print(shrink(image, clean, 0.07))
    [0.43 0.35 0.27 0.83]
    """
    change = image - clean
    shorter = jnp.clip(image - beta * jnp.sign(change), 0, 1)
    return jnp.where(jnp.abs(change) > beta, shorter, clean)
