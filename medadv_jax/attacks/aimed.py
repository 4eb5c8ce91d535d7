"""An attack led to each of the likeliest wrong classes in turn; any wrong class is a success."""

import dataclasses
from typing import Any

from medadv_jax.attacks import checks, judge
from medadv_jax.attacks.combine import WorstCase
from medadv_jax.attacks.rivals import likeliest_others
from medadv_jax.types import Result, attack, static


@attack
class Aimed:
    """Runs an attack towards each of the likeliest wrong classes, on the images that still stand.

    The classes are those with the highest logits on the clean image, the label left out, likeliest
    first; with k classes there are at most k - 1. They are aims, not targets: the loss leads to the
    class, any wrong class is a success. `Aimed(attack=a, classes=1)` is `a` with its `aim` at the
    runner-up. The first aim gets the keys as they are, aim i > 0 gets `fold_in(key, i)`.

    An image costs one forward pass to find the aims, and what the attack costs for each of them.

    Args:
      attack: An attack that has an `aim`, and stops where it fools: `APGD`, `FAB`.
      classes: Most aims; the original has 9 and fails where there are fewer than 10 classes.

    Source: the targeted attacks of Croce, Hein, ICML 2020 (see `AutoAttack`). Their code looks at
    the clean images again for every target.
    """

    attack: Any
    classes: int = static(default=9)
    size = None
    judged = True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for an attack without an aim, or for what the attack itself refuses."""
        checks.count("classes", self.classes)
        if not hasattr(self.attack, "aim"):
            raise ValueError(
                f"Aimed needs an attack with an aim, {type(self.attack).__name__} has none."
            )
        self.attack.check(shape, num_classes)

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
        """Runs the attack through the engine, once for each aim."""
        checks.untargeted(self, targets)
        checks.single_label(self, labels[0])
        logits = judge.evaluate(predict, images)
        aims = likeliest_others(logits, labels, self.classes)
        parts = [dataclasses.replace(self.attack, aim=aims[:, i]) for i in range(aims.shape[1])]
        every = WorstCase(attacks=tuple(parts))
        result = every.run(engine, keys, predict, images, labels, None, mask)
        return result._replace(forwards=result.forwards + (mask & ~result.misclassified))
