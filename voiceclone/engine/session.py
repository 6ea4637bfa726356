"""One utterance under way: what the event loop's side and the worker's side know of it."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from voiceclone.backend import Model
from voiceclone.engine.mailbox import Mailbox
from voiceclone.engine.scheduler import Candidate, playout
from voiceclone.errors import VoicecloneError
from voiceclone.types import Chunk, Utterance

if TYPE_CHECKING:
    from voiceclone.engine.worker import Worker


class Loaded(Protocol):
    """What the engine needs to know of a loaded model."""

    @property
    def key(self) -> str: ...

    @property
    def model(self) -> Model: ...

    @property
    def device(self) -> str: ...


class Phase(Enum):
    """Where an utterance is; it only moves forward."""

    QUEUED = 0
    OPENING = 1
    RUNNING = 2
    ENDED = 3


class Session:
    """State of one utterance. Each attribute has one writer, the loop or the worker; the other only reads it."""

    def __init__(self, mailbox: Mailbox, worker: Worker, loaded: Loaded, utterance: Utterance, max_lead: float) -> None:
        self.mailbox = mailbox
        self.worker = worker
        self.loaded = loaded
        self.utterance = utterance
        self.max_lead = max_lead
        self.sample_rate = loaded.model.capabilities.sample_rate
        self.submitted_at = worker.clock()
        # Written by the loop.
        self.phase = Phase.QUEUED
        self.error: VoicecloneError | None = None
        self.truncated = False
        #: The reader is gone or the time is up: the worker must not step it again.
        self.dropped = False
        self.chunks: deque[Chunk] = deque()
        self.taken_samples = 0
        self.taken_chunks = 0
        self.played_samples: int | None = None
        self.opened: asyncio.Future[None] = mailbox.loop.create_future()
        self.timer: asyncio.TimerHandle | None = None
        self._reader: asyncio.Future[None] | None = None
        # Written by the worker.
        self.handle: Any = None
        self.opened_at = 0.0
        self.first_audio_at: float | None = None
        #: When a listener without a pause would have begun: moved later by every time the audio ran out.
        self.playing_since: float | None = None
        self.sent_samples = 0
        self.sent_chunks = 0
        self.compute_seconds = 0.0
        #: True while only a reader, a report or time can make it run again; then they wake the worker.
        self.held = False

    # -- the worker's side --------------------------------------------------------------------------------------------

    def candidate(self, index: int, now: float, goal: float, max_unread: int) -> Candidate:
        """The scheduler's view of the session at time ``now``."""
        rate = self.sample_rate
        slack, lead = playout(
            sent=self.sent_samples / rate,
            taken=self.taken_samples / rate,
            since_start=None if self.playing_since is None else now - self.playing_since,
            reported=None if self.played_samples is None else self.played_samples / rate,
            waited=now - self.submitted_at,
            goal=goal,
        )
        has_room = self.sent_chunks - self.taken_chunks < max_unread
        return Candidate(index, self.loaded.key, slack, lead, self.max_lead, has_room)

    def record(self, chunks: tuple[Chunk, ...], now: float) -> int:
        """Count ``chunks`` as made at time ``now``; returns their samples."""
        samples = sum(len(chunk.samples) for chunk in chunks)
        if samples:
            if self.first_audio_at is None or self.playing_since is None:
                self.first_audio_at = self.playing_since = now
            else:
                self.playing_since = max(self.playing_since, now - self.sent_samples / self.sample_rate)
        self.sent_samples += samples
        self.sent_chunks += len(chunks)
        return samples

    # -- the loop's side ----------------------------------------------------------------------------------------------

    def receive(self, chunks: tuple[Chunk, ...]) -> None:
        """Take what a step brought; the first thing ever received says that the model has accepted the utterance."""
        if self.phase is Phase.OPENING:
            self.phase = Phase.RUNNING
            if not self.opened.done():
                self.opened.set_result(None)
        if chunks and not self.dropped:
            self.chunks.extend(chunks)
            self._wake_reader()

    def finish(self, error: VoicecloneError | None, truncated: bool = False) -> None:
        """End the utterance for its reader: after the chunks it has yet to read comes ``error`` or the end."""
        if self.phase is Phase.ENDED:
            return
        self.phase, self.error, self.truncated = Phase.ENDED, error, truncated
        if self.timer is not None:
            self.timer.cancel()
        if not self.opened.done():
            if error is not None:
                self.opened.set_exception(error)
            else:
                self.opened.set_result(None)
        self._wake_reader()

    def drop(self, error: VoicecloneError | None) -> None:
        """End it at once: unread chunks are thrown away and the worker releases the session within one step."""
        self.dropped = True
        self.chunks.clear()
        self.finish(error)
        self.nudge()

    async def wait(self) -> None:
        """Return when there is something new to read."""
        self._reader = self.mailbox.loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def nudge(self) -> None:
        """Tell the worker that something it waits for has changed."""
        if self.held:
            self.worker.post(_nothing)


def _nothing() -> None:
    """A message whose arrival is all it says."""
