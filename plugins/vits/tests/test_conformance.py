"""A checkpoint that was added like a user's against the conformance kit that every backend runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiceclone.models import ModelStore, located
from voiceclone.plugins import load_plugins
from voiceclone.testing.conformance import BackendConformance


@pytest.fixture(scope="module", autouse=True)
def added(single: Path, several: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of its own with both checkpoints added, for this process and those it starts."""
    before = os.environ.get("VOICECLONE_HOME")
    os.environ["VOICECLONE_HOME"] = str(tmp_path_factory.mktemp("home"))
    plugins = load_plugins()
    for name, folder in (("vits-one", single), ("vits-three", several)):
        found = located(str(folder), plugins, name=name)
        # A licence is what the weights' author says; the kit asks for one.
        from dataclasses import replace

        ModelStore().add(replace(found.info, licence="CC0-1.0"), found.files)
    yield
    os.environ.pop("VOICECLONE_HOME")
    if before is not None:
        os.environ["VOICECLONE_HOME"] = before


class TestOneSpeaker(BackendConformance):
    model = "vits-one"


class TestSeveralSpeakers(BackendConformance):
    model = "vits-three"
