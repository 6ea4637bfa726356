"""A checkpoint that was added like a user's against the conformance kit that every backend runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone.models import ModelStore, located
from voiceclone.plugins import load_plugins
from voiceclone.testing.conformance import BackendConformance


@pytest.fixture(scope="module", autouse=True)
def added(several: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of its own with the checkpoint added, for this process and those it starts."""
    before = os.environ.get("VOICECLONE_HOME")
    os.environ["VOICECLONE_HOME"] = str(tmp_path_factory.mktemp("home"))
    found = located(str(several), load_plugins(), name="vits-three")
    # A licence is what the weights' author says; the kit asks for one.
    ModelStore().add(replace(found.info, licence="CC0-1.0"), found.files)
    yield
    os.environ.pop("VOICECLONE_HOME")
    if before is not None:
        os.environ["VOICECLONE_HOME"] = before


class TestSeveralSpeakers(BackendConformance):
    model = "vits-three"
