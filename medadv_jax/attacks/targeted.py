"""An attack that is given targets made from the labels."""

from typing import Any, Literal

import jax

from medadv_jax.attacks import checks, judge
from medadv_jax.attacks.dag_target import dag_target
from medadv_jax.types import Attack, Result, attack, static


@attack
class Targeted:
    """Makes the target of every image from its label map, and runs an attack towards it.

    `Targeted(attack=a, kind="b")` is `a` given the targets `dag_target(key, label, "b", k)`: it is
    the form that an evaluation takes, which knows labels and no targets. Success is judged by the
    targets, also of models that only meet the images. The attack gets the keys as they are, the
    target of an image its `fold_in(key, 1)`.

    Args:
      attack: A dense attack that takes targets.
      kind: "a" all background, "b" two structures swapped, "c" one structure grown.
      iterations: Dilations of "c".
    """

    attack: Attack
    kind: Literal["a", "b", "c"] = static()
    iterations: int = static(default=6)
    size = None
    judged = True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for an unknown kind, or for what the attack itself refuses."""
        checks.choice("kind", self.kind, ("a", "b", "c"))
        checks.count("iterations", self.iterations)
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
        """Runs the attack through the engine, towards the targets."""
        if targets is not None:
            raise ValueError("Targeted makes its targets itself: it takes none.")
        num_classes = jax.eval_shape(judge.evaluate, predict, images).shape[-1]
        targets = self._targets(keys, labels, num_classes)
        return engine(self.attack, keys, predict, images, labels, targets, mask=mask)

    def judge(self, keys: Any, logits: Any, labels: Any) -> Any:
        """Whether a model meets the targets, `(b,)`: for one that the attack did not see."""
        rule = self.attack if hasattr(self.attack, "fooled") else None
        targets = self._targets(keys, labels, logits.shape[-1])
        return judge.verdict(rule, logits, labels, targets)

    def _targets(self, keys: Any, labels: Any, num_classes: int) -> Any:
        def aim(key: Any, label: Any) -> Any:
            own = jax.random.fold_in(key, 1)
            return dag_target(own, label, self.kind, num_classes, iterations=self.iterations)

        return jax.vmap(aim)(keys, labels)
