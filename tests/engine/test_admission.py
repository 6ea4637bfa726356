"""Who gets a session: the queue and its bounds, deadlines, draining, eviction, and the end of the engine."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from voiceclone.engine import Engine, Limits
from voiceclone.engine import engine as engine_module
from voiceclone.errors import DeadlineExceeded, Draining, ModelNotLoaded, QueueFull


async def drained(stream: Any) -> int:
    return len([chunk async for chunk in stream])


async def begin(engine: Engine, loaded: Any, utterance: Any, **more: Any) -> asyncio.Task[Any]:
    """Submit in a task of its own, and let it come as far as it can without the worker."""
    task = asyncio.ensure_future(engine.submit(loaded, utterance, **more))
    await asyncio.sleep(0)
    return task


async def test_the_queue_is_served_in_order_and_never_over_the_bound(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=2)
    tasks = [await begin(engine, loaded, tools.say("3", seed)) for seed in range(7)]
    assert (engine.stats().active, engine.stats().queued) == (2, 5)
    for task in tasks:
        assert await drained(await task) == 3
        assert engine.stats().active <= 2
    assert [utterance.seed for utterance in loaded.model.opened] == list(range(7))


async def test_a_full_queue_refuses_and_says_when_to_come_back(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1, max_queued=1)
    loaded.model.gate = threading.Semaphore(0)
    first = await engine.submit(loaded, tools.say("1"))
    second = await begin(engine, loaded, tools.say("1"))
    with pytest.raises(QueueFull) as caught:
        await engine.submit(loaded, tools.say("1"))
    assert caught.value.retry_after > 0
    assert engine.stats().refused == 1
    loaded.model.gate.release(100)
    assert await drained(first) + await drained(await second) == 2


async def test_a_deadline_shorter_than_the_wait_is_refused_at_once(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    engine._hold_seconds = 2.0
    loaded.model.gate = threading.Semaphore(0)
    first = await engine.submit(loaded, tools.say("1"))
    with pytest.raises(QueueFull) as caught:
        await engine.submit(loaded, tools.say("1"), timeout=1.0)
    assert caught.value.retry_after == pytest.approx(2.0)
    patient = await begin(engine, loaded, tools.say("1"), timeout=30.0)
    loaded.model.gate.release(100)
    assert await drained(first) + await drained(await patient) == 2


async def test_a_free_engine_never_refuses_for_what_it_remembers(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    engine._hold_seconds = 1000.0
    assert await drained(await engine.submit(loaded, tools.say("2"), timeout=30.0)) == 2


async def test_a_deadline_passes_in_the_queue(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    loaded.model.gate = threading.Semaphore(0)
    first = await engine.submit(loaded, tools.say("1"))
    with pytest.raises(DeadlineExceeded):
        await engine.submit(loaded, tools.say("1"), timeout=0.02)
    assert engine.stats().queued == 0
    loaded.model.gate.release(100)
    assert await drained(first) == 1
    assert len(loaded.model.opened) == 1


async def test_a_deadline_passes_while_a_step_hangs(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.gate = threading.Semaphore(0)

    async def whole() -> None:
        await drained(await engine.submit(loaded, tools.say("100"), timeout=0.3))

    with pytest.raises(DeadlineExceeded):
        await whole()
    await loaded.model.wait_in_step()
    assert engine.stats().active == 1, "the slot stays taken until the step has ended"
    assert engine.stats().stalled_seconds > 0
    loaded.model.gate.release(100)
    await tools.settle(engine, loaded)
    assert (loaded.model.released, engine.stats().active) == (1, 0)
    assert len(loaded.model.batches) == 1


async def test_a_deadline_that_has_passed_does_no_work(engine: Engine, loaded: Any, tools: Any) -> None:
    with pytest.raises(DeadlineExceeded):
        await engine.submit(loaded, tools.say("1"), timeout=0.0)
    await tools.settle(engine, loaded)
    assert loaded.model.opened == []


async def test_a_deadline_ends_with_the_utterance(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("3"), timeout=60.0)
    await tools.settle(engine, loaded)
    assert stream._session.timer is not None
    assert stream._session.timer.cancelled()
    assert await drained(stream) == 3


async def test_a_caller_who_leaves_the_queue_leaves_no_trace(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    loaded.model.gate = threading.Semaphore(0)
    first = await engine.submit(loaded, tools.say("1"))
    waiting = await begin(engine, loaded, tools.say("1"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert engine.stats().queued == 0
    loaded.model.gate.release(100)
    assert await drained(first) == 1
    await tools.settle(engine, loaded)
    assert len(loaded.model.opened) == 1


async def test_a_caller_who_leaves_while_its_session_opens_has_it_released(
    engine: Engine, loaded: Any, tools: Any
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow_check(utterance: Any) -> None:
        entered.set()
        go_on.wait()

    loaded.model.check = slow_check
    task = await begin(engine, loaded, tools.say("5"))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await tools.settle(engine, loaded)
    assert loaded.model.released == 1
    assert loaded.model.batches == []
    assert engine.stats().active == 0


async def test_drain_lets_everybody_finish_and_takes_nobody_in(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    loaded.model.gate = threading.Semaphore(0)
    running = await engine.submit(loaded, tools.say("3"))
    queued = await begin(engine, loaded, tools.say("2"))
    drain = asyncio.ensure_future(engine.drain(30.0))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        await engine.submit(loaded, tools.say("1"))
    assert not drain.done()
    loaded.model.gate.release(100)
    assert await drained(running) == 3
    assert await drained(await queued) == 2
    await drain
    assert engine.stats().active == 0


async def test_drain_ends_what_outlasts_the_grace(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_active=1)
    stream = await engine.submit(loaded, tools.say("1000"), max_lead=0.2)
    queued = await begin(engine, loaded, tools.say("2"))
    await engine.drain(0.02)
    with pytest.raises(Draining):
        await drained(stream)
    with pytest.raises(Draining):
        await queued
    assert loaded.model.released == 1


async def test_stop_leaves_a_hanging_step_behind(
    loaded: Any, tools: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_module, "STOP_TIMEOUT", 0.05)
    engine = Engine()
    loaded.model.gate = threading.Semaphore(0)
    stream = await engine.submit(loaded, tools.say("3"))
    await loaded.model.wait_in_step()
    await engine.stop()
    with pytest.raises(Draining):
        await drained(stream)
    assert "hangs in a step" in caplog.text
    loaded.model.gate.release(100)


async def test_eviction_ends_one_model_and_spares_the_others(engine: Engine, tools: Any) -> None:
    leaving, staying = tools.Loaded(key="a@1"), tools.Loaded(key="b@1")
    kept = await engine.submit(staying, tools.say("1000"), max_lead=0.5)
    short = await engine.submit(leaving, tools.say("2"))
    endless = await engine.submit(leaving, tools.say("1000"), max_lead=0.5)
    await tools.settle(engine, leaving)
    await engine.evict(leaving, grace=0.05)
    assert leaving.model.released == 2
    assert await drained(short) == 2
    with pytest.raises(ModelNotLoaded):
        await drained(endless)
    with pytest.raises(ModelNotLoaded):
        await engine.submit(leaving, tools.say("1"))
    assert np.array_equal((await anext(kept)).samples, tools.expected("1"))
    assert await drained(await engine.submit(tools.Loaded(leaving.model, key="a@1"), tools.say("1"))) == 1
    kept.cancel()


async def test_each_device_has_a_thread_of_its_own(engine: Engine, tools: Any) -> None:
    stuck = tools.Loaded(device="cuda:0")
    stuck.model.gate = threading.Semaphore(0)
    waiting = await engine.submit(stuck, tools.say("1"))
    assert await drained(await engine.submit(tools.Loaded(device="cpu"), tools.say("4"))) == 4
    stuck.model.gate.release(10)
    assert await drained(waiting) == 1


@pytest.mark.parametrize("name", ["max_active", "max_unread_chunks"])
def test_limits_that_admit_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})
