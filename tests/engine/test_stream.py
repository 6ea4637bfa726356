"""What a reader gets: all of the audio, in order, and an end; what it costs to stop reading or to go away."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
from typing import Any

import numpy as np
import pytest

from voiceclone.engine import Engine, Limits
from voiceclone.engine.stream import Stream


async def read(stream: Stream) -> np.ndarray[Any, Any]:
    chunks = [chunk.samples async for chunk in stream]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


async def test_all_chunks_arrive_in_order(engine: Engine, loaded: Any, tools: Any) -> None:
    async with await engine.submit(loaded, tools.say("7", seed=3)) as stream:
        audio = await read(stream)
    assert np.array_equal(audio, tools.expected("7", seed=3))
    assert stream.sample_count == 7 * tools.CHUNK
    assert not stream.truncated
    assert 0 <= stream.queue_seconds <= stream.first_audio_seconds
    assert stream.compute_seconds > 0
    assert loaded.model.released == 1


async def test_an_utterance_without_audio_just_ends(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("0"))
    assert len(await read(stream)) == 0
    assert stream.first_audio_seconds == 0.0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("max_batch_size", [1, 3, 8])
async def test_many_at_once_get_what_each_gets_alone(engine: Engine, tools: Any, max_batch_size: int) -> None:
    loaded = tools.Loaded(tools.Counting(max_batch_size))

    async def one(seed: int) -> None:
        async with await engine.submit(loaded, tools.say(str(seed % 9), seed)) as stream:
            assert np.array_equal(await read(stream), tools.expected(str(seed % 9), seed))

    await asyncio.gather(*(one(seed) for seed in range(40)))
    assert max(loaded.model.batches) <= max_batch_size
    assert loaded.model.released == 40
    stats = engine.stats()
    assert (stats.active, stats.queued, stats.started, stats.finished) == (0, 0, 40, 40)
    assert stats.stepped_sessions == sum(loaded.model.batches)
    assert stats.audio_seconds == pytest.approx(sum(seed % 9 for seed in range(40)) * tools.CHUNK / tools.RATE)


async def test_sessions_share_a_step_up_to_the_models_batch(engine: Engine, tools: Any) -> None:
    loaded = tools.Loaded(tools.Counting(max_batch_size=3))
    loaded.model.gate = threading.Semaphore(0)
    streams = [await engine.submit(loaded, tools.say("2"))]
    await loaded.model.wait_in_step()
    submits = [asyncio.ensure_future(engine.submit(loaded, tools.say("2"))) for _ in range(3)]
    await asyncio.sleep(0)
    loaded.model.gate.release(100)
    streams += await asyncio.gather(*submits)
    for stream in streams:
        await read(stream)
    assert loaded.model.batches[0] == 1
    assert max(loaded.model.batches) == 3


async def test_cancel_ends_the_work_within_one_step(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.gate = threading.Semaphore(1)
    stream = await engine.submit(loaded, tools.say("1000"))
    await anext(stream)
    await loaded.model.wait_in_step()
    stream.cancel()
    loaded.model.gate.release(1000)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) <= 2
    assert loaded.model.released == 1
    assert [chunk async for chunk in stream] == []
    assert engine.stats().cancelled == 1
    assert engine.stats().active == 0


async def test_leaving_the_context_ends_the_work(engine: Engine, loaded: Any, tools: Any) -> None:
    async with await engine.submit(loaded, tools.say("1000")) as stream:
        await anext(stream)
    await tools.settle(engine, loaded)
    assert loaded.model.released == 1
    assert len(loaded.model.batches) < 1000


async def test_cancel_wakes_a_reader_that_waits(engine: Engine, loaded: Any, tools: Any) -> None:
    loaded.model.gate = threading.Semaphore(0)
    stream = await engine.submit(loaded, tools.say("5"))
    reader = asyncio.ensure_future(read(stream))
    await loaded.model.wait_in_step()
    stream.cancel()
    assert len(await reader) == 0
    loaded.model.gate.release(10)


async def test_a_stream_nobody_holds_any_more_ends(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("1000"))
    await anext(stream)
    del stream
    gc.collect()
    await asyncio.sleep(0)
    await tools.settle(engine, loaded)
    assert loaded.model.released == 1
    assert engine.stats().active == 0


async def test_a_reader_that_stops_reading_stops_the_work_at_max_lead(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("1000"), max_lead=1.0)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 10
    assert stream.sample_count == 1.0 * tools.RATE
    stream.cancel()


async def test_reported_playback_lets_exactly_that_much_follow(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("1000"), max_lead=1.0)
    stream.report_played(0)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 10
    for _ in range(10):
        await anext(stream)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 10
    stream.report_played(500)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 15
    stream.report_played(0)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 15
    stream.cancel()


async def test_unread_chunks_are_bounded_whatever_the_lead(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_unread_chunks=4)
    stream = await engine.submit(loaded, tools.say("1000"), max_lead=math.inf)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 4
    await anext(stream)
    await anext(stream)
    await tools.settle(engine, loaded)
    assert len(loaded.model.batches) == 6
    stream.cancel()


async def test_a_held_stream_goes_on_by_itself_as_time_passes(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("4"), max_lead=0.1)
    assert np.array_equal(await read(stream), tools.expected("4"))


async def test_an_endless_utterance_is_cut_and_says_so(make_engine: Any, loaded: Any, tools: Any) -> None:
    engine = make_engine(max_audio_seconds=0.55)
    stream = await engine.submit(loaded, tools.say("1000"))
    assert np.array_equal(await read(stream), tools.expected("5"))
    assert stream.truncated
    assert loaded.model.released == 1


async def test_a_held_stream_does_not_hold_another(engine: Engine, loaded: Any, tools: Any) -> None:
    idle = await engine.submit(loaded, tools.say("1000"), max_lead=0.5)
    await tools.settle(engine, loaded)
    assert np.array_equal(await read(await engine.submit(loaded, tools.say("6", 9))), tools.expected("6", 9))
    idle.cancel()


def test_a_loop_that_closes_leaves_no_session_behind(loaded: Any, tools: Any) -> None:
    engine = Engine(Limits(setup_budget=0.0))
    held: list[Stream] = []

    async def start_and_leave() -> None:
        held.append(await engine.submit(loaded, tools.say("1000"), max_lead=0.3))
        await anext(held[0])

    async def come_again() -> None:
        stream = await engine.submit(loaded, tools.say("2"))
        assert np.array_equal(await read(stream), tools.expected("2"))
        await tools.settle(engine, loaded)
        await engine.stop()

    asyncio.run(start_and_leave())
    asyncio.run(come_again())
    assert loaded.model.released == 2


async def test_an_engine_with_streams_refuses_a_second_loop(engine: Engine, loaded: Any, tools: Any) -> None:
    stream = await engine.submit(loaded, tools.say("1000"))

    def elsewhere() -> None:
        asyncio.run(engine.submit(loaded, tools.say("1")))

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    stream.cancel()
