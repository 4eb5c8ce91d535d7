"""An attack several times at once, of which the best result counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.attacks import checks, judge, norms, rows
from medadv_jax.attacks.pixels import withstanding
from medadv_jax.attacks.wrap import Wrapper
from medadv_jax.types import Attack, Result, attack, static


@attack
class Restarts(Wrapper):
    """Runs an attack from n random starts, as rows of one longer batch.

    Of the n results of an example the best is kept: one that fools by the attack's own rule, before
    one that does not; of these the one with the fewest standing pixels, or, if the attack looks for
    the smallest perturbation, the smallest in its norm; of equals the first. Copy 0 gets the keys
    as they are, so that `Restarts(attack=a, n=1)` is `a`, and copy i gets `fold_in(key, i)`. Steps,
    gradients and forwards are sums over the copies, and an example is flat if any copy was so.

    Other libraries restart one after another and from the second time attack only what still
    stands: fewer gradients, but n times the latency. That is `WorstCase(attacks=(a,) * n)` here,
    with the same success.

    Args:
      attack: A stepwise or a composite attack; where it draws nothing, all copies are equal.
      n: How many times each example is attacked.
    """

    attack: Attack
    n: int = static()

    @property
    def judged(self) -> bool:
        """True: every copy was judged."""
        return True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for less than one start, or for what the attack itself refuses."""
        checks.count("n", self.n)
        self.refuse_own_targets()
        super().check(shape, num_classes)

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
        """Runs all copies through the engine and keeps the best of each example."""
        count = len(images)
        index = np.tile(np.arange(count), self.n)
        own = jnp.concatenate([keys] + [rows.fold_in(keys, number) for number in range(1, self.n)])
        wanted = None if targets is None else targets[index]
        part = rows.take(self.attack, index)
        result = engine(part, own, predict, images[index], labels[index], wanted, mask=mask[index])
        if self.n == 1:
            return result
        standing = ~result.success
        if labels.ndim > 1:
            logits = judge.evaluate(predict, result.images)
            standing = withstanding(logits, labels[index], wanted)
            result = result._replace(forwards=result.forwards + (result.steps > 0))
        each = jax.tree.map(lambda leaf: leaf.reshape(self.n, count, *leaf.shape[1:]), result)
        best = self._best(each, standing.reshape(self.n, count), images)
        chosen = jax.tree.map(lambda leaf: leaf[best, np.arange(count)], each)
        return chosen._replace(
            steps=each.steps.sum(axis=0),
            gradients=each.gradients.sum(axis=0),
            forwards=each.forwards.sum(axis=0),
            flat=each.flat.any(axis=0),
        )

    def _best(self, each: Result, standing: Any, images: Any) -> Any:
        """Returns the number of the best copy of each example, `(b,)`."""
        size = jnp.zeros(standing.shape)
        if getattr(self.attack, "minimal", False):
            norm = getattr(self.attack, "norm", "l2")
            change = jax.vmap(jax.vmap(lambda change: norms.length(change, norm)))
            standing = jnp.where(each.success, 0, standing)
            size = jnp.where(each.success, change(each.images - images[None]), 0)
        return jnp.lexsort((size, standing, ~each.success), axis=0)[0]
