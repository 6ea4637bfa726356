"""The bundled model against the conformance kit that every backend runs."""

from __future__ import annotations

from voiceclone.testing.conformance import BackendConformance


class TestFastspeech2(BackendConformance):
    model = "fastspeech2-en"
