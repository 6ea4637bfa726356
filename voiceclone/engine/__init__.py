"""The engine: takes utterances, steps their sessions by playout deadline on one thread a device, gives back chunks."""

from voiceclone.engine.engine import Engine
from voiceclone.engine.limits import EngineStats, Limits
from voiceclone.engine.stream import Stream

__all__ = ["Engine", "EngineStats", "Limits", "Stream"]
