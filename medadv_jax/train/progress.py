"""What a training shows while it runs: a bar on a terminal, lines in a file."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import rich.console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Shown:
    """The progress of one training; silent without a title."""

    def __init__(self, title: str | None, steps: int, bar: Progress | None = None):
        self._title, self._steps, self._bar = title, steps, bar
        self._task: Any = None

    def begin(self, taken: int, finished: bool) -> None:
        """Shows how far the training was when it was taken up, and whether it had ended."""
        if self._bar is not None:
            self._task = self._bar.add_task(self._title or "", total=self._steps, completed=taken)
        elif finished:
            self._line("was trained before")
        elif taken:
            self._line(f"goes on at step {taken} of {self._steps}")
        else:
            self._line(f"{self._steps} steps")

    def advance(self) -> None:
        """Moves by one step."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def note(self, step: int, loss: float, score: float) -> None:
        """Shows the last loss, and the last validation score unless it is NaN."""
        told = f"loss {loss:.3f}" + ("" if math.isnan(score) else f", validation {score:.3f}")
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._title}, {told}")
        else:
            self._line(f"step {step} of {self._steps}, {told}")

    def _line(self, text: str) -> None:
        if self._title is not None:
            print(f"{self._title}: {text}", flush=True)


@contextlib.contextmanager
def shown(title: str | None, steps: int) -> Iterator[Shown]:
    """Opens the display of a training.

    Args:
      title: What is trained; None shows nothing.
      steps: Steps in total.
    """
    if title is None or not rich.console.Console().is_terminal:
        yield Shown(title, steps)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.completed} of {task.total}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        yield Shown(title, steps, bar)
