"""Scores of a classifier: accuracy, recall, confusion and the area under the ROC curve."""

from functools import partial
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from medadv_jax.metrics.metric import Metric, Parts, Weights, ratio

Outcomes: TypeAlias = Float[np.ndarray, "n m"]
"""One vector per example."""


def decision(logits: Float[Array, " k"], label: Int[Array, ""]) -> Float[Array, " 2"]:
    """The label and the predicted class, as floats."""
    return jnp.stack([label, jnp.argmax(logits)]).astype(jnp.float32)


def log_odds(logits: Float[Array, " k"], label: Int[Array, ""]) -> Float[Array, " m"]:
    r"""The label, then of every class $\log p / (1 - p)$, with p its probability.

    Log-odds order examples as probabilities do, and still tell them apart where a probability is
    rounded to 0 or 1. Logits that differ by a constant have equal log-odds.
    """
    others = jnp.where(jnp.eye(logits.size, dtype=bool), -jnp.inf, logits[None])
    largest = jnp.max(others, axis=-1)
    rest = jnp.log(jnp.sum(jnp.exp(others - largest[:, None]), axis=-1))
    return jnp.concatenate([label[None].astype(jnp.float32), (logits - largest) - rest])


def accuracy(num_classes: int) -> Metric:
    """The share of examples whose predicted class is their label.

    >>> right_wrong_right = np.array([[0, 0], [1, 0], [2, 2]], np.float32)
    >>> round(accuracy(3).score(right_wrong_right, np.ones(3)), 4)
    0.6667
    """
    return Metric("accuracy", decision, partial(_accuracy, num_classes=num_classes))


def balanced_accuracy(num_classes: int) -> Metric:
    """The mean over the classes of the recall; a class without an example is left out.

    The same number as `sklearn.metrics.balanced_accuracy_score`.

    >>> two_right_one_wrong = np.array([[0, 0], [0, 0], [1, 0]], np.float32)
    >>> balanced_accuracy(2).score(two_right_one_wrong, np.ones(3))
    0.5
    """
    return Metric("balanced_accuracy", decision, recall(num_classes))


def auc(num_classes: int) -> Metric:
    """The mean over the classes of the area under the ROC curve of that class against the rest.

    The probability that an example of the class has a higher probability of it than another
    example, a tie counted half: `sklearn.metrics.roc_auc_score(..., multi_class="ovr")`. A class
    that no example or every example has is left out.

    >>> tied = np.array([[0, -1, -2], [1, -1, -2]], np.float32)
    >>> auc(2).score(tied, np.ones(2))
    0.5
    """
    return Metric("auc", log_odds, partial(_auc, num_classes=num_classes))


def recall(num_classes: int) -> Parts:
    """Recall of each class: a function of decisions `(n, 2)` and weights `(*s, n)` to `(*s, k)`.

    NaN for a class without an example.
    """
    return partial(_recall, num_classes=num_classes)


def confusion(num_classes: int) -> Parts:
    """Confusion matrix: a function of decisions `(n, 2)` and weights `(*s, n)` to `(*s, k, k)`.

    Entry `[i, j]` is the summed weight of the examples of class i that were taken for class j.
    """
    return partial(_confusion, num_classes=num_classes)


def _accuracy(outcomes: Outcomes, weights: Weights, *, num_classes: int) -> np.ndarray:
    label, found = _labels(outcomes, num_classes), outcomes[:, 1]
    return ratio(weights @ (label == found), weights.sum(axis=-1))[..., None]


def _recall(outcomes: Outcomes, weights: Weights, *, num_classes: int) -> np.ndarray:
    label, found = _labels(outcomes, num_classes), outcomes[:, 1]
    members = np.eye(num_classes)[label]
    return ratio(weights @ (members * (label == found)[:, None]), weights @ members)


def _confusion(outcomes: Outcomes, weights: Weights, *, num_classes: int) -> np.ndarray:
    label, found = _labels(outcomes, num_classes), outcomes[:, 1].astype(int)
    of_pair = np.eye(num_classes**2)[label * num_classes + found]
    return (weights @ of_pair).reshape(*weights.shape[:-1], num_classes, num_classes)


def _auc(outcomes: Outcomes, weights: Weights, *, num_classes: int) -> np.ndarray:
    label = _labels(outcomes, num_classes)
    one = lambda k: _area(outcomes[:, 1 + k], label == k, weights)
    return np.stack([one(k) for k in range(num_classes)], axis=-1)


def _area(value: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted share of the pairs (positive, negative) in order; a tie is half a pair."""
    order = np.argsort(value, kind="stable")
    # Equal values are one step of the ROC curve: sum their weights first.
    starts = np.flatnonzero(np.diff(value[order], prepend=np.nan))
    ordered, positive = weights[..., order], positive[order]
    total = lambda members: np.add.reduceat(ordered * members, starts, axis=-1)
    above, below = total(positive), total(~positive)
    pairs = above * (np.cumsum(below, axis=-1) - below / 2)
    return ratio(pairs.sum(axis=-1), above.sum(axis=-1) * below.sum(axis=-1))


def _labels(outcomes: np.ndarray, num_classes: int) -> np.ndarray:
    label = outcomes[:, 0].astype(int)
    if label.size and not 0 <= label.min() <= label.max() < num_classes:
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, got {label.min()} .. {label.max()}."
        )
    return label
