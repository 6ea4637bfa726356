"""The pages' grpcurl examples, run in a shell against a live server by a tool that knows only its reflection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.test_docs import ADDRESS, PAGES, blocks
from voiceclone.plugins import load_plugins
from voiceclone.testing import tone
from voiceclone.testing.server import ServerFixture, running_server

TOOL = Path(__file__).parent / "tools" / "grpcurl.py"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerFixture]:
    plugins = load_plugins(entry_points=False)
    plugins.register(tone, "tone")
    with running_server(tmp_path / "home", load=("tone",), plugins=plugins) as running:
        yield running


def test_the_examples_work_in_the_order_of_the_page(server: ServerFixture, tmp_path: Path) -> None:
    time = np.arange(24_000) / 16_000
    soundfile.write(tmp_path / "ann.wav", 0.3 * np.sin(2 * np.pi * 150 * time) * (np.sin(9 * time) > 0), 16_000)
    tool = tmp_path / "grpcurl"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TOOL}" "$@"\n')
    tool.chmod(0o755)
    said: dict[str, str] = {}
    # What a reader copies out of earlier answers, by the words that the page has in their place.
    known = {"models/fastspeech2-en": "models/tone"}
    scripts = [text for page in PAGES[::-1] for _, text in blocks(page, "sh") if "grpcurl -plaintext" in text]
    for script in sorted(scripts, key=lambda text: "127.0.0.1" in text):  # the README's come after the page's
        lines = [line for line in script.splitlines() if not line.startswith("voiceclone serve")]
        for command in "\n".join(lines).replace("\ngrpcurl", "\0grpcurl").split("\0"):
            for placeholder, value in known.items():
                command = command.replace(placeholder, value)
            environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
            done = subprocess.run(
                ["bash", "-euc", ADDRESS.sub(server.address, command)],
                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
            said[command.split()[-1]] = done.stdout
            if command.endswith(("UploadSample", "LoadModel")):
                key = {"UploadSample": "samples/0d3c...", "LoadModel": "operations/..."}[command.rpartition("/")[2]]
                known[key] = json.loads(done.stdout)["name"]
    assert "voiceclone.v1.SpeechService" in said["list"]
    assert "StreamSynthesize" in said["voiceclone.v1.SpeechService"]
    stream = said["voiceclone.v1.SpeechService/StreamSynthesize"]
    assert '"audio"' in stream
    assert '"summary"' in stream
    assert '"done": true' in said["google.longrunning.Operations/WaitOperation"]
