"""A server process for the tests of signals: serves the tone and the awkward models, prints its port."""

from __future__ import annotations

import sys
from pathlib import Path

import awkward

from voiceclone.plugins import load_plugins
from voiceclone.registry import Registry
from voiceclone.server.main import Server, serve
from voiceclone.server.settings import Settings
from voiceclone.testing import tone
from voiceclone.voices import VoiceStore


def make() -> Server:
    plugins = load_plugins(entry_points=False)
    plugins.register(tone, "tone")
    plugins.register(awkward, "awkward")
    settings = Settings(port=0, load=("tone", "endless"), drain_grace=float(sys.argv[2]))
    return Server(Registry(plugins), VoiceStore(directory=Path(sys.argv[1])), settings, plugins=plugins)


if __name__ == "__main__":
    serve(make, lambda server: print(server.port, flush=True))
