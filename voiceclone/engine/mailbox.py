"""The way from a device's thread back to an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from voiceclone.errors import VoicecloneError
from voiceclone.types import Chunk

if TYPE_CHECKING:
    from voiceclone.engine.session import Session

log = logging.getLogger("voiceclone.engine")


@dataclass(frozen=True, slots=True)
class End:
    """The worker has released the session."""

    error: VoicecloneError | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step, or the opening, brought for one session."""

    session: Session
    chunks: tuple[Chunk, ...] = ()
    end: End | None = None


class Mailbox:
    """Carries outcomes to one event loop; while the loop is busy they gather, so a fast model wakes it only once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[Outcome]], None]) -> None:
        self.loop = loop
        self._deliver = deliver
        self._outcomes: deque[Outcome] = deque()
        self._scheduled = False

    def put(self, outcome: Outcome) -> bool:
        """Send ``outcome`` from any thread; False where the loop is closed."""
        self._outcomes.append(outcome)
        if self._scheduled:
            return not self.loop.is_closed()
        self._scheduled = True
        try:
            self.loop.call_soon_threadsafe(self._flush)
        except RuntimeError:
            return False
        return True

    def _flush(self) -> None:
        self._scheduled = False  # before reading: what is put from here on schedules anew
        outcomes = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        self._deliver(outcomes)


class Call:
    """A function to be run on a device's thread for somebody on a loop, who awaits ``result``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self.result: asyncio.Future[Any] = loop.create_future()
        self._loop = loop
        self._function = function
        self._arguments = arguments

    def __call__(self) -> None:
        if self.result.cancelled():
            return
        value: Any = None
        failure: BaseException | None = None
        try:
            value = self._function(*self._arguments)
        except BaseException as error:
            failure = error
        try:
            self._loop.call_soon_threadsafe(partial(self._report, value, failure))
        except RuntimeError:
            log.debug("the loop that waited for a call is closed")

    def _report(self, value: Any, failure: BaseException | None) -> None:
        if not self.result.done():
            self.result.set_result((value, failure))
