"""What stands around a training loop: the signals that end it and the bar that shows how far it is."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls ``stop``, which ends the loop after its step; a second one acts as usual."""

    def received(number: int, frame: object) -> None:
        stop()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, received) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress_bar(console: Console, *, shown: bool = True) -> Progress:
    """A bar with a description and a field ``note`` for each task."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
        disable=not shown,
    )  # fmt: skip
