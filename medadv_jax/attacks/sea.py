"""SEA, the segmentation ensemble attack: three losses, and of each image the worst of them."""

from typing import Any, Literal

import jax.numpy as jnp

from medadv_jax.attacks import checks, judge, rows
from medadv_jax.attacks.apgd import APGD
from medadv_jax.attacks.apgd_plan import Stages
from medadv_jax.attacks.pixels import withstanding
from medadv_jax.attacks.sea_losses import (
    BalancedMaskedCrossEntropy,
    jensen_shannon,
    masked_cross_entropy,
)
from medadv_jax.types import Result, Scalar, attack, static

STAGES: Stages = ((0.3, 2.0), (0.3, 1.5), (0.4, 1.0))
"""Share of the steps and radius in units of eps: what was found in a larger ball opens the next."""


@attack
class SEA:
    r"""Segmentation ensemble attack: APGD with three losses, image-wise the worst case.

    The losses are the masked cross-entropy with balanced classes, the masked cross-entropy and the
    Jensen-Shannon divergence; progress is measured by the plain cross-entropy. Each APGD has three
    stages with radius 2 eps, 1.5 eps and eps for 30, 30 and 40 % of its steps. Of the three images
    the one with the fewest right pixels is returned, of several the first: pixel accuracy is what
    is minimised (the worst case in Dice over a data set may be another). An image without a right
    pixel is done, and meets no further loss.

    A loss costs at most `steps + 3` gradients and one forward pass, by which it is judged.

    It needs its steps: only 40 % of them are taken in the ball itself. On a small trained segmenter
    100 steps left 47 % of the pixels right where SegPGD of 300, as many gradients, left 54 %; 20
    steps left 64 %, SegPGD of 20 63 %. At a larger radius CosPGD was ahead of both, so that SEA is
    no replacement for running the others too.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      steps: Of each of the three.
      norm: Of the ball; the authors have "linf".
      class_weights: A tuple with a weight for each class, for the balanced loss; None weighs the
        structures of each image alike, see `BalancedMaskedCrossEntropy`.

    Source: Croce, Singh, Hein, "Towards reliable evaluation and fast training of robust semantic
    segmentation models", ECCV 2024, arXiv 2306.12941.
    """

    eps: Scalar
    steps: int = static(default=300)
    norm: Literal["linf", "l2"] = static(default="linf")
    class_weights: tuple[float, ...] | None = static(default=None)
    size = "eps"

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise ValueError(
                f"class_weights has one weight for each of {num_classes} classes, "
                f"got {len(self.class_weights)}."
            )
        checks.number("class_weights", self.class_weights, 0)
        for part in self.parts():
            part.check(shape, num_classes)

    def parts(self) -> list[APGD]:
        """Returns the three attacks, in the order in which they run."""
        balanced = BalancedMaskedCrossEntropy(self.class_weights)
        return [
            APGD(
                eps=self.eps,
                steps=self.steps,
                norm=self.norm,
                loss=loss,
                track="ce",
                until_fooled=True,
                stages=STAGES,
            )
            for loss in (balanced, masked_cross_entropy, jensen_shannon)
        ]

    def run(
        self,
        engine: Any,
        keys: Any,
        predict: Any,
        images: Any,
        labels: Any,
        targets: Any,
        mask: Any,
    ) -> Result:
        """Runs the parts through the engine and keeps the image with the fewest right pixels."""
        checks.untargeted(self, targets)
        checks.dense_label(self, labels[0])
        first, *others = self.parts()
        best, fewest = _judged(engine, first, keys, predict, images, labels, mask)
        for number, part in enumerate(others, start=1):
            own = rows.fold_in(keys, number)
            standing = mask & (fewest > 0)
            new = _judged(engine, part, own, predict, images, labels, standing)
            best, fewest = _worse(best, fewest, *new)
        return best


def sea(eps: Scalar, **options: Any) -> SEA:
    """Returns the segmentation ensemble attack with a radius; options are the fields of `SEA`.

    >>> sea(0.03, steps=100).steps
    100
    """
    return SEA(eps=eps, **options)


def _judged(
    engine: Any, part: APGD, keys: Any, predict: Any, images: Any, labels: Any, mask: Any
) -> tuple[Result, Any]:
    """Runs a part; returns its result, and of its images how many pixels are still right."""
    result = engine(part, keys, predict, images, labels, mask=mask)
    count = withstanding(judge.evaluate(predict, result.images), labels)
    met = mask & ~result.misclassified
    return result._replace(forwards=result.forwards + met), count


def _worse(best: Result, fewest: Any, new: Result, count: Any) -> tuple[Result, Any]:
    """Returns for each image the result with fewer right pixels, costs added up, and the count."""
    wins = count < fewest
    pick = lambda one, other: jnp.where(
        jnp.expand_dims(wins, tuple(range(1, one.ndim))), one, other
    )
    result = best._replace(
        images=pick(new.images, best.images),
        steps=best.steps + new.steps,
        gradients=best.gradients + new.gradients,
        forwards=best.forwards + new.forwards,
        flat=best.flat | new.flat,
    )
    return result, jnp.minimum(count, fewest)
