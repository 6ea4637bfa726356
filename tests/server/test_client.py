"""The Python client: what comes back, in which types, and the errors it raises."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile
from google.rpc.status_pb2 import Status

from voiceclone import errors
from voiceclone.client import AsyncClient, Audio, Client, Header, ServerUnreachable, Summary
from voiceclone.client.failures import from_status
from voiceclone.errors import FormatUnsupported, InvalidRequest, Retryable, VoicecloneError, VoiceNotFound
from voiceclone.server.status import to_status
from voiceclone.testing.server import ServerFixture
from voiceclone.types import Timing, TimingKind

DOCS = Path(__file__).parents[2] / "docs"


def test_speech_comes_whole(client: Client, tmp_path: Path) -> None:
    speech = client.say("Hello there.", "ann", seed=3, timings=["word", "viseme"], viseme_set="azure22")
    assert speech.samples.dtype == np.int16
    assert len(speech.samples) == speech.summary.sample_count == pytest.approx(speech.duration * speech.sample_rate)
    assert speech.header.seed == 3
    assert [timing.label for timing in speech.timings if timing.kind is TimingKind.WORD] == ["Hello", "there"]
    assert {timing.viseme_id for timing in speech.timings if timing.kind is TimingKind.VISEME} <= set(range(22))
    assert speech.segments[0].normalized_text == "Hello there."
    for name in ("a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3"):
        samples, rate = soundfile.read(speech.save(tmp_path / name))
        assert rate == speech.sample_rate
        assert abs(len(samples) - len(speech.samples)) <= rate // 10
    stored, _ = soundfile.read(tmp_path / "a.flac", dtype="int16")
    assert np.array_equal(stored, speech.samples)
    with pytest.raises(FormatUnsupported):
        speech.save(tmp_path / "a.txt")


@pytest.mark.parametrize("encoding", ["pcm_f32le", "wav", "flac", "mulaw", "alaw"])
def test_every_encoding_decodes_to_the_same_speech(client: Client, tmp_path: Path, encoding: str) -> None:
    plain = client.say("Hello there.", "ann", seed=3).samples.astype(np.float32)
    speech = client.say("Hello there.", "ann", seed=3, encoding=encoding)
    samples = speech.samples.astype(np.float32) * (32768 if speech.samples.dtype == np.float32 else 1)
    assert len(samples) == len(plain)
    assert np.abs(samples - plain).max() <= (1024 if encoding in ("mulaw", "alaw") else 1)
    assert speech.save(tmp_path / "out.wav").stat().st_size > len(plain)


def test_a_stream_equals_the_whole(client: Client) -> None:
    whole = client.say("Hello there.", "ann", seed=3, timings=["word"])
    events = list(client.stream("Hello there.", "ann", seed=3, timings=["word"]))
    assert isinstance(events[0], Header)
    assert isinstance(events[-1], Summary)
    audio = [event for event in events if isinstance(event, Audio)]
    assert b"".join(event.data for event in audio) == whole.data
    assert sum(len(event.samples) for event in audio) == whole.summary.sample_count
    assert tuple(event for event in events if isinstance(event, Timing)) == whole.timings


def test_the_async_client_does_the_same(client: Client, server: ServerFixture) -> None:
    async def work() -> tuple[Any, ...]:
        async with AsyncClient(server.address) as other:
            await other.wait_ready()
            speech = await other.say("Hello there.", "ann", seed=3)
            streamed = [event async for event in other.stream("Hello there.", "ann", seed=3)]
            with pytest.raises(VoiceNotFound):
                await other.voice("nobody")
            voice = await other.voice("ann")
            loaded = await other.load_model("tone")
            return speech, streamed, voice, await other.voices(), await other.models(), loaded

    speech, streamed, voice, voices, models, loaded = asyncio.run(work())
    assert speech.data == client.say("Hello there.", "ann", seed=3).data
    assert b"".join(event.data for event in streamed if isinstance(event, Audio)) == speech.data
    assert voice == client.voice("ann")
    assert voices == client.voices()
    assert models == client.models()
    assert loaded == client.model("tone")


@pytest.mark.parametrize(
    "options",
    [{"speed": 2}, {"encoding": "cd"}, {"timings": ["lip"]}, {"viseme_set": "x"}, {"alphabet": "morse"}],
)
def test_unknown_options_are_refused_before_the_call(client: Client, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.say("Hello.", "ann", **options)
    assert refused.value.violations


def test_no_server_is_an_error_of_its_own() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(ServerUnreachable, match="voiceclone serve"):
        client.voices()


def test_waiting_for_a_server_that_never_comes_ends() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(VoicecloneError):
        client.wait_ready(0.5)


def instances() -> list[VoicecloneError]:
    """One of every exception that has a reason of its own."""
    made = []
    for kind in vars(errors).values():
        if not (inspect.isclass(kind) and issubclass(kind, VoicecloneError)):
            continue
        arguments = [
            "voices/x" if name in ("name", "resource_type") else "a message"
            for name, parameter in list(inspect.signature(kind).parameters.items())
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        made.append(kind(*arguments))
    return made


@pytest.mark.parametrize("error", instances(), ids=lambda error: type(error).__name__)
def test_every_error_comes_back_as_itself(error: VoicecloneError) -> None:
    back = from_status(to_status(error, "id"))
    assert (back.reason, back.status) == (error.reason, error.status)
    assert back.message == str(error)
    assert isinstance(back, type(error)) or issubclass(type(error), type(back))
    if isinstance(error, Retryable):
        assert isinstance(back, Retryable)
        assert back.retry_after == error.retry_after


def test_a_status_without_a_reason_is_still_an_error() -> None:
    back = from_status(Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="too big"))
    assert (type(back), back.status, str(back)) == (VoicecloneError, "RESOURCE_EXHAUSTED", "too big")


@pytest.mark.parametrize(
    "index", range(len(re.findall(r"```python runnable", (DOCS / "python-client.md").read_text())))
)
def test_the_documented_snippets_run(server: ServerFixture, tmp_path: Path, index: int, monkeypatch: Any) -> None:
    blocks = re.findall(r"```python runnable\n(.*?)```", (DOCS / "python-client.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Client(server.address) as client:
        if not any(voice.name == "voices/docs" for voice in client.voices()) and index:
            exec(compile(blocks[0].replace("localhost:50051", server.address), "python-client.md", "exec"), {})
    exec(compile(blocks[index].replace("localhost:50051", server.address), "python-client.md", "exec"), {})


def test_every_reason_is_documented() -> None:
    table = (DOCS / "protocol.md").read_text()
    served = {error.reason for error in instances()} - {"RESOURCE_NOT_FOUND", "PRECONDITION_FAILED", "MANIFEST_INVALID"}
    assert {reason for reason in served if f"`{reason}`" not in table} == set()
