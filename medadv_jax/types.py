"""The names and protocols that every other module speaks.

Images are float32, channels last, with pixels in [0, 1]; a batch leads with `b`. Labels are int32:
`()` for a class, `(h, w)` for a mask, `(t,)` for a sentence. Logits add a trailing axis `k`, one
entry a class. `eps` and every other size of a perturbation is in the same unit as the pixels.
"""

import dataclasses
from collections.abc import Callable
from typing import (
    Any,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    runtime_checkable,
)

import numpy as np
from jax.tree_util import register_dataclass, register_static
from jaxtyping import Array, Bool, Float, Int, Key

Image: TypeAlias = Float[Array, "*space c"]
"""One image, `(h, w, c)` or `(d, h, w, c)`, float32 in [0, 1]."""
Images: TypeAlias = Float[Array, "b *space c"]
"""A batch of images, float32 in [0, 1]."""
Label: TypeAlias = Int[Array, "*dense"]
"""One label: a class `()`, a mask `(h, w)` or a sentence `(t,)`, int32."""
Labels: TypeAlias = Int[Array, "b *dense"]
"""A batch of labels, int32."""
Logits: TypeAlias = Float[Array, "*dense k"]
"""The unnormalised scores of one image, float32; no softmax has been taken."""
Scalar: TypeAlias = float | Float[Array, ""] | Float[Array, " b"] | np.ndarray
"""A hyperparameter: one value for all examples, or an array `(b,)` with one value per example."""
PRNGKey: TypeAlias = Key[Array, ""]
"""A typed random key, as `jax.random.key` makes it."""
PRNGKeys: TypeAlias = Key[Array, " b"]
"""One typed random key per example."""


@runtime_checkable
class Predict(Protocol):
    """A model in evaluation mode: a callable pytree from a batch of images to a batch of logits.

    It normalises its input itself, so that `eps` means the same for every model. Its weights are
    leaves of the pytree, so that a compiled function takes them as arguments.
    """

    def __call__(self, images: Float[Array, "b *space c"], /) -> Float[Array, "b *dense k"]:
        """Returns the logits of a batch of images."""
        ...


class Batch(NamedTuple):
    """A batch of examples, padded to its full size.

    Attributes:
      images: float32 `(b, h, w, c)` in [0, 1].
      labels: int32 `(b,)` or `(b, h, w)`.
      mask: bool `(b,)`; False marks padding.
      index: int32 `(b,)`, the number of each record in its source; -1 for padding.
    """

    images: Any
    labels: Any
    mask: Any
    index: Any


@register_static
class Note(str):
    """A sentence in a Result; to jax it is structure, so that it may leave a compiled function."""


class Result(NamedTuple):
    """What an attack did, one entry per example; and `notes`, on all of them.

    Attributes:
      images: The perturbed images, float32 in [0, 1].
      success: Whether the model, right on the clean image, is fooled by the perturbed one.
      steps: How many steps were taken, int32.
      gradients: How many gradients (backward passes) were computed, int32.
      forwards: How many images the attack evaluated the model on without a gradient, int32; the
        two looks at the clean and the returned image, by which an attack and each part of one is
        judged, are not counted.
      flat: Whether a gradient was zero or not finite, so that a step could not be taken.
      misclassified: Whether the model was wrong on the clean image.
      notes: What an attack that ran had to do otherwise than its name says, such as the loss that
        stood in for one that needs more classes; empty where there is nothing of the kind.
    """

    images: Float[Array, "b *space c"]
    success: Bool[Array, " b"]
    steps: Int[Array, " b"]
    gradients: Int[Array, " b"]
    forwards: Int[Array, " b"]
    flat: Bool[Array, " b"]
    misclassified: Bool[Array, " b"]
    notes: tuple[Note, ...] = ()


T = TypeVar("T")


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """Marks a field of an attack as structure: a new value is a new program."""
    return dataclasses.field(default=default, metadata=dict(static=True))


def per_example(*, default: Any = dataclasses.MISSING) -> Any:
    """Marks a field of an attack as an array that leads with the batch axis: a row an example."""
    return dataclasses.field(default=default, metadata=dict(per_example=True))


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(static, per_example)
)
def attack(cls: type[T]) -> type[T]:
    """Makes a class a frozen, keyword-only dataclass that is a pytree of its hyperparameters.

    Fields marked by `static` are structure, all others are leaves. The constructor stays unchecked
    by jaxtyping, because jax also calls it with placeholders for the leaves.
    """
    cls.__no_type_check__ = True  # pyright: ignore[reportAttributeAccessIssue]
    return register_dataclass(dataclasses.dataclass(frozen=True, kw_only=True)(cls))


@runtime_checkable
class StepwiseAttack(Protocol):
    """An attack on one image that takes one step at a time; `attacks.run` is its engine.

    `predict` maps one image to its logits. A state is a NamedTuple with at least `image` (what
    would be returned now), `done` (nothing is left to do) and `flat` (see `Result`). A state may
    count its own cost in `gradients` and `forwards`; else a step costs one gradient.

    An attack may also have: `minimal = True` or a field `until_fooled`, then what is misclassified
    is done at once; `noise = True`, it does not look at the model; `fooled(logits, label, target)`,
    its own rule of success for one example, by which, without a target, the clean image is judged
    too; `note(num_classes, targeted)`, a sentence for `Result.notes`, "" for none;
    `refresh(predict, state)` with a static `every`, called with the batched Predict and states
    before steps 0, every, 2 every, …
    """

    @property
    def size(self) -> str | None:
        """Name of the field that makes the attack stronger, None if there is no such field."""
        ...

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a bad hyperparameter; inside `jit` it may meet placeholders."""
        ...

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the most steps that the attack takes on an image of this shape."""
        ...

    def init(
        self,
        key: PRNGKey,
        predict: Callable[[Image], Logits],
        image: Image,
        label: Label,
        target: Label | None = None,
    ) -> Any:
        """Returns the state before the first step."""
        ...

    def step(self, predict: Callable[[Image], Logits], state: Any) -> Any:
        """Returns the state after one more step."""
        ...


@runtime_checkable
class CompositeAttack(Protocol):
    """An attack made of attacks: it gets the engine and the whole batch.

    Its images are judged by the common rule, or by a `fooled` of its own. With `judged = True` its
    Result stays as it is: the images are its parts', and each part was judged by the part's rule.
    It may then have `judge(keys, logits, labels) -> (b,)`, by which an evaluation judges other
    models on its images.
    """

    @property
    def size(self) -> str | None:
        """Name of the field that makes the attack stronger, None if there is no such field."""
        ...

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a bad hyperparameter; inside `jit` it may meet placeholders."""
        ...

    def run(
        self,
        engine: Callable[..., Result],
        keys: PRNGKeys,
        predict: Predict,
        images: Images,
        labels: Labels,
        targets: Labels | None,
        mask: Bool[Array, " b"],
    ) -> Result:
        """Runs its parts by `engine(attack, keys, predict, images, labels, targets, mask=mask)`.

        A batch that is longer than its own is whole copies of it, one after another.
        """
        ...


Attack: TypeAlias = StepwiseAttack | CompositeAttack
Variables: TypeAlias = dict[str, Any]
"""A Flax variable dictionary: `params`, and `batch_stats` where there is BatchNorm."""
