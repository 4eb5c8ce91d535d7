"""AutoAttack: four attacks without a parameter to tune, and of each image the first that fools."""

from typing import Any, Literal

from medadv_jax.attacks import checks
from medadv_jax.attacks.aimed import Aimed
from medadv_jax.attacks.apgd import APGD
from medadv_jax.attacks.combine import WorstCase
from medadv_jax.attacks.fab import FAB
from medadv_jax.attacks.square import Square
from medadv_jax.types import Attack, Result, Scalar, attack, static


@attack
class AutoAttack:
    r"""The standard estimate of robust accuracy: APGD-CE, APGD-T, FAB-T and Square in turn.

    | part | what | per image at most |
    |---|---|---|
    | APGD-CE | cross-entropy | 101 gradients |
    | APGD-T | targeted DLR towards min(9, k - 1) classes | 101 gradients each, 1 forward |
    | FAB-T | towards min(9, k - 1) classes, only inside eps | 100 gradients, 100 forwards each |
    | Square | margin, no gradient | 5001 forwards |

    Each part meets only the images that withstood those before, and stops where it fools. It works
    from 2 classes up: where the targeted DLR lacks its scale, for 2 or 3 classes, APGD-T climbs the
    plain margin of its aim instead (see `dlr`; `Result.notes` says so), and there are at most k - 1
    aims.

    The robust accuracy is that of the authors' standard version. Theirs goes on to the end of every
    part where an image has fooled already, and looks at it again between the steps, so that it
    needs more gradients; with fewer than 10 classes it stops at an index error. The version "plus"
    is theirs with 5 starts of APGD-CE, APGD-DLR and FAB besides. Their version "rand" is for models
    that are random, which a Predict is not.

    torchattacks' port gave 1.92 % where the original gave 2.52 %; ART's has DeepFool in place of
    FAB.

    Args:
      eps: Radius of the ball, in pixels of [0, 1].
      norm: Of the ball, "linf" or "l2".
      version: "standard" or "plus".
      steps: Of APGD and FAB.
      queries: Squares of Square.
      classes: Most aims of APGD-T and FAB-T.

    Source: Croce, Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", ICML 2020.
    """

    eps: Scalar
    norm: Literal["linf", "l2"] = static(default="linf")
    version: Literal["standard", "plus"] = static(default="standard")
    steps: int = static(default=100)
    queries: int = static(default=5000)
    classes: int = static(default=9)
    size = "eps"
    judged = True

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter outside its range."""
        checks.choice("version", self.version, ("standard", "plus"))
        for part in self.parts():
            part.check(shape, num_classes)

    def parts(self) -> tuple[Attack, ...]:
        """Returns the attacks in the order in which they run."""
        ball: dict[str, Any] = dict(eps=self.eps, norm=self.norm)
        square = Square(**ball, steps=self.queries)
        ball["steps"] = self.steps
        ce = APGD(**ball, until_fooled=True)
        dlr = APGD(**ball, until_fooled=True, loss="dlr")
        fab = FAB(**ball, search=0)
        apgd_t, fab_t = (Aimed(attack=part, classes=self.classes) for part in (dlr, fab))
        if self.version == "standard":
            return ce, apgd_t, fab_t, square
        again = FAB(**ball, search=0, random_start=True)
        return *[ce] * 5, *[dlr] * 5, fab, *[again] * 4, square, apgd_t, fab_t

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
        """Runs the parts through the engine, each on what still stands."""
        checks.untargeted(self, targets)
        checks.single_label(self, labels[0])
        every = WorstCase(attacks=self.parts())
        return every.run(engine, keys, predict, images, labels, None, mask)


def autoattack(eps: Scalar, norm: Literal["linf", "l2"] = "linf", **options: Any) -> AutoAttack:
    """Returns AutoAttack with a radius and a norm; options are the fields of `AutoAttack`.

    >>> [type(part).__name__ for part in autoattack(0.03).parts()]
    ['APGD', 'Aimed', 'Aimed', 'Square']
    """
    return AutoAttack(eps=eps, norm=norm, **options)
