"""The timetable of APGD: which step is a checkpoint, and at which radius it is taken."""

import functools
from typing import Any, NamedTuple

import numpy as np

Stages = tuple[tuple[float, float], ...]
"""Parts of an attack, each a share of its steps and a factor of its radius."""


class Plan(NamedTuple):
    """What every look of APGD at the model is for, one entry a look.

    A stage of n steps takes n + 1 looks: at its start, and after each step.

    Attributes:
      first: Whether a stage starts here.
      last: Whether a stage ends here, so that no step follows.
      next_last: Whether the step from here is the last of its stage.
      factor: Radius of this stage in units of eps.
      window: Steps since the checkpoint before, at a checkpoint; else 0.
      after: The look at which the next stage starts; of the last stage, the number of all looks.
      next_factor: Radius of the next stage in units of eps; of the last stage, 1.
    """

    first: Any
    last: Any
    next_last: Any
    factor: Any
    window: Any
    after: Any
    next_factor: Any


def windows(steps: int, norm: str = "linf") -> list[int]:
    """Returns the lengths of the windows between checkpoints that fit into a number of steps.

    The first is 0.22 of the steps long, each next is shorter by 0.03 of them, down to 0.06; all
    are rounded down, and at least 1. In L1 each is 0.04 of the steps long.

    >>> windows(100)
    [22, 19, 16, 13, 10, 7, 6, 6]
    >>> windows(10)
    [2, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    part = lambda share: max(int(share * steps), 1)
    if norm == "l1":
        return [part(0.04)] * (steps // part(0.04))
    lengths, next_length = [], part(0.22)
    while sum(lengths) + next_length <= steps:
        lengths.append(next_length)
        next_length = max(next_length - part(0.03), part(0.06))
    return lengths


@functools.cache
def plan(steps: int, stages: Stages, norm: str = "linf") -> Plan:
    """Returns the plan of an attack.

    Args:
      steps: Of all stages; a stage has its share, rounded down, and the last has the rest.
      stages: For each stage its share of the steps, and its radius in units of eps.
      norm: Of the ball.

    >>> print(plan(10, ((0.3, 2.0), (0.3, 1.5), (0.4, 1.0))).factor)
    [2.  2.  2.  2.  1.5 1.5 1.5 1.5 1.  1.  1.  1.  1. ]
    """
    counts = [int(share * steps + 1e-9) for share, _ in stages[:-1]]
    counts.append(steps - sum(counts))
    ends = np.cumsum([count + 1 for count in counts])
    factors = [factor for _, factor in stages]
    looks = []
    for count, end, factor, coming in zip(counts, ends, factors, [*factors[1:], 1.0], strict=True):
        each = windows(count, norm)
        lengths = dict(zip(np.cumsum(each), each, strict=True))
        for number in range(count + 1):
            window = lengths.get(number, 0)
            place = number == 0, number == count, number == count - 1
            looks.append((*place, factor, window, end, coming))
    kinds = (bool, bool, bool, np.float32, np.int32, np.int32, np.float32)
    columns = zip(*looks, strict=True)
    return Plan(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))
