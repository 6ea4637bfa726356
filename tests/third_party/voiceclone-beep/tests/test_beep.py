"""What this package's own CI runs."""

from voiceclone.testing.conformance import BackendConformance


class TestBeep(BackendConformance):
    model = "beep"
