"""Both implementations of the host classes, so that each test holds for each of them."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from voiceclone import host
from voiceclone.host import pages, pcm

PYTHON = SimpleNamespace(
    Exhausted=pages.Exhausted, Pages=pages.Pages, Sequences=pages.Sequences, PcmChunker=pcm.PcmChunker,
    to_pcm16=pcm.to_pcm16,
)  # fmt: skip
NATIVE: Any = importlib.import_module("voiceclone._host") if host.describe().loaded else None
needs_native = pytest.mark.skipif(NATIVE is None, reason="the C++ module was not built")


@pytest.fixture(params=["python", pytest.param("native", marks=needs_native)])
def made(request: pytest.FixtureRequest) -> Any:
    return PYTHON if request.param == "python" else NATIVE
