"""A backend that fails ends its own utterances with a typed error, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from voiceclone.backend import Step
from voiceclone.engine import Engine
from voiceclone.engine.failures import copy_of, typed
from voiceclone.errors import (
    BackendCrashed,
    DeviceOutOfMemory,
    FieldViolation,
    InvalidRequest,
    QueueFull,
    StreamAborted,
    TextEmpty,
    VoicecloneError,
)
from voiceclone.types import Chunk


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def fail_at(step: int, error: BaseException) -> Any:
    """A ``before_step`` that raises at the given step, counted from 0."""
    seen = iter(range(1_000_000))

    def before_step(sessions: Sequence[Any]) -> None:
        if next(seen) == step:
            raise error

    return before_step


async def drained(stream: Any) -> int:
    return len([chunk async for chunk in stream])


async def test_what_open_refuses_is_raised_by_submit(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.check = lambda utterance: (_ for _ in ()).throw(TextEmpty("nothing to say.", field="input.text"))
    with pytest.raises(TextEmpty) as caught:
        await engine.submit(loaded, tools.say("1"))
    assert caught.value.violations == (FieldViolation("input.text", "nothing to say."),)
    assert engine.stats().active == 0
    assert loaded.model.released == 0
    del loaded.model.check
    assert await drained(await engine.submit(loaded, tools.say("2"))) == 2


async def test_a_fault_in_open_is_a_crash_without_its_text(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.check = lambda utterance: int("no number")
    with pytest.raises(BackendCrashed) as caught:
        await engine.submit(loaded, tools.say("1"))
    assert "no number" not in str(caught.value)


async def test_a_step_that_raises_before_audio_is_a_crash(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.before_step = fail_at(0, ValueError("secret"))
    stream = await engine.submit(loaded, tools.say("3"))
    with pytest.raises(BackendCrashed) as caught:
        await anext(stream)
    assert "secret" not in str(caught.value)
    assert caught.value.status == "UNAVAILABLE"
    assert loaded.model.released == 1


async def test_a_step_that_raises_after_audio_aborts_and_keeps_what_was_made(
    engine: Engine, loaded: Any, tools: Any
) -> None:
    loaded.model.before_step = fail_at(2, ValueError("x"))
    stream = await engine.submit(loaded, tools.say("5"))
    await tools.settle(engine, loaded)
    for _ in range(2):
        await anext(stream)
    for _ in range(2):
        with pytest.raises(StreamAborted):
            await anext(stream)
    assert loaded.model.released == 1


async def test_a_crash_says_no_more_each_time_it_is_raised(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.before_step = fail_at(0, ValueError("x"))
    stream = await engine.submit(loaded, tools.say("5"))
    with pytest.raises(BackendCrashed) as first:
        await anext(stream)
    with pytest.raises(BackendCrashed) as second:
        await anext(stream)
    assert first.value is not second.value
    assert str(first.value) == str(second.value)


async def test_the_whole_batch_fails_and_the_engine_goes_on(engine: Engine, tools: Any) -> None:
    loaded = tools.Loaded(tools.Counting(max_batch_size=4))
    loaded.model.gate = threading.Semaphore(0)
    first = await engine.submit(loaded, tools.say("5"))
    await loaded.model.wait_in_step()
    submits = [asyncio.ensure_future(engine.submit(loaded, tools.say("5"))) for _ in range(3)]
    await asyncio.sleep(0)

    def whole_batch(sessions: Sequence[Any]) -> None:
        if len(sessions) == 4:
            raise SystemExit("a backend that tries to end the process")

    loaded.model.before_step = whole_batch
    loaded.model.gate.release(1000)
    results = await asyncio.gather(*(drained(stream) for stream in [first, *await asyncio.gather(*submits)]),
                                   return_exceptions=True)  # fmt: skip
    assert all(isinstance(result, BackendCrashed | StreamAborted) for result in results)
    assert loaded.model.released == 4
    assert await drained(await engine.submit(loaded, tools.say("3"))) == 3
    assert engine.stats().failed == 4


async def test_the_error_of_one_step_ends_one_session(engine: Engine, tools: Any) -> None:
    class Picky(tools.Counting):  # type: ignore[misc]
        def synthesize(self, utterance: Any) -> Any:
            for index, chunk in enumerate(super().synthesize(utterance)):
                if utterance.seed == 1 and index == 2:
                    raise QueueFull("typed errors keep their type.")
                yield chunk

    loaded = tools.Loaded(Picky(max_batch_size=2))
    good, bad = [await engine.submit(loaded, tools.say("6", seed)) for seed in (0, 1)]
    with pytest.raises(QueueFull):
        await drained(bad)
    assert await drained(good) == 6


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
async def test_a_full_device_says_so(engine: Engine, loaded: Any, tools: Any, error: Exception) -> None:
    loaded.model.before_step = fail_at(0, error)
    with pytest.raises(DeviceOutOfMemory) as caught:
        await drained(await engine.submit(loaded, tools.say("3")))
    assert caught.value.status == "RESOURCE_EXHAUSTED"
    assert "GiB" not in str(caught.value)


def test_torchs_own_error_is_known() -> None:
    torch = pytest.importorskip("torch")
    assert isinstance(typed(torch.cuda.OutOfMemoryError("x"), audio_left=True), DeviceOutOfMemory)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(10), np.zeros((2, 10), np.float32), np.full(10, np.nan, np.float32), [0.0, 0.0], np.float32([np.inf])],
)
async def test_audio_that_is_no_audio_never_leaves(engine: Engine, loaded: Any, tools: Any, samples: Any) -> None:
    loaded.model.synthesize = lambda utterance: iter([Chunk(np.zeros(5, np.float32)), Chunk(samples)])
    stream = await engine.submit(loaded, tools.say("1"))
    assert len((await anext(stream)).samples) == 5
    with pytest.raises(StreamAborted):
        await anext(stream)


@pytest.mark.parametrize("steps", [[], [Step(), Step()], [None], None])
async def test_a_step_that_breaks_its_contract_fails(engine: Engine, loaded: Any, tools: Any, steps: Any) -> None:
    loaded.model.step = lambda sessions: steps
    with pytest.raises(BackendCrashed):
        await drained(await engine.submit(loaded, tools.say("1")))


async def test_a_release_that_raises_ends_the_stream_all_the_same(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.release = lambda session: 1 / 0
    assert await drained(await engine.submit(loaded, tools.say("3"))) == 3
    assert await drained(await engine.submit(loaded, tools.say("2"))) == 2


async def test_a_call_gives_its_result_or_a_typed_error(engine: Engine, loaded: Any) -> None:
    def thread_name() -> str:
        return threading.current_thread().name

    assert await engine.call(loaded, thread_name) == "voiceclone-cpu"
    assert await engine.call(loaded, max, 3, 5) == 5
    with pytest.raises(TextEmpty):
        await engine.call(loaded, lambda: (_ for _ in ()).throw(TextEmpty("as it is.")))
    for raised in (ValueError("x"), SystemExit(1), StopIteration()):
        with pytest.raises(BackendCrashed):
            await engine.call(loaded, fail_at(0, raised), [])
    with pytest.raises(DeviceOutOfMemory):
        await engine.call(loaded, fail_at(0, MemoryError()), [])


async def test_a_call_given_up_before_its_turn_is_not_made(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.gate = threading.Semaphore(0)
    stream = await engine.submit(loaded, tools.say("3"))
    await loaded.model.wait_in_step()
    made: list[int] = []
    call = asyncio.ensure_future(engine.call(loaded, made.append, 1))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.sleep(0)
    loaded.model.gate.release(100)
    assert await drained(stream) == 3
    assert made == []


def test_copies_of_an_error_keep_everything_but_the_traceback() -> None:
    error = InvalidRequest("wrong.", violations=(FieldViolation("a.b", "bad"),), hint="Do this.")
    twin = copy_of(error)
    assert twin is not error
    assert type(twin) is InvalidRequest
    assert (str(twin), twin.violations, twin.hint) == (str(error), error.violations, error.hint)  # type: ignore[attr-defined]
    assert isinstance(twin, VoicecloneError)
