"""Shorthands of the store tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voiceclone.voices import Consent, Voice, VoiceStore


def files(store: VoiceStore) -> set[Path]:
    return {path for path in (store.directory / "samples").rglob("*") if path.is_file()}


def make(store: VoiceStore, record: Any, consent: Consent, name: str = "ann", seed: int = 0, **more: Any) -> Voice:
    sample = store.add_sample(record(seed))
    return store.create_voice(name, model="models/m", samples=[sample.name], consent=consent, **more)
