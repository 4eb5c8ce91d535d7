"""The engine: what happens to a checked batch, from Python and inside a traced function."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich.progress

from medadv_jax.attacks import checks, judge, loop, rows
from medadv_jax.attacks.devices import Placement
from medadv_jax.types import Note, Result


class Examples(NamedTuple):
    """A batch with all that belongs to its rows; arguments of `attacks.run`."""

    keys: Any
    images: Any
    labels: Any
    targets: Any
    mask: Any


@dataclasses.dataclass(frozen=True)
class Engine:
    """Runs attacks on batches; what it is made of changes the cost and no result.

    A composite attack is given the engine and calls it as `engine(attack, keys, predict, images,
    labels, targets, mask=mask)`, for its parts or for longer batches of the same program.

    Attributes:
      batch_size: Rows at a time, None for all; rounded up to a multiple of the devices.
      chunk: Steps in one compiled program, None for 1 on CPU and 8 elsewhere.
      progress: Where to show progress, None for nowhere.
      notes: Receives the notes of the attacks that ran, see `Result.notes`.
    """

    batch_size: int | None = None
    chunk: int | None = None
    progress: rich.progress.Progress | None = None
    notes: list[Note] = dataclasses.field(default_factory=list)

    def __call__(
        self,
        attack: Any,
        keys: Any,
        predict: Any,
        images: Any,
        labels: Any,
        targets: Any = None,
        *,
        mask: Any,
    ) -> Result:
        """Attacks a batch; arguments are as `attacks.run` describes them, with one key per row."""
        examples = Examples(keys, images, labels, targets, mask)
        if checks.is_traced(attack, predict, examples):
            return self._inside(attack, predict, examples)
        attack, count = rows.strong(attack), len(images)
        placement = Placement()
        size = count if self.batch_size is None else min(self.batch_size, count)
        size = -(-size // placement.count) * placement.count
        predict, results = placement.copy(predict), []
        for start in range(0, count, size):
            end = min(start + size, count)
            part, own = examples, attack
            if size != count:
                wanted = start + np.arange(size)
                chosen = np.minimum(wanted, count - 1)  # rows past the end repeat the last, masked
                part = jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], examples)
                part = part._replace(mask=part.mask & (wanted < count))
                own = rows.take(attack, chosen)
            result = self._outside(own, predict, placement.spread(part), placement)
            results.append(jax.tree.map(lambda leaf, n=end - start: leaf[:n], result))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *results)

    def _outside(
        self, attack: Any, predict: Any, examples: Examples, placement: Placement
    ) -> Result:
        """Attacks a batch from Python: judge the clean images, attack, judge what came out."""
        keys, images, labels, targets, mask = examples
        logits = judge.evaluate(predict, images)
        checks.logits(logits, labels, targets, mask)
        attack.check(images.shape[1:], logits.shape[-1])
        self._note(attack, logits.shape[-1], targets)
        rule = attack if hasattr(attack, "fooled") else None
        wrong = judge.compiled_verdict(rule, logits, labels, None) & mask
        if hasattr(attack, "run"):
            result = attack.run(self, keys, predict, images, labels, targets, mask)
        else:
            result = self._stepwise(attack, predict, examples, wrong, placement)
        if getattr(attack, "judged", False):
            return result
        logits = judge.evaluate(predict, result.images)
        success = judge.compiled_verdict(rule, logits, labels, targets)
        return result._replace(success=success & mask & ~wrong, misclassified=wrong)

    def _note(self, attack: Any, num_classes: int, targets: Any) -> None:
        """Takes down what an attack has to say, once."""
        note = getattr(attack, "note", None)
        text = note(num_classes, targets is not None) if note else ""
        if text and text not in self.notes:
            self.notes.append(Note(text))

    def _stepwise(
        self, attack: Any, predict: Any, examples: Examples, wrong: Any, placement: Placement
    ) -> Result:
        """Runs a stepwise attack from Python, with progress shown."""
        limit = attack.max_steps(examples.images.shape[1:])
        stop = stopped(attack, examples.labels, wrong, examples.mask)
        keys, images, labels, targets, _ = examples
        carry = loop.compiled_begin(attack, predict, keys, images, labels, targets, stop)
        name, total = type(attack).__name__, len(stop)
        bar, task = self.progress, None
        if bar is not None:
            task = bar.add_task(name, total=limit)

        def report(number: int, standing: int) -> None:
            if bar is not None and task is not None:
                text = f"{name}, {standing} of {total} images"
                bar.update(task, completed=number, description=text)

        chunk = self.chunk or (1 if jax.default_backend() == "cpu" else 8)
        carry = loop.host(
            attack, predict, carry, limit, chunk=chunk, placement=placement, report=report
        )
        if bar is not None and task is not None:
            bar.remove_task(task)
        return to_result(carry)

    def _inside(self, attack: Any, predict: Any, examples: Examples) -> Result:
        """Attacks a batch as a part of the program that is being traced."""
        predict, examples = jax.lax.stop_gradient((predict, examples))
        keys, images, labels, targets, mask = examples
        logits = predict(images)
        checks.logits_shape(logits.shape, labels, targets)
        attack.check(images.shape[1:], logits.shape[-1])  # before its numbers become placeholders
        self._note(attack, logits.shape[-1], targets)
        attack = jax.lax.stop_gradient(rows.strong(attack))
        rule = attack if hasattr(attack, "fooled") else None
        wrong = judge.verdict(rule, logits, labels, None) & mask
        if hasattr(attack, "run"):
            result = attack.run(self, keys, predict, images, labels, targets, mask)
        else:
            stop = stopped(attack, labels, wrong, mask)
            result = to_result(loop.inline(attack, predict, keys, images, labels, targets, stop))
        if getattr(attack, "judged", False):
            return jax.lax.stop_gradient(result)
        success = judge.verdict(rule, predict(result.images), labels, targets)
        result = result._replace(success=success & mask & ~wrong, misclassified=wrong)
        return jax.lax.stop_gradient(result)  # predict may close over weights


def stopped(attack: Any, labels: Any, wrong: Any, mask: Any) -> Any:
    """Returns which examples are done before the first step, `(b,)`.

    Padding; what is wrong already, if the attack stops where it fools; and label maps without a
    pixel that counts, on which no loss has a gradient (noise needs none).
    """
    early = getattr(attack, "minimal", False) or getattr(attack, "until_fooled", False)
    void = ~(labels >= 0).reshape(len(labels), -1).any(axis=1)
    return ~mask | (wrong & early) | (void & (not getattr(attack, "noise", False)))


def to_result(carry: loop.Carry) -> Result:
    """Reads the last states; a state without counts has cost one gradient a step."""
    state, never = carry.state, jnp.zeros(carry.steps.shape, bool)
    return Result(
        images=state.image,
        success=never,  # judged by the engine
        steps=carry.steps,
        gradients=getattr(state, "gradients", carry.steps),
        forwards=getattr(state, "forwards", jnp.zeros_like(carry.steps)),
        flat=state.flat,
        misclassified=never,
    )
