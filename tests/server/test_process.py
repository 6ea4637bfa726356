"""The server as a process: health, reflection, and what signals do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from voiceclone.client import Audio, Client, Summary
from voiceclone.client.channel import Stubs
from voiceclone.errors import Draining, PreconditionFailed, VoicecloneError
from voiceclone.server.settings import Settings
from voiceclone.testing.server import ServerFixture, running_server

from .conftest import CONSENT, plugins, recording

ROOT = Path(__file__).parents[2]
Started = tuple[subprocess.Popen[str], str]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[[float], Started]]:
    running = []

    def start(grace: float) -> Started:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("serving.py")), str(tmp_path), str(grace)]
        found = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(found)
        assert found.stdout is not None
        return found, f"127.0.0.1:{found.stdout.readline().strip()}"

    yield start
    for found in running:
        found.kill()
        found.communicate()


@contextmanager
def stubs_of(address: str) -> Iterator[Stubs]:
    with grpc.insecure_channel(address) as channel:
        yield Stubs(channel)


def health(stubs: Stubs, service: str = "") -> int:
    return int(stubs.health.Check(health_pb2.HealthCheckRequest(service=service)).status)


def test_sigterm_lets_speech_finish_and_refuses_what_comes_after(process: Callable[[float], Started]) -> None:
    found, address = process(60.0)
    with Client(address) as client, stubs_of(address) as stubs:
        client.wait_ready()
        client.clone("ann", recording(150), consent=CONSENT, model="tone")
        # The lead keeps the stream going for a while after the signal.
        events = client.stream("word " * 120, "ann", max_lead=2.0)
        first = next(event for event in events if isinstance(event, Audio))
        assert health(stubs) == health_pb2.HealthCheckResponse.SERVING
        found.send_signal(signal.SIGTERM)
        while health(stubs) == health_pb2.HealthCheckResponse.SERVING:
            time.sleep(0.01)
        assert health(stubs, "voiceclone.v1.SpeechService") == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(Draining) as refused:
            client.say("Too late.", "ann")
        assert refused.value.retry_after > 0
        rest = list(events)
        assert isinstance(rest[-1], Summary)
        audio = [first, *(event for event in rest if isinstance(event, Audio))]
        assert sum(event.sample_count for event in audio) == rest[-1].sample_count
    assert found.wait(60) == 0


@pytest.mark.parametrize("signals", [1, 2])
def test_the_grace_ends_by_itself_or_by_a_second_signal(process: Callable[[float], Started], signals: int) -> None:
    found, address = process(1.0 if signals == 1 else 3600.0)
    with Client(address) as client:
        client.clone("ann", recording(150), consent=CONSENT, model="endless")
        events = client.stream("For ever.", "ann", max_lead=1.0)
        next(event for event in events if isinstance(event, Audio))
        found.send_signal(signal.SIGTERM)
        if signals == 2:
            with stubs_of(address) as stubs:
                while health(stubs) == health_pb2.HealthCheckResponse.SERVING:
                    time.sleep(0.01)
            found.send_signal(signal.SIGTERM)
        with pytest.raises(VoicecloneError):
            list(events)
    assert found.wait(60) == 0


def test_reflection_tells_the_contract(server: ServerFixture) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(server.address) as channel:
        for version in ("v1alpha", "v1"):
            call = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            answer = next(iter(call(iter([request]))))
            names = {service.name for service in answer.list_services_response.service}
            assert {"voiceclone.v1.SpeechService", "grpc.health.v1.Health", "google.longrunning.Operations"} <= names


def test_a_taken_address_is_told(server: ServerFixture, tmp_path: Path) -> None:
    taken = server.server.port
    with pytest.raises(PreconditionFailed, match=str(taken)), running_server(tmp_path, plugins=plugins(), port=taken):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_public_address_needs_the_insecure_flag(host: str) -> None:
    with pytest.raises(ValueError, match="--insecure"):
        Settings(host=host)
    assert Settings(host=host, insecure=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_local_address_does_not(host: str) -> None:
    assert Settings(host=host).address.endswith(":50051")
