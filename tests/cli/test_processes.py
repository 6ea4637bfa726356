"""The installed command as a user runs it: a server process, a client process, a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import soundfile

COMMAND = [sys.executable, "-c", "from voiceclone.cli.main import app; app()"]


def test_serve_and_say_are_processes_that_end_well(tmp_path: Path, recording: Path) -> None:
    environment = {**os.environ, "VOICECLONE_HOME": str(tmp_path / "home"), "VOICECLONE_PLUGINS": "tone"}
    server = subprocess.Popen([*COMMAND, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        found = re.fullmatch(r"voiceclone serves on (127\.0\.0\.1:\d+)\n", first)
        assert found, first
        assert "model tone: ready on cpu" in server.stdout.readline()
        assert str(tmp_path / "home") in server.stdout.readline()
        environment["VOICECLONE_SERVER"] = found[1]

        def run(*arguments: object) -> subprocess.CompletedProcess[str]:
            command = [*COMMAND, *map(str, arguments)]
            return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

        cloned = run("voices", "clone", "ann", recording, "--consent-speaker", "Ann")
        assert cloned.returncode == 0, cloned.stderr
        said = run("say", "Hello there.", "--voice", "ann")
        assert said.returncode == 0, said.stderr
        assert said.stdout.splitlines()[-1] == "speech.wav"
        assert soundfile.info(tmp_path / "speech.wav").frames > 0
        assert run("say", "Hello there.", "--voice", "bea").returncode == 1
        server.send_signal(signal.SIGTERM)
        assert server.wait(120) == 0
    finally:
        server.kill()
        server.communicate()
