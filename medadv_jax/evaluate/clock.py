"""Seconds of work, apart from the seconds that jax spent on compiling for it."""

import contextlib
import time
from collections.abc import Iterator

from jax import monitoring


class Clock:
    """Sums up the time inside `running`.

    Attributes:
      seconds: Time without compiling.
      compile_seconds: Time in which jax traced, lowered or compiled a function.
    """

    def __init__(self):
        self.seconds = 0.0
        self.compile_seconds = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time of a `with` block, which must wait for its own results."""
        spans: list[tuple[float, float]] = []

        def listen(event: str, start_time: float, end_time: float, **_: str | int) -> None:
            if event.startswith("/jax/core/compile/"):
                spans.append((start_time, end_time))

        monitoring.register_event_time_span_listener(listen)
        start = time.time()  # the clock of jax's spans
        try:
            yield
        finally:
            elapsed = time.time() - start
            monitoring.unregister_event_time_span_listener(listen)
            compiling = min(covered(spans), elapsed)
            self.compile_seconds += compiling
            self.seconds += elapsed - compiling


def covered(spans: list[tuple[float, float]]) -> float:
    """Returns the length of the union of spans: a function is traced inside another's tracing.

    >>> covered([(2.0, 3.0), (1.0, 4.0), (5.0, 6.0)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
