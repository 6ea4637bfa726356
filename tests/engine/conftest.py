"""A backend whose every step a test can hold, count and break, and an engine to run it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from voiceclone.backend import GeneratorModel, Step
from voiceclone.engine import Engine, Limits
from voiceclone.types import Capabilities, Chunk, Utterance

RATE = 1000
#: Samples of a chunk: 0.1 s.
CHUNK = 100


class Counting(GeneratorModel):
    """Says a text of digits ("3": three chunks); chunk k of an utterance is filled with seed + k thousandths.

    ``gate``: where set, each step needs one ``release()`` of it. ``before_step`` sees each batch and may raise.
    """

    def __init__(self, max_batch_size: int = 1) -> None:
        self.capabilities = Capabilities(languages=("en",), sample_rate=RATE, max_batch_size=max_batch_size)
        self.gate: threading.Semaphore | None = None
        self.in_step = threading.Event()
        self.before_step: Callable[[Sequence[Any]], None] = lambda sessions: None
        self.batches: list[int] = []
        self.opened: list[Utterance] = []
        self.released = 0

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        for index in range(int(utterance.text)):
            yield Chunk(np.full(CHUNK, (utterance.seed + index) / 1000, np.float32))

    def open(self, utterance: Utterance) -> Iterator[Chunk]:
        session = super().open(utterance)
        self.opened.append(utterance)
        return session

    def step(self, sessions: Sequence[Iterator[Chunk]]) -> list[Step]:
        self.in_step.set()
        if self.gate is not None:
            self.gate.acquire()
        self.batches.append(len(sessions))
        self.before_step(sessions)
        return super().step(sessions)

    def release(self, session: Iterator[Chunk]) -> None:
        super().release(session)
        self.released += 1

    async def wait_in_step(self) -> None:
        """Return when the worker stands in a step."""
        await asyncio.to_thread(self.in_step.wait)
        self.in_step.clear()


@dataclass(eq=False)
class FakeLoaded:
    """A model as the engine wants it."""

    model: Counting = field(default_factory=Counting)
    key: str = "counting@1"
    device: str = "cpu"


@pytest.fixture
def loaded() -> FakeLoaded:
    return FakeLoaded()


@pytest.fixture
async def make_engine() -> AsyncIterator[Callable[..., Engine]]:
    """Engines with the given limits, stopped at the end of the test; after each message comes a step."""
    engines: list[Engine] = []

    def make(**limits: Any) -> Engine:
        engines.append(Engine(Limits(**{"setup_budget": 0.0, **limits})))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.stop()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()


def say(text: str, seed: int = 0) -> Utterance:
    return Utterance(text, b"", seed=seed)


def expected(text: str, seed: int = 0) -> np.ndarray[Any, Any]:
    chunks = [np.full(CHUNK, (seed + index) / 1000, np.float32) for index in range(int(text))]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


async def settle(engine: Engine, loaded: FakeLoaded, rounds: int = 40) -> None:
    """Let the worker do all the steps it is willing to do: with no setup budget, one between two calls."""
    for _ in range(rounds):
        await engine.call(loaded, lambda: None)


@pytest.fixture
def tools() -> Tools:
    return Tools()


class Tools:
    """The helpers above, reachable from tests without an importable tests package."""

    CHUNK = CHUNK
    Counting = Counting
    Loaded = FakeLoaded
    RATE = RATE
    expected = staticmethod(expected)
    say = staticmethod(say)
    settle = staticmethod(settle)
