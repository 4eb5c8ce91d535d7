"""Attacks made of attacks."""

from typing import Any

import jax.numpy as jnp

from medadv_jax.attacks import checks, rows
from medadv_jax.types import Attack, Result, attack


@attack
class WorstCase:
    """Runs attacks one after another, each only on the examples that still stand.

    An example counts as broken if any of the attacks breaks it, and its image is that of the first
    that does; where none does, it is that of the first attack. Each attack is judged by its own
    rule of success: what DAG calls broken is broken. What is misclassified anyway, by the rule of
    the first attack, meets that one only. `WorstCase(attacks=(a,))` is `a`: the first attack gets
    the keys as they are, attack i > 0 gets `fold_in(key, i)`. Steps, gradients and forwards are
    sums, and an example is flat if it was so in any attack that it met.

    Args:
      attacks: The attacks, cheapest first.
    """

    attacks: tuple[Attack, ...]
    size = None
    judged = True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError if there is no attack, or for what the attacks themselves refuse."""
        if not self.attacks:
            raise ValueError("WorstCase needs at least one attack, got none.")
        for part in self.attacks:
            part.check(shape, num_classes)

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
        """Runs the attacks through the engine and keeps the first success of every example."""
        first, *others = self.attacks
        best = engine(first, keys, predict, images, labels, targets, mask=mask)
        for number, part in enumerate(others, start=1):
            own = rows.fold_in(keys, number)
            standing = mask & ~best.success & ~best.misclassified
            if not checks.is_traced(standing) and not standing.any():
                break
            result = engine(part, own, predict, images, labels, targets, mask=standing)
            new = jnp.expand_dims(result.success, tuple(range(1, images.ndim)))
            best = Result(
                images=jnp.where(new, result.images, best.images),
                success=best.success | result.success,
                steps=best.steps + result.steps,
                gradients=best.gradients + result.gradients,
                forwards=best.forwards + result.forwards,
                flat=best.flat | result.flat,
                misclassified=best.misclassified,
            )
        return best
