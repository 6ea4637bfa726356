"""One real server with the tone backend and a backend of awkward models, shared by the tests of a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from voiceclone.client import Client, Consent
from voiceclone.client.channel import OPTIONS, Stubs
from voiceclone.plugins import Plugins, load_plugins
from voiceclone.testing import tone
from voiceclone.testing.server import ServerFixture, running_server

sys.path.insert(0, str(Path(__file__).parent))  # the factory of the awkward models is found by name

import awkward

VOICES = ("ann", "bob", "cy", "dee")
CONSENT = Consent("Nobody", "synthetic_speaker")


def recording(pitch: float, seconds: float = 1.5) -> tuple[np.ndarray, int]:
    """Syllables at ``pitch`` Hz, float32 ``[T]`` at 16 kHz."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    envelope = np.clip(np.sin(2 * np.pi * 3 * time), 0, 1)
    return np.float32(0.3 * envelope * np.sin(2 * np.pi * pitch * time)), 16_000


def plugins() -> Plugins:
    found = load_plugins(entry_points=False)
    found.register(tone, "tone")
    found.register(awkward, "awkward")
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFixture]:
    directory = tmp_path_factory.mktemp("server")
    with running_server(directory, load=("tone", "endless", "crash"), plugins=plugins()) as running:
        with Client(running.address) as client:
            for index, name in enumerate(VOICES):
                client.clone(name, recording(110 + 40 * index), consent=CONSENT, model="tone")
        yield running


@pytest.fixture
def client(server: ServerFixture) -> Iterator[Client]:
    with Client(server.address) as found:
        yield found


@pytest.fixture
def stubs(server: ServerFixture) -> Iterator[Stubs]:
    with grpc.insecure_channel(server.address, OPTIONS) as channel:
        yield Stubs(channel)
