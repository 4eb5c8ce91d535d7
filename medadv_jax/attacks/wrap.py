"""What attacks have in common that stand around one other attack: `Region`, `EOT`, `Transfer`."""

from collections.abc import Callable
from typing import Any

from medadv_jax.types import Attack, CompositeAttack, Result

ANSWERS = ("fooled", "judge", "noise", "minimal", "norm")
"""What a wrapper answers as the attack inside it does; where that has no answer, nor has this."""


class Wrapper:
    """A composite attack around one other, for which it answers.

    The rule of success, if the attack has one of its own, stays that of the attack.
    """

    attack: Attack
    size = None

    def __getattr__(self, name: str) -> Any:
        """Answers as the attack does, by its own rule of success, or that it is noise."""
        if name not in ANSWERS or "attack" not in vars(self):
            raise AttributeError(name)
        return getattr(self.attack, name)

    @property
    def judged(self) -> bool:
        """Whether the engine has judged the result: not that of an attack that leaves it to it."""
        composite = isinstance(self.attack, CompositeAttack)
        return getattr(self.attack, "judged", False) if composite else True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for what the attack itself refuses."""
        self.attack.check(shape, num_classes)

    def refuse_own_targets(self) -> None:
        """Raises ValueError where the attack judges by targets that only it knows."""
        if hasattr(self.attack, "judge"):
            name, own = type(self.attack).__name__, type(self).__name__
            raise ValueError(f"{name} makes its own targets: write {name}(attack={own}(...)).")


class Disguise:
    """A stepwise attack that is another one in all that it does not say itself."""

    attack: Any

    def __getattr__(self, name: str) -> Any:
        """Answers as the attack does: by its own rule of success, its `minimal`, its `every`."""
        if name.startswith("__") or "attack" not in vars(self):
            raise AttributeError(name)
        return getattr(self.attack, name)


def run_inside(
    attack: Any,
    disguise: Callable[[Any, Any, Any], Any],
    engine: Callable[..., Result],
    keys: Any,
    predict: Any,
    images: Any,
    labels: Any,
    targets: Any,
    *,
    mask: Any,
) -> Result:
    """Runs an attack of which the engine meets every part in a form of its own.

    Args:
      attack: A stepwise or a composite attack.
      disguise: From a part, its keys `(n,)` and its images `(n, *space, c)` to the attack that the
        engine gets. A composite attack may ask for longer batches: whole copies of the first one.
      engine: As the rest, see `CompositeAttack.run`.
      keys: One for each example.
      predict: The Predict.
      images: The batch.
      labels: Its labels.
      targets: Its targets, or None.
      mask: Which examples count.
    """

    def within(part: Any, keys: Any, predict: Any, images: Any, *rest: Any, mask: Any) -> Result:
        return engine(disguise(part, keys, images), keys, predict, images, *rest, mask=mask)

    if isinstance(attack, CompositeAttack):
        return attack.run(within, keys, predict, images, labels, targets, mask)
    return within(attack, keys, predict, images, labels, targets, mask=mask)
