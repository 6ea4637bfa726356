"""A real server with the tone model, and the command line pointed at it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from voiceclone.client import Client
from voiceclone.testing.server import running_server

#: Runs a command in this process; what it returns has exit_code, stdout, stderr, output and exception.
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's own voices and server."""
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VOICECLONE_PLUGINS", "tone")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("VOICECLONE_SERVER", raising=False)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file that sounds like syllables."""
    time = np.arange(48_000) / 16_000
    samples = 0.3 * np.clip(np.sin(2 * np.pi * 3 * time), 0, 1) * np.sin(2 * np.pi * 150 * time)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    path = tmp_path_factory.mktemp("recordings") / "ann.wav"
    path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Iterator[str]:
    """Of a running server that knows the voice ann."""
    with running_server(tmp_path_factory.mktemp("server")) as server:
        with Client(server.address) as client:
            client.clone("ann", recording.read_bytes(), speaker="Ann", model="tone", labels={"mood": "calm"})
        yield server.address


@pytest.fixture
def voiceclone() -> Run:
    """Run a command without a server."""
    from voiceclone.cli.main import app

    def run(*arguments: object, text: str | None = None) -> Any:
        return CliRunner().invoke(app, [str(item) for item in arguments], input=text)

    return run


@pytest.fixture
def run(voiceclone: Run, address: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the server."""
    monkeypatch.setenv("VOICECLONE_SERVER", address)
    return voiceclone
