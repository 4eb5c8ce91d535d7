"""Many values of a hyperparameter at once, as rows of one longer batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.attacks import checks
from medadv_jax.attacks.run import run
from medadv_jax.types import Attack, Result


def sweep(
    make: Callable[[Any], Attack],
    values: Any,
    key: Any,
    predict: Callable[[Any], Any],
    images: Any,
    labels: Any,
    targets: Any = None,
    *,
    mask: Any = None,
    **options: Any,
) -> Result:
    """Attacks one batch at several strengths in one program.

    It is a batch of s copies of the images, one after another, in which the hyperparameter has one
    value a row. All values meet the same keys, and the result is that of s separate runs; what is
    done leaves the batch, so that the rows of strong attacks make room for those of weak ones.

    Args:
      make: From the values of all rows `(s * b,)` to the attack. Other hyperparameters may follow
        from them; those with one value per example need `(s * b,)` too.
      values: `(s,)`, such as radii.
      key: As the rest, see `attacks.run`.
      predict: A Predict.
      images: `(b, *space, c)`.
      labels: `(b, *dense)`.
      targets: `(b, *dense)` or None.
      mask: `(b,)` or None.
      **options: The others of `attacks.run`.

    Returns:
      A Result whose arrays lead with the values: `(s, b, ...)`.

    Raises:
      ValueError: for values that are not a list of numbers, and as `attacks.run` does.

    >>> from medadv_jax import attacks
    >>> predict = lambda images: jnp.stack([images.sum((1, 2, 3)), 9 - images.sum((1, 2, 3))], -1)
    >>> images, labels = jnp.full((2, 4, 4, 1), 0.3), jnp.array([0, 0])
    >>> radii, key = [0.01, 0.02, 0.03], jax.random.key(0)
    >>> result = sweep(lambda eps: attacks.FGSM(eps=eps), radii, key, predict, images, labels)
    >>> print(result.success.sum(axis=1))
    [0 2 2]
    """
    if np.ndim(values) != 1 or not len(values):
        raise ValueError(f"values are one axis of at least one, got shape {np.shape(values)}.")
    images, values = checks.as_images(images), jnp.asarray(values, jnp.float32)
    count = len(images)
    index = np.tile(np.arange(count), len(values))
    copies = lambda leaf: None if leaf is None else leaf[index]
    labels, mask = checks.as_labels("Labels", labels, count), checks.as_mask(mask, count)
    targets = None if targets is None else checks.as_labels("Targets", targets, count)
    result = run(
        make(jnp.repeat(values, count)),
        checks.as_keys(key, count)[index],
        predict,
        images[index],
        labels[index],
        copies(targets),
        mask=mask[index],
        **options,
    )
    split = lambda leaf: leaf.reshape(len(values), count, *leaf.shape[1:])
    return jax.tree.map(split, result)
