"""Divides a data set into training, validation and test without parting what belongs together."""

from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")
"""The splits of every data set."""


def by_group(
    groups: Sequence[str],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> list[str]:
    """Assigns every record to a split such that no group is in two of them.

    Within each class the groups come in a seeded order and each goes to the split that lacks most
    records of its share, after every split has received one group. A group with several classes
    counts as its most frequent one. The result does not depend on the order of the records.

    Args:
      groups: Group of each record: its lesion or its patient.
      labels: Class of each record.
      class_names: Names of the classes, for the messages.
      fractions: Shares of training, validation and test; their sum is one.
      seed: Seed of the order of the groups.

    Returns:
      "train", "validation" or "test" for each record.

    Raises:
      ValueError: A class has fewer than three groups, so that a split would lack it.

    >>> by_group(["a", "b", "b", "c"], [0, 0, 0, 0], ["nevus"])
    ['validation', 'test', 'test', 'train']
    """
    members: dict[str, list[int]] = {}
    for group, label in zip(groups, labels, strict=True):
        members.setdefault(group, []).append(label)
    strata: dict[int, list[str]] = {label: [] for label in range(len(class_names))}
    for group in sorted(members):
        counts = np.bincount(members[group], minlength=len(class_names))
        strata[int(counts.argmax())].append(group)

    split_of: dict[str, str] = {}
    for label, own in strata.items():
        if len(own) < len(SPLITS):
            raise ValueError(
                f"Class {class_names[label]!r} has {len(own)} groups (lesions or patients); a "
                f"split into {', '.join(SPLITS)} needs at least {len(SPLITS)} of each class."
            )
        order = np.random.default_rng([seed, label]).permutation(len(own))
        sizes = [len(members[own[i]]) for i in order]
        for i, split in zip(order, _deal(sizes, fractions), strict=True):
            split_of[own[i]] = split
    return [split_of[group] for group in groups]


def _deal(sizes: Sequence[int], fractions: tuple[float, float, float]) -> list[str]:
    """Returns the split of each group, given the groups' sizes in their order."""
    lacking = sum(sizes) * np.array(fractions)
    dealt = []
    for i, size in enumerate(sizes):
        chosen = i if i < len(SPLITS) else int(lacking.argmax())
        lacking[chosen] -= size
        dealt.append(SPLITS[chosen])
    return dealt
