"""What ``pytest --voiceclone-model NAME`` runs: the conformance kit on that model, with nothing adapted."""

from __future__ import annotations

import pytest

from voiceclone.testing.conformance import BackendConformance


class TestModel(BackendConformance):
    """The kit, on the model named on the command line."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _choose(cls, request: pytest.FixtureRequest) -> None:
        cls.model = request.config.getoption("--voiceclone-model")
        cls.device = request.config.getoption("--voiceclone-device")
