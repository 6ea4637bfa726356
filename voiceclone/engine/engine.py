"""Admission: which utterances get a session and when, and how each of them ends."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

from voiceclone.engine.failures import typed
from voiceclone.engine.limits import EngineStats, Limits
from voiceclone.engine.mailbox import Call, Mailbox, Outcome
from voiceclone.engine.session import Loaded, Phase, Session
from voiceclone.engine.stream import Stream
from voiceclone.engine.worker import Worker
from voiceclone.errors import DeadlineExceeded, Draining, ModelNotLoaded, QueueFull, VoicecloneError
from voiceclone.types import Utterance

log = logging.getLogger("voiceclone.engine")
T = TypeVar("T")

#: Seconds ``stop`` waits for a device's thread to come out of a step before it is left behind.
STOP_TIMEOUT = 5.0


class Engine:
    """Runs utterances on the devices' threads; every method but ``stats`` is called on one event loop."""

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.limits = limits
        self._workers: dict[str, Worker] = {}
        self._mailbox: Mailbox | None = None
        self._active: set[Session] = set()
        self._queue: deque[Session] = deque()
        self._evicted: WeakSet[Any] = WeakSet()
        self._watchers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._draining = False
        self._counts = {"started": 0, "finished": 0, "failed": 0, "cancelled": 0, "refused": 0}
        #: Running mean of the time a session holds its slot, in seconds.
        self._hold_seconds = 0.0
        # A backend's Python code would otherwise keep the loop from running for 5 ms at a time.
        sys.setswitchinterval(min(sys.getswitchinterval(), 0.0005))

    async def submit(
        self, loaded: Loaded, utterance: Utterance, *, timeout: float | None = None, max_lead: float | None = None
    ) -> Stream:
        """``start`` the utterance and return its stream once the model has accepted it.

        Raises what ``start`` raises, and what ``Model.open`` raises (InvalidRequest and its kin).
        """
        stream = self.start(loaded, utterance, timeout=timeout, max_lead=max_lead)
        await stream.opened()
        return stream

    def start(
        self, loaded: Loaded, utterance: Utterance, *, timeout: float | None = None, max_lead: float | None = None
    ) -> Stream:
        """Hand ``utterance`` to the device's thread, or queue it; ``await stream.opened()`` tells what the model says.

        Whatever the caller has to do next it can do while that thread wakes up. ``timeout``: seconds for the whole
        utterance, waiting included. ``max_lead``: seconds of audio to run ahead of playout, ``math.inf`` for a caller
        who wants all of it at once. Raises QueueFull where no slot will be free in time, DeadlineExceeded, Draining,
        ModelNotLoaded.
        """
        mailbox = self._bind()
        self._require_open(loaded)
        if timeout is not None and timeout <= 0:
            raise DeadlineExceeded("the deadline had passed before the work began.")
        lead = self.limits.default_max_lead if max_lead is None else max_lead
        session = Session(mailbox, self._worker(loaded.device), loaded, utterance, lead)
        if len(self._active) < self.limits.max_active and not self._queue:
            self._start(session)
        else:
            self._enqueue(session, timeout)
        if timeout is not None and math.isfinite(timeout):
            late = DeadlineExceeded("the deadline passed before all of the audio was made.")
            session.timer = mailbox.loop.call_later(timeout, self._drop, session, late)
        return Stream(session, self._cancel)

    async def call(self, loaded: Loaded, function: Callable[..., T], *arguments: Any) -> T:
        """Run ``function(*arguments)`` on the thread of the model's device, between two steps.

        A VoicecloneError comes through as it is, a device without memory as DeviceOutOfMemory, all else as
        BackendCrashed.
        """
        call = Call(self._bind().loop, function, arguments)
        self._worker(loaded.device).post(call)
        value, failure = await call.result
        if failure is not None:
            if not isinstance(failure, VoicecloneError):
                log.error("a call on %s failed", loaded.key, exc_info=failure)
            raise typed(failure, audio_left=False) from failure.__cause__ or failure
        result: T = value
        return result

    async def evict(self, loaded: Loaded, grace: float) -> None:
        """Take no more utterances for ``loaded``; wait ``grace`` seconds for those it has, then end them."""
        self._bind()
        self._evicted.add(loaded)
        try:
            await self._empty(
                lambda session: session.loaded is loaded, grace, lambda: ModelNotLoaded("the model is being unloaded.")
            )
        except asyncio.CancelledError:  # it stays loaded, and must go on speaking
            self._evicted.discard(loaded)
            raise

    async def drain(self, grace: float) -> None:
        """Take nothing more; wait ``grace`` seconds for what is under way or queued, then end it."""
        self._bind()
        self._draining = True
        await self._empty(lambda session: True, grace, lambda: Draining("the server is shutting down."))

    async def stop(self) -> None:
        """End everything now, and the devices' threads with it; one that hangs in a step is left behind."""
        await self.drain(0.0)
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.stop()
        for worker in workers:
            if not await asyncio.to_thread(worker.join, STOP_TIMEOUT):
                log.warning("the thread of %s hangs in a step and was left behind", worker.device)

    def stats(self) -> EngineStats:
        workers = list(self._workers.values())
        return EngineStats(
            active=len(self._active),
            queued=len(self._queue),
            **self._counts,
            steps=sum(worker.steps for worker in workers),
            stepped_sessions=sum(worker.stepped_sessions for worker in workers),
            audio_seconds=sum(worker.audio_seconds for worker in workers),
            compute_seconds=sum(worker.compute_seconds for worker in workers),
            stalled_seconds=max((worker.stalled_seconds for worker in workers), default=0.0),
        )

    # -- admission ----------------------------------------------------------------------------------------------------

    def _bind(self) -> Mailbox:
        """The way back to the running loop; sessions of an earlier loop that has closed are forgotten."""
        loop = asyncio.get_running_loop()
        if self._mailbox is None or self._mailbox.loop is not loop:
            if self._mailbox is not None and not self._mailbox.loop.is_closed() and (self._active or self._queue):
                raise RuntimeError("this engine serves another event loop, which still has streams.")
            for session in self._active:
                session.dropped = True
                session.nudge()
            self._active.clear()
            self._queue.clear()
            self._watchers.clear()
            self._mailbox = Mailbox(loop, self._deliver)
        return self._mailbox

    def _require_open(self, loaded: Loaded) -> None:
        if self._draining:
            raise Draining("the server is shutting down.")
        if loaded in self._evicted:
            raise ModelNotLoaded("the model is being unloaded.")

    def _worker(self, device: str) -> Worker:
        worker = self._workers.get(device)
        if worker is None:
            worker = self._workers[device] = Worker(device, self.limits)
        return worker

    def _enqueue(self, session: Session, timeout: float | None) -> None:
        wait = (len(self._queue) + 1) * self._hold_seconds / self.limits.max_active
        if len(self._queue) >= self.limits.max_queued:
            self._counts["refused"] += 1
            raise QueueFull("too many requests are waiting.", retry_after=max(wait, 0.1))
        if timeout is not None and timeout < wait:
            self._counts["refused"] += 1
            raise QueueFull(f"about {wait:.1f} s of waiting is more than the deadline leaves.", retry_after=wait)
        self._queue.append(session)

    def _start(self, session: Session) -> None:
        session.phase = Phase.OPENING
        self._active.add(session)
        self._counts["started"] += 1
        session.worker.start(session)

    def _deliver(self, outcomes: list[Outcome]) -> None:
        """Hand to each reader what the worker made; runs on the loop."""
        for outcome in outcomes:
            session, end = outcome.session, outcome.end
            if end is None or end.error is None or outcome.chunks:
                session.receive(outcome.chunks)
            if end is None:
                continue
            if session.phase is not Phase.ENDED:
                self._counts["finished" if end.error is None else "failed"] += 1
            session.finish(end.error, end.truncated)
            self._free(session)

    def _free(self, session: Session) -> None:
        """Give the slot of ``session`` to the next in the queue."""
        if session not in self._active:
            return
        self._active.remove(session)
        held = session.worker.clock() - session.opened_at
        self._hold_seconds += (held - self._hold_seconds) * (0.2 if self._hold_seconds else 1.0)
        while self._queue and len(self._active) < self.limits.max_active:
            self._start(self._queue.popleft())
        self._notify()

    def _cancel(self, session: Session) -> None:
        self._drop(session, None)

    def _drop(self, session: Session, error: VoicecloneError | None) -> None:
        """End ``session`` for its reader now, and for the worker within one step."""
        if session.phase is Phase.ENDED:
            session.chunks.clear()
            return
        self._counts["cancelled" if error is None else "failed"] += 1
        if session.phase is Phase.QUEUED:
            self._queue.remove(session)
        session.drop(error)
        self._notify()

    # -- waiting for the end ------------------------------------------------------------------------------------------

    async def _empty(
        self, mine: Callable[[Session], bool], grace: float, reason: Callable[[], VoicecloneError]
    ) -> None:
        """Wait until no session that is ``mine`` is left; after ``grace`` seconds end them for ``reason()``."""

        def gone() -> bool:
            return not any(map(mine, self._active)) and not any(map(mine, self._queue))

        if await self._wait_for(gone, grace):
            return
        for session in [*self._queue, *self._active]:
            if mine(session):
                self._drop(session, reason())
        if not await self._wait_for(gone, STOP_TIMEOUT):
            log.warning("a step did not end within %.0f s", STOP_TIMEOUT)

    async def _wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        if condition() or timeout <= 0:
            return condition()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watcher = (condition, future)
        self._watchers.append(watcher)
        try:
            await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            return condition()
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
        return True

    def _notify(self) -> None:
        for condition, future in list(self._watchers):
            if not future.done() and condition():
                future.set_result(None)
