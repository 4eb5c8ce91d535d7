"""The training loop: one for every network, objective and data set."""

import contextlib
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from medadv_jax.checkpoint import Checkpoints
from medadv_jax.train.objective import Objective
from medadv_jax.train.progress import shown
from medadv_jax.types import Batch, PRNGKey, Variables


class State(NamedTuple):
    """All that a training needs to go on: the content of its checkpoint.

    Attributes:
      variables: `params` and `batch_stats`, being trained.
      averaged: Their exponential moving average, None without averaging.
      optimizer: The state of the optax optimizer.
      best: The variables with the best validation score so far.
      best_step: The step they are from, 0 before the first validation.
      step: Steps taken.
      losses: float32, the loss of each step, NaN for those to come.
      scores: float32, each validation score, NaN for those to come.
    """

    variables: Any
    averaged: Any
    optimizer: Any
    best: Any
    best_step: Int[Array, ""]
    step: Int[Array, ""]
    losses: Float[Array, " steps"]
    scores: Float[Array, " validations"]


class Fit(NamedTuple):
    """The outcome of a training.

    Attributes:
      variables: The best by validation, else the last; averaged if averaging was asked for.
      step: The step they are from.
      losses: float32, the training loss of each step taken.
      scores: float32, each validation score taken.
    """

    variables: Variables
    step: int
    losses: np.ndarray
    scores: np.ndarray


def fit(
    key: PRNGKey,
    init: Callable[[PRNGKey], Variables],
    objective: Objective,
    optimizer: optax.GradientTransformation,
    batches: Callable[[int], Iterable[Batch]],
    *,
    steps: int,
    every: int,
    validate: Callable[[Variables], float] | None = None,
    patience: int | None = None,
    averaging: float = 0.0,
    directory: pathlib.Path | None = None,
    progress: str | None = None,
) -> Fit:
    """Trains until `steps` are done or the validation score has stopped rising.

    After every `every` steps the losses are checked, the variables are validated and a checkpoint
    is written. Called again with the same arguments it goes on from the newest checkpoint, on the
    same machine to the same bits; called when it had finished it returns at once. With several
    devices each batch is split over them and the variables are on all of them.

    Args:
      key: Seeds the initialisation and, folded with the step, the objective.
      init: Makes the variables from a key.
      objective: The loss to minimise.
      optimizer: An optax transformation, such as `train.optimizer` makes.
      batches: `batches(n)` iterates from the n-th batch on, over the same batches each time.
      steps: Most steps to take.
      every: Steps between validations, which are the steps between checkpoints.
      validate: A score of variables, the higher the better.
      patience: Validations without a better score after which training stops, None for never.
      averaging: Decay of an exponential moving average of the variables, 0 for none. It is warmed
        up as min(decay, (1 + step) / (10 + step)).
      directory: Where the checkpoints go, None for no checkpoints.
      progress: Title of a progress bar, or of lines where there is no terminal; None for neither.

    Returns:
      The best variables and the course of the training.

    Raises:
      FloatingPointError: A loss or a weight is not finite; the message names the step and the last
        checkpoint.
      ValueError: A bad argument, a validation score that is NaN, or a checkpoint that is damaged or
        of another training.
    """
    if steps < 1 or every < 1:
        raise ValueError(f"steps and every are at least 1, got {steps} and {every}.")
    if not 0 <= averaging < 1:
        raise ValueError(f"averaging is a decay in [0, 1), got {averaging}.")
    init_key, step_key = jax.random.split(key)
    begin = lambda key: _begin(init(key), optimizer, steps, -(-steps // every), averaging > 0)
    update = jax.jit(_update(objective, optimizer, averaging), donate_argnums=0)
    folder = contextlib.nullcontext() if directory is None else Checkpoints(directory)
    with folder as checkpoints:
        if checkpoints is None or checkpoints.latest() is None:
            state = begin(init_key)
        else:
            state = checkpoints.restore(jax.eval_shape(begin, init_key))
        state = jax.device_put(state, _sharding())
        taken = int(state.step)
        stream = iter(()) if _finished(state, every, patience) else iter(batches(taken))
        with shown(progress, steps) as display:
            display.begin(taken, _finished(state, every, patience))
            while not _finished(state, every, patience):
                stretch = min(every - taken % every, steps - taken)
                state = _stretch(
                    update, state, itertools.islice(stream, stretch), step_key, display.advance
                )
                _check(state, taken, stretch, checkpoints)
                taken += stretch
                state = _validated(state, every, validate)
                loss, score = state.losses[taken - 1], state.scores[(taken - 1) // every]
                display.note(taken, float(loss), float(score))
                if checkpoints is not None:
                    checkpoints.save(taken, state)
    return _outcome(state, validate is not None)


def _begin(variables: Any, optimizer: Any, steps: int, validations: int, averaged: bool) -> State:
    # `update` is given the buffers of its state: each once, and none of the caller's.
    copy = lambda: jax.tree.map(jnp.copy, variables)
    return State(
        copy(),
        copy() if averaged else None,
        optimizer.init(copy()["params"]),
        copy(),
        jnp.int32(0),
        jnp.int32(0),
        jnp.full(steps, jnp.nan),
        jnp.full(validations, jnp.nan),
    )


def _update(objective: Objective, optimizer: Any, averaging: float) -> Callable:
    """The one training step, `(state, batch, key) -> (state, loss)`."""

    def update(state: State, batch: Batch, key: PRNGKey) -> tuple[State, Array]:
        params = state.variables["params"]
        loss_of = lambda params: objective(
            {**state.variables, "params": params}, batch, jax.random.fold_in(key, state.step)
        )
        (loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        change, memory = optimizer.update(gradient, state.optimizer, params)
        variables = {**state.variables, "params": optax.apply_updates(params, change)}
        if "batch_stats" in variables:
            variables["batch_stats"] = batch_stats
        averaged = state.averaged
        if averaged is not None:
            decay = jnp.minimum(averaging, (1 + state.step) / (10 + state.step))
            averaged = optax.incremental_update(variables, averaged, 1 - decay)
        state = state._replace(
            variables=variables,
            averaged=averaged,
            optimizer=memory,
            step=state.step + 1,
            losses=state.losses.at[state.step].set(loss),
        )
        return state, loss

    return update


def _stretch(
    update: Callable, state: State, batches: Iterator[Batch], key: PRNGKey, advance: Callable
) -> State:
    """Takes a step a batch; the next batch is made ready while the last step still computes."""
    split = _sharding("batch")
    before = None
    for batch in batches:
        state, loss = update(state, jax.device_put(batch, split), key)
        if before is not None:
            before.block_until_ready()
        before = loss
        advance()
    return state


def _check(state: State, taken: int, stretch: int, checkpoints: Checkpoints | None) -> None:
    if int(state.step) != taken + stretch:
        raise ValueError(
            f"batches({taken}) ended after {int(state.step) - taken} batches, the training takes "
            f"{len(state.losses)} steps; make it endless (epochs=None)."
        )
    losses = np.asarray(state.losses[taken : taken + stretch])
    place = int(np.argmin(np.isfinite(losses)))
    if not np.isfinite(losses[place]):
        problem = f"The training loss of step {taken + place} is {losses[place]}"
    # The last step of a stretch may spoil the weights, whose loss only the next one would see.
    elif not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.variables)):
        problem = f"The variables after {taken + stretch} training steps are not finite"
    else:
        return
    last = None if checkpoints is None else checkpoints.latest()
    where = "no checkpoint was written"
    if checkpoints is not None and last is not None:
        where = f"the last good checkpoint is {checkpoints.path(last)}"
    raise FloatingPointError(
        f"{problem}; {where}. A lower learning rate or a longer warm-up may help."
    )


def _validated(state: State, every: int, validate: Callable | None) -> State:
    if validate is None:
        return state
    variables = state.variables if state.averaged is None else state.averaged
    score = jnp.float32(validate(variables))
    if jnp.isnan(score):
        raise ValueError(
            f"validate returned NaN after {int(state.step)} steps; a score is a number."
        )
    better = int(state.best_step) == 0 or bool(score > jnp.nanmax(state.scores))
    place = (int(state.step) - 1) // every
    state = state._replace(scores=state.scores.at[place].set(score))
    if better:  # a copy, since the next step will overwrite what is trained in place
        best = jax.tree.map(jnp.copy, variables)
        state = state._replace(best=best, best_step=jnp.copy(state.step))
    return state


def _finished(state: State, every: int, patience: int | None) -> bool:
    taken, best = int(state.step), int(state.best_step)
    stalled = patience is not None and best > 0 and taken - best >= patience * every
    return stalled or taken >= len(state.losses)


def _outcome(state: State, validated: bool) -> Fit:
    last = state.variables if state.averaged is None else state.averaged
    scores = np.asarray(state.scores)
    return Fit(
        state.best if validated else last,
        int(state.best_step if validated else state.step),
        np.asarray(state.losses)[: int(state.step)],
        scores[~np.isnan(scores)],
    )


def _sharding(*axes: str) -> NamedSharding:
    """Splits the first axis over all devices, or, without axes, copies to each."""
    automatic = (AxisType.Auto,)  # XLA places what lies between the batch and the loss
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=automatic)
    return NamedSharding(mesh, PartitionSpec(*axes))
