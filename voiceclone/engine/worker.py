"""The one thread that touches a device: opens, steps and releases sessions, and runs calls between steps."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter

from voiceclone.backend import Step
from voiceclone.engine import scheduler
from voiceclone.engine.costs import StepCosts
from voiceclone.engine.failures import typed
from voiceclone.engine.limits import Limits
from voiceclone.engine.mailbox import End, Outcome
from voiceclone.engine.session import Session
from voiceclone.errors import VoicecloneError
from voiceclone.types import Chunk

log = logging.getLogger("voiceclone.engine")

#: Seconds after which held sessions are looked at again, lest one whose loop has been closed is kept for ever.
ORPHAN_SWEEP = 10.0


class Worker:
    """Owns the sessions of one device; everything else reaches it through ``post``."""

    def __init__(self, device: str, limits: Limits, clock: Callable[[], float] = perf_counter) -> None:
        self.device = device
        self.clock = clock
        self.steps = 0
        self.stepped_sessions = 0
        self.compute_seconds = 0.0
        self.audio_seconds = 0.0
        self._limits = limits
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._sessions: list[Session] = []
        self._costs = StepCosts()
        self._busy_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"voiceclone-{device}", daemon=True)
        self._thread.start()

    # -- from any thread ----------------------------------------------------------------------------------------------

    def post(self, message: Callable[[], None]) -> None:
        """Run ``message`` on this thread before the next step."""
        self._inbox.put(message)

    def start(self, session: Session) -> None:
        """Open ``session`` and step it until it ends; what comes of it goes to its mailbox."""
        self.post(partial(self._open, session))

    def stop(self) -> None:
        """Release every session and end the thread."""
        self.post(self._halt)

    def join(self, timeout: float) -> bool:
        """True when the thread has ended within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def stalled_seconds(self) -> float:
        """How long the piece of work under way has been running."""
        since = self._busy_since
        return 0.0 if since is None else self.clock() - since

    # -- on the worker's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait: float | None = None
        while not self._stopping:
            try:
                self._listen(wait)
                wait = self._advance()
            except BaseException:  # a fault of the engine's own; the thread must outlive it
                log.exception("the engine failed between steps")
                wait = 0.01

    def _listen(self, wait: float | None) -> None:
        """Handle messages: wait for the first up to ``wait`` seconds (None: for ever), give the rest a time budget."""
        try:
            message = self._inbox.get_nowait() if wait == 0.0 else self._inbox.get(timeout=wait)
        except Empty:
            return
        began = self._busy_since = self.clock()
        try:
            while not self._stopping:
                message()
                if self._sessions and self.clock() - began > self._limits.setup_budget:
                    return
                message = self._inbox.get_nowait()
        except Empty:
            pass
        finally:
            self._busy_since = None

    def _open(self, session: Session) -> None:
        session.opened_at = self.clock()
        if session.dropped:
            return self._deliver(session, (), End())
        try:
            session.handle = session.loaded.model.open(session.utterance)
        except BaseException as error:
            return self._deliver(session, (), End(self._explain(error, session)))
        self._sessions.append(session)
        return self._deliver(session, (), None)

    def _advance(self) -> float | None:
        """Do one step; returns how long to wait for the next (0.0: not at all, None: until a message comes)."""
        for session in self._sessions:
            session.held = True  # before looking: what a reader changes from here on wakes this thread
        for session in [session for session in self._sessions if session.dropped]:
            self._close(session, (), End())
        if not self._sessions:
            return None
        now, limits = self.clock(), self._limits
        candidates = [
            session.candidate(index, now, limits.first_audio_goal, limits.max_unread_chunks)
            for index, session in enumerate(self._sessions)
        ]
        chosen = scheduler.choose(candidates, self._max_batch, self._costs.predict)
        if not chosen:
            return self._rest(scheduler.wake_after(candidates))
        for session in self._sessions:
            session.held = False
        self._step([self._sessions[candidate.index] for candidate in chosen])
        return 0.0

    def _rest(self, wait: float | None) -> float:
        """How long to wait while every session is held; those whose loop is closed are dropped."""
        for session in self._sessions:
            if session.mailbox.loop.is_closed():
                session.dropped, wait = True, 0.0
        return ORPHAN_SWEEP if wait is None else min(wait, ORPHAN_SWEEP)

    def _max_batch(self, key: str) -> int:
        return next(s.loaded.model.capabilities.max_batch_size for s in self._sessions if s.loaded.key == key)

    def _step(self, batch: list[Session]) -> None:
        loaded = batch[0].loaded
        began = self._busy_since = self.clock()
        try:
            steps = list(loaded.model.step([session.handle for session in batch]))
            if len(steps) != len(batch):
                raise ValueError(f"step() of {loaded.key} returned {len(steps)} steps for {len(batch)} sessions.")
        except BaseException as error:
            log.error("model %s failed in a step of %d sessions", loaded.key, len(batch), exc_info=error)
            steps = [Step(done=True, error=_Logged(error))] * len(batch)
        finally:
            self._busy_since = None
        ended = self.clock()
        self._costs.record(loaded.key, len(batch), ended - began)
        self.steps += 1
        self.stepped_sessions += len(batch)
        self.compute_seconds += ended - began
        for session, step in zip(batch, steps, strict=True):
            session.compute_seconds += (ended - began) / len(batch)
            self._settle(session, step, ended)

    def _settle(self, session: Session, step: Step, now: float) -> None:
        """Pass on what ``step`` brought, and release the session where it has ended."""
        if session.dropped:
            return self._close(session, (), End())
        error: BaseException | None = None
        chunks: tuple[Chunk, ...] = ()
        cut = False
        try:
            chunks, cut = self._admit(session, step.chunks)
            error = step.error
        except Exception as fault:  # the step holds something else than steps and chunks hold
            error = fault
        self.audio_seconds += session.record(chunks, now) / session.sample_rate
        if error is not None:
            return self._close(session, chunks, End(self._explain(error, session)))
        if step.done or cut:
            return self._close(session, chunks, End(None, step.truncated or cut))
        if chunks:
            self._deliver(session, chunks, None)
        return None

    def _admit(self, session: Session, chunks: tuple[Chunk, ...]) -> tuple[tuple[Chunk, ...], bool]:
        """The chunks that may leave, and whether the utterance has become too long. Raises ValueError on bad audio."""
        total = session.sent_samples
        limit = int(self._limits.max_audio_seconds * session.sample_rate)
        for position, chunk in enumerate(chunks):
            samples = chunk.samples
            if samples.dtype != "float32" or samples.ndim != 1:
                raise ValueError(
                    f"a chunk of {session.loaded.key} is {samples.dtype} {samples.shape}, not float32 [T]."
                )
            if not math.isfinite(float(samples @ samples)):
                raise ValueError(f"a chunk of {session.loaded.key} holds NaN or infinite samples.")
            total += len(samples)
            if total > limit:
                return tuple(chunks[:position]), True
        return tuple(chunks), False

    def _close(self, session: Session, chunks: tuple[Chunk, ...], end: End) -> None:
        """Release ``session`` and tell its loop."""
        self._sessions.remove(session)
        handle, session.handle = session.handle, None
        try:
            session.loaded.model.release(handle)
        except BaseException:
            log.exception("model %s failed to release a session", session.loaded.key)
        self._deliver(session, chunks, end)

    def _deliver(self, session: Session, chunks: tuple[Chunk, ...], end: End | None) -> None:
        if not session.mailbox.put(Outcome(session, chunks, end)):
            for orphan in self._sessions:  # nobody will read the streams of a closed loop again
                orphan.dropped = orphan.dropped or orphan.mailbox is session.mailbox

    def _explain(self, error: BaseException, session: Session) -> VoicecloneError:
        if isinstance(error, _Logged):
            error = error.cause
        elif not isinstance(error, VoicecloneError):
            log.error("model %s failed on an utterance", session.loaded.key, exc_info=error)
        return typed(error, audio_left=session.sent_samples > 0)

    def _halt(self) -> None:
        self._stopping = True
        for session in list(self._sessions):
            self._close(session, (), End())


class _Logged(Exception):
    """An error that is in the log already."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause
