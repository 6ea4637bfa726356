"""voiceclone: a voice-cloning text-to-speech server for games and apps. The public names of the package."""

from voiceclone.backend import GeneratorModel, Model, NoOptions, Step
from voiceclone.hookspecs import hookimpl
from voiceclone.types import (
    BackendInfo,
    Capabilities,
    Chunk,
    ModelInfo,
    Recognised,
    Reference,
    Segment,
    TextSpan,
    Timing,
    TimingKind,
    TimingSource,
    Utterance,
)

__version__ = "0.1.0"

__all__ = [
    "BackendInfo",
    "Capabilities",
    "Chunk",
    "GeneratorModel",
    "Model",
    "ModelInfo",
    "NoOptions",
    "Recognised",
    "Reference",
    "Segment",
    "Step",
    "TextSpan",
    "Timing",
    "TimingKind",
    "TimingSource",
    "Utterance",
    "hookimpl",
]
