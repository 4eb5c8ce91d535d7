"""`run`, the one way to run an attack: the public edge of the engine."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import rich.progress

from medadv_jax.attacks import checks, rows
from medadv_jax.attacks.engine import Engine
from medadv_jax.types import Attack, Result


def run(
    attack: Attack,
    key: Any,
    predict: Callable[[Any], Any],
    images: Any,
    labels: Any,
    targets: Any = None,
    *,
    mask: Any = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> Result:
    """Attacks a batch of images, from Python or inside a function that jax is tracing.

    From Python, finished examples leave the batch, so that only those that still stand cost
    anything, and the images are spread over all local devices. Inside `jit` all steps are part of
    the caller's program and no gradient flows through them. The two ways give the same result, and
    it depends neither on batch mates nor on `batch_size`: to rounding on linear nets and MLPs; on
    convolution nets rounding may turn the sign of a gradient at up to 0.1 % of the pixels.

    Weights are arguments of the compiled program, and so are the numbers of the attack: another
    model of the same structure or another `eps` compiles nothing; `sweep` runs several values of
    `eps` over one batch in one program. A `predict` that is a plain function is accepted too, but
    what it closes over becomes part of the program.

    Args:
      attack: A stepwise or a composite attack. Each of its numbers is one value, or `(b,)`.
      key: One typed key, of which example i gets `fold_in(key, i)`, or one key per example `(b,)`.
      predict: A Predict: `(b, *space, c)` to logits `(b, *dense, k)`; it normalises by itself.
      images: Float `(b, *space, c)` in [0, 1].
      labels: Integer `(b, *dense)`, the true classes; -1 marks a pixel that does not count.
      targets: Like labels, the wished-for classes; None for an untargeted attack. A pixel whose
        label is -1 has no target.
      mask: Bool `(b,)`, False for padding, which costs nothing and stays as it is.
      batch_size: Attack this many rows at a time, to save memory; not inside `jit`.
      progress: Show a progress bar; not inside `jit`.

    Returns:
      A Result. Its `forwards` are the attack's own: the two looks that the engine takes, at the
      clean and at the returned images, are not counted.

    Raises:
      ValueError: for input that breaks a convention, or logits of a clean image not finite. Inside
        `jit` shapes and constants are checked; values that are not known yet are not.

    >>> from medadv_jax import attacks
    >>> predict = lambda images: jnp.stack([images.sum((1, 2, 3)), 9 - images.sum((1, 2, 3))], -1)
    >>> images, labels = jnp.full((2, 4, 4, 1), 0.3), jnp.array([0, 1])
    >>> result = attacks.run(attacks.FGSM(eps=0.05), jax.random.key(0), predict, images, labels)
    >>> print(result.success, result.misclassified)
    [ True False] [False  True]
    """
    traced = checks.is_traced(attack, key, predict, images, labels, targets, mask)
    if traced and (batch_size is not None or progress):
        raise ValueError("batch_size and progress work from Python only, not inside jit.")
    if batch_size is not None:
        checks.count("batch_size", batch_size)
    images = checks.as_images(images)
    labels = checks.as_labels("Labels", labels, len(images))
    targets = None if targets is None else checks.as_labels("Targets", targets, len(images))
    if targets is not None and targets.shape == labels.shape == images.shape[:-1]:
        targets = jnp.where(labels < 0, -1, targets)  # no attack may reach for a void pixel
    mask = checks.as_mask(mask, len(images))
    keys = checks.as_keys(key, len(images))
    rows.check_lengths(attack, len(images))
    if not traced:
        checks.pixels(images, mask)
    with _bar(progress) as bar:
        engine = Engine(batch_size=batch_size, progress=bar)
        result = engine(attack, keys, as_pytree(predict), images, labels, targets, mask=mask)
        return result._replace(notes=tuple(engine.notes))


def as_pytree(predict: Any) -> Any:
    """Makes a plain function a pytree without leaves, so that it can enter a compiled function."""
    is_leaf = jax.tree.structure(predict) == jax.tree.structure(0)
    return jax.tree_util.Partial(predict) if is_leaf else predict


@contextlib.contextmanager
def _bar(show: bool) -> Iterator[rich.progress.Progress | None]:
    """Opens a progress display, or none."""
    if not show:
        yield None
        return
    with rich.progress.Progress(transient=True) as bar:
        yield bar
