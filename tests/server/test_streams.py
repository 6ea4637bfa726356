"""Streams among each other and against their readers: no cross-talk, bounded run-ahead, and work that stops."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import awkward
import grpc
import pytest

from voiceclone._proto.v1 import speech_service_pb2 as speech
from voiceclone.client import AsyncClient, Audio, Client, Event, Summary
from voiceclone.client.channel import OPTIONS, Stubs
from voiceclone.client.options import duration
from voiceclone.engine import Limits
from voiceclone.errors import DeadlineExceeded, QueueFull, StreamAborted
from voiceclone.testing.server import ServerFixture, running_server

from .conftest import CONSENT, VOICES, plugins, recording


def endless(**options: Any) -> speech.StreamSynthesizeRequest:
    return speech.StreamSynthesizeRequest(
        voice="voices/ann",
        model="models/endless",
        input=speech.SynthesisInput(text="For ever."),
        options=speech.SpeechOptions(**options),
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``; a test that needs it and never gets it fails."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def settled_steps() -> int:
    """The count of steps once it has stopped growing."""
    seen = -1
    while seen != awkward.EndlessModel.steps:
        seen = awkward.EndlessModel.steps
        time.sleep(0.5)
    return seen


def test_32_clients_get_what_they_get_alone(server: ServerFixture) -> None:
    rng = random.Random(7)
    lines = [
        (
            " ".join(rng.choices(["we", "sing", "of", "arms", "and", "men"], k=rng.randint(1, 7))),
            VOICES[index % 4],
            index,
        )
        for index in range(32)
    ]
    with Client(server.address) as client:
        alone = [client.say(text, voice, seed=seed).data for text, voice, seed in lines]

    async def one(client: AsyncClient, text: str, voice: str, seed: int) -> bytes:
        events = [event async for event in client.stream(text, voice, seed=seed, timings=["phoneme"])]
        assert isinstance(events[-1], Summary)
        return b"".join(event.data for event in events if isinstance(event, Audio))

    async def together() -> list[bytes]:
        clients = [AsyncClient(server.address) for _ in lines]
        try:
            return await asyncio.gather(*(one(client, *line) for client, line in zip(clients, lines, strict=True)))
        finally:
            await asyncio.gather(*(client.close() for client in clients))

    assert asyncio.run(together()) == alone
    assert len(set(alone)) > 16


def test_cancel_stops_the_work(stubs: Stubs) -> None:
    call = stubs.speech.StreamSynthesize(endless(max_lead=duration(600)))
    assert next(call).HasField("header")
    until(lambda: awkward.EndlessModel.open_sessions > 0)
    call.cancel()
    until(lambda: awkward.EndlessModel.open_sessions == 0)
    assert settled_steps() == settled_steps()


def test_a_lost_connection_stops_the_work(server: ServerFixture) -> None:
    channel = grpc.insecure_channel(server.address, OPTIONS)
    call = Stubs(channel).speech.StreamSynthesize(endless(max_lead=duration(600)))
    next(call)
    until(lambda: awkward.EndlessModel.open_sessions > 0)
    channel.close()
    until(lambda: awkward.EndlessModel.open_sessions == 0)


def test_a_deadline_stops_the_work(stubs: Stubs) -> None:
    request = endless(max_lead=duration(600))
    request.input.text = "For ever and slowly."
    with pytest.raises(grpc.RpcError) as caught:
        list(stubs.speech.StreamSynthesize(request, timeout=2.0))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: awkward.EndlessModel.open_sessions == 0)


def test_a_deadline_stops_the_work_for_a_whole_answer(stubs: Stubs) -> None:
    source = speech.SynthesisInput(text="For ever and slowly.")
    request = speech.SynthesizeRequest(voice="voices/ann", model="models/endless", input=source)
    with pytest.raises(grpc.RpcError) as caught:
        stubs.speech.Synthesize(request, timeout=2.0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: awkward.EndlessModel.open_sessions == 0)


def test_a_client_that_leaves_the_loop_stops_the_work(client: Client) -> None:
    events = client.stream("For ever.", "ann", model="endless", max_lead=600)
    for event in events:
        if isinstance(event, Audio):
            break
    assert awkward.EndlessModel.open_sessions == 1
    events.close()  # type: ignore[attr-defined]
    until(lambda: awkward.EndlessModel.open_sessions == 0)


def test_a_reader_that_stops_gets_at_most_its_lead(stubs: Stubs) -> None:
    before = settled_steps()
    started = time.monotonic()
    call = stubs.speech.StreamSynthesize(endless(max_lead=duration(1.5)))
    next(call)
    until(lambda: awkward.EndlessModel.steps - before >= 15)
    time.sleep(1.0)  # for what an unbounded server would make by now
    made = awkward.EndlessModel.steps - before
    lead = made / 10 - (time.monotonic() - started)
    call.cancel()
    until(lambda: awkward.EndlessModel.open_sessions == 0)
    assert lead <= 1.5 + 0.1, "more than the lead and one chunk"


def test_the_servers_own_deadline_is_told(tmp_path: Any) -> None:
    with (
        running_server(tmp_path, load=("endless",), plugins=plugins(), stream_deadline=1.0) as server,
        Client(server.address) as client,
    ):
        client.clone("ann", recording(150), consent=CONSENT, model="endless")
        with pytest.raises(DeadlineExceeded):
            list(client.stream("For ever.", "ann", max_lead=600))
        until(lambda: awkward.EndlessModel.open_sessions == 0)


def test_a_full_server_refuses_early_and_says_when_to_retry(tmp_path: Any) -> None:
    limits = Limits(max_active=1, max_queued=0)
    with (
        running_server(tmp_path, load=("endless",), plugins=plugins(), limits=limits) as server,
        Client(server.address) as client,
    ):
        client.clone("ann", recording(150), consent=CONSENT, model="endless")
        first = client.stream("For ever.", "ann")
        next(first)
        with pytest.raises(QueueFull) as refused:
            client.say("And I?", "ann")
        assert refused.value.retry_after > 0
        first.close()  # type: ignore[attr-defined]


def test_a_crash_after_audio_ends_the_stream_without_summary(client: Client) -> None:
    events: list[Event] = []
    stream = client.stream("Bonjour.", "ann", model="crash", language="fr", backend_options={"after": 3})
    with pytest.raises(StreamAborted):
        events.extend(stream)
    assert any(isinstance(event, Audio) for event in events)
    assert not any(isinstance(event, Summary) for event in events)


def test_closing_an_async_stream_stops_the_work(server: ServerFixture) -> None:
    async def start_and_leave() -> None:
        async with (
            AsyncClient(server.address) as client,
            aclosing(client.stream("For ever.", "ann", model="endless")) as events,  # type: ignore[type-var]
        ):
            async for event in events:
                if isinstance(event, Audio):
                    return

    work: Coroutine[Any, Any, None] = start_and_leave()
    asyncio.run(work)
    until(lambda: awkward.EndlessModel.open_sessions == 0)
