"""What a caller reads an utterance's audio from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from voiceclone.engine.failures import copy_of
from voiceclone.engine.session import Phase, Session
from voiceclone.types import Chunk


class Stream:
    """Async iterator of the chunks of one utterance; usable only on the event loop that submitted it.

    Leaving ``async with``, ``cancel()`` or dropping the last reference ends the work within one step.
    """

    def __init__(self, session: Session, cancel: Callable[[Session], None]) -> None:
        self._session = session
        self._cancel = cancel

    async def opened(self) -> None:
        """Return when the model has accepted the utterance. Raises what ``Model.open`` raised; nothing is left then."""
        try:
            await self._session.opened
        except asyncio.CancelledError:
            self.cancel()
            raise

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk. Raises the VoicecloneError that ended the utterance, after the chunks made before it."""
        session = self._session
        while not session.chunks:
            if session.phase is Phase.ENDED:
                if session.error is not None:
                    raise copy_of(session.error)
                raise StopAsyncIteration
            await session.wait()
        chunk = session.chunks.popleft()
        session.taken_samples += len(chunk.samples)
        session.taken_chunks += 1
        session.nudge()
        return chunk

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Stop the work; a reader waiting for a chunk sees the end of the stream. Harmless when all is done."""
        self._cancel(self._session)

    def report_played(self, samples: int) -> None:
        """Say how many samples the listener has heard: from now on the run-ahead bound counts from there."""
        session = self._session
        session.played_samples = max(samples, session.played_samples or 0)
        session.nudge()

    @property
    def queue_seconds(self) -> float:
        """Time from the request to the opening of its session."""
        return self._session.opened_at - self._session.submitted_at

    @property
    def first_audio_seconds(self) -> float:
        """Time from the request to its first chunk; 0.0 while there is none."""
        first = self._session.first_audio_at
        return 0.0 if first is None else first - self._session.submitted_at

    @property
    def compute_seconds(self) -> float:
        """The utterance's share of the time its steps took."""
        return self._session.compute_seconds

    @property
    def truncated(self) -> bool:
        """True when a limit cut the utterance short; known at the end."""
        return self._session.truncated

    @property
    def sample_count(self) -> int:
        """Samples made so far."""
        return self._session.sent_samples

    def __del__(self) -> None:
        session = self._session
        if session.phase is not Phase.ENDED:
            try:  # the collector may run on any thread
                session.mailbox.loop.call_soon_threadsafe(self._cancel, session)
            except RuntimeError:  # the loop is closed; the worker finds out by itself when it next delivers
                session.dropped = True
                session.nudge()
