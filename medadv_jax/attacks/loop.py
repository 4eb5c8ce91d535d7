"""The stepping of the engine: one attack on a batch, from the host or inside a compiled function.

`begin`, `advance` and `inline` are plain functions of arrays. `host` drives compiled versions of
them from Python and lets the examples that are done leave the batch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medadv_jax.attacks import rows
from medadv_jax.attacks.devices import Placement

SMALLEST = 4
"""Batches are not made smaller than this: less work would not be less time."""
UNROLLED = 16
"""Most steps that are unrolled inside a compiled function on CPU."""


class Carry(NamedTuple):
    """What goes from step to step: the states of a batch, and how many steps each has taken."""

    state: Any
    steps: Any


def single(predict: Any) -> Callable[[Any], Any]:
    """Returns the Predict as an attack sees it: one image to its logits."""
    return lambda image: predict(image[None])[0]


def freeze(done: Any, old: Any, new: Any) -> Any:
    """Keeps the old state of the examples that were done; a step may not change dtypes."""

    def keep(before: Any, after: Any) -> Any:
        kept = jnp.where(jnp.expand_dims(done, tuple(range(1, before.ndim))), before, after)
        return kept if kept.dtype == before.dtype else kept.astype(before.dtype)

    return jax.tree.map(keep, old, new)


def begin(
    attack: Any, predict: Any, keys: Any, images: Any, labels: Any, targets: Any, stop: Any
) -> Carry:
    """Initialises the attack; examples in `stop` are done at once and keep their clean image."""

    def one(attack: Any, key: Any, image: Any, label: Any, target: Any) -> Any:
        return attack.init(key, single(predict), image, label, target)

    axes = (rows.axes(attack), 0, 0, 0, 0)
    state = jax.vmap(one, in_axes=axes)(attack, keys, images, labels, targets)
    image = freeze(stop, images, state.image)
    state = state._replace(image=image, done=state.done | stop, flat=state.flat & ~stop)
    # copies are strongly typed, and buffers of our own: a donated state is never the caller's image
    state = jax.tree.map(lambda leaf: jnp.array(leaf, dtype=leaf.dtype, copy=True), state)
    return Carry(state, jnp.zeros(len(images), jnp.int32))


def refresh(attack: Any, predict: Any, carry: Carry) -> Carry:
    """Lets the attack renew its states by the batched Predict, as often as its `every` says."""
    new = attack.refresh(predict, carry.state)
    return carry._replace(state=freeze(carry.state.done, carry.state, new))


def advance(attack: Any, predict: Any, carry: Carry) -> Carry:
    """Takes one step with every example that is not done."""

    def one(attack: Any, state: Any) -> Any:
        return attack.step(single(predict), state)

    done = carry.state.done
    new = jax.vmap(one, in_axes=(rows.axes(attack), 0))(attack, carry.state)
    return Carry(freeze(done, carry.state, new), carry.steps + ~done)


def several(attack: Any, predict: Any, carry: Carry, first: Any, stop: Any) -> Carry:
    """Takes the steps first .. stop - 1 in one `while_loop` that ends when all are done."""

    def body(value: tuple[Any, Carry]) -> tuple[Any, Carry]:
        number, carry = value
        if hasattr(attack, "refresh"):
            due = number % attack.every == 0
            carry = jax.lax.cond(due, lambda c: refresh(attack, predict, c), lambda c: c, carry)
        return number + 1, advance(attack, predict, carry)

    def more(value: tuple[Any, Carry]) -> Any:
        return (value[0] < stop) & ~value[1].state.done.all()

    return jax.lax.while_loop(more, body, (jnp.asarray(first, jnp.int32), carry))[1]


def inline(
    attack: Any, predict: Any, keys: Any, images: Any, labels: Any, targets: Any, stop: Any
) -> Carry:
    """Runs the whole attack inside a function that is being traced, without compaction.

    Up to 16 steps are unrolled on CPU, where XLA does not use its fast convolutions in a loop.
    """
    limit = attack.max_steps(images.shape[1:])
    carry = begin(attack, predict, keys, images, labels, targets, stop)
    if jax.default_backend() != "cpu" or limit > UNROLLED:
        return several(attack, predict, carry, 0, limit)
    for number in range(limit):
        if hasattr(attack, "refresh") and number % attack.every == 0:
            carry = refresh(attack, predict, carry)
        carry = advance(attack, predict, carry)
    return carry


compiled_begin = jax.jit(begin)
_refresh = jax.jit(refresh, donate_argnums=2)
_advance = jax.jit(advance, donate_argnums=2)
_several = jax.jit(several, donate_argnums=2)


@jax.jit
def _take(carry: Carry, chosen: Any) -> Carry:
    return jax.tree.map(lambda leaf: leaf[chosen], carry)


@jax.jit
def _put(carry: Carry, chosen: Any, part: Carry) -> Carry:
    return jax.tree.map(lambda leaf, new: leaf.at[chosen].set(new), carry, part)


def smaller(size: int, standing: int, multiple: int = 1) -> int:
    """Returns the size of the batch to go on with: of size, size/4, size/16, … the least that holds
    all that stand, not below 4, and a multiple of the number of devices.

    >>> smaller(64, 17), smaller(64, 16), smaller(64, 1), smaller(6, 1), smaller(64, 1, 8)
    (64, 16, 4, 6, 8)
    """
    while True:
        new = max(SMALLEST, math.ceil(size / 4))
        new = math.ceil(new / multiple) * multiple
        if new < standing or 2 * new > size:
            return size
        size = new


def host(
    attack: Any,
    predict: Any,
    carry: Carry,
    limit: int,
    *,
    chunk: int,
    placement: Placement,
    report: Callable[[int, int], None],
) -> Carry:
    """Steps from Python until all examples are done or the limit is reached.

    Args:
      attack: A strong attack.
      predict: The Predict.
      carry: As `begin` made it; it is consumed.
      limit: Most steps.
      chunk: Steps taken by one compiled program; 1 steps without a loop in it.
      placement: Spreads the rows over the devices.
      report: Called with the number of steps and of examples that still stand.

    Returns:
      The carry of the whole batch.
    """
    whole, own = None, np.arange(len(carry.steps))
    number = 0
    while number < limit:
        standing = np.flatnonzero(~np.asarray(carry.state.done))
        report(number, len(standing))
        if not len(standing):
            break
        size = smaller(len(own), len(standing), placement.count)
        if size < len(own):
            whole = carry if whole is None else _put(whole, own, carry)
            finished = np.setdiff1d(np.arange(len(own)), standing)
            chosen = np.concatenate([standing, finished[: size - len(standing)]])
            carry = placement.spread(_take(carry, chosen))
            attack, own = rows.take(attack, chosen), own[chosen]
        stop = min(number + chunk, limit)
        carry = _stretch(attack, predict, carry, number, stop)
        number = stop
    return carry if whole is None else _put(whole, own, carry)


def _stretch(attack: Any, predict: Any, carry: Carry, first: int, stop: int) -> Carry:
    """Takes steps first .. stop - 1 by compiled programs."""
    if stop - first > 1:
        return _several(attack, predict, carry, first, stop)
    if hasattr(attack, "refresh") and first % attack.every == 0:
        carry = _refresh(attack, predict, carry)
    return _advance(attack, predict, carry)
