"""An attack that may change only a part of each image."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from medadv_jax.attacks.wrap import Disguise, Wrapper, run_inside
from medadv_jax.types import (
    Attack,
    CompositeAttack,
    Image,
    Label,
    PRNGKey,
    Result,
    attack,
    per_example,
    static,
)


def foreground(image: Image, label: Label) -> Bool[Array, "*space"]:
    """Returns the pixels of a label map that hold a structure, a `where` for `Region`."""
    return label > 0


@attack
class Region(Wrapper):
    r"""Lets an attack change only the pixels of a region; all others stay as they are.

    With m the region, the attack meets $f(m x' + (1 - m) x)$ instead of $f(x')$: its gradient is
    zero outside, its budget is spent inside, and so are random starts and noise. A region of the
    whole image changes nothing: `Region(attack=a, mask=ones)` is `a`. An empty one leaves the image
    as it is, and a gradient attack says so by `flat`.

    Which pixels count for success is another matter: those whose label is not -1.

    Args:
      attack: A stepwise or a composite attack.
      mask: Boolean, one region an example, `(b, *space)` for images `(b, *space, c)`.
      where: Instead of a mask, a function of one image and its label that returns the region
        `(*space)`: `foreground`, or one of your own. An evaluation, whose batches differ, takes
        this form.
    """

    attack: Attack
    mask: Any = per_example(default=None)
    where: Callable[[Any, Any], Any] | None = static(default=None)

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError unless there is one region, or for what the attack itself refuses."""
        if (self.mask is None) == (self.where is None):
            raise ValueError("Region needs a mask, or a function `where`, and not both.")
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
        """Runs the attack through the engine, confined to the region."""
        region = self.mask if self.where is None else jax.vmap(self.where)(images, labels)
        _check_region(region, images.shape[:-1])
        region = jnp.asarray(region)

        def disguise(part: Any, keys: Any, images: Any) -> Any:
            own = region[jnp.arange(len(images)) % len(region)]
            if isinstance(part, CompositeAttack):
                return Region(attack=part, mask=own)
            return _Confined(attack=part, region=own[..., None], clean=images)

        return run_inside(
            self.attack, disguise, engine, keys, predict, images, labels, targets, mask=mask
        )


@attack
class _Confined(Disguise):
    """A stepwise attack that sees the clean image outside its region."""

    attack: Any
    region: Any = per_example()
    clean: Any = per_example()

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> Any:
        """Returns the state before the first step."""
        state = self.attack.init(key, self._seen(predict), image, label, target)
        start, kept = state.image, self._keep(state.image)
        # an attack that keeps several iterates begins with the same one in each
        return jax.tree.map(lambda leaf: kept if leaf is start else leaf, state)

    def step(self, predict: Any, state: Any) -> Any:
        """Returns the state after one more step."""
        state = self.attack.step(self._seen(predict), state)
        return state._replace(image=self._keep(state.image))

    def _keep(self, image: Image) -> Image:
        return jnp.where(self.region, image, self.clean)

    def _seen(self, predict: Any) -> Callable[[Image], Any]:
        return lambda image: predict(self._keep(image))


def _check_region(region: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless there is a boolean region for each image."""
    kind, found = getattr(region, "dtype", type(region).__name__), jnp.shape(region)
    if kind != jnp.bool_ or found != shape:
        raise ValueError(
            f"A region is boolean, one for each image, here {shape}: got {kind} {found}."
        )
