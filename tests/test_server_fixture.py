"""The server that tests of plugins are given is a real one, and goes away when the test ends."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from voiceclone.errors import ModelNotFound
from voiceclone.testing.server import ServerFixture, running_server


def test_the_fixture_is_a_server_that_serves(voiceclone_server: ServerFixture) -> None:
    with grpc.insecure_channel(voiceclone_server.address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    assert voiceclone_server.server.engine.stats().active == 0


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="tone"), running_server(tmp_path, load=("no-such-model",)):
        pass
