"""A backend whose models do what servers fear: never end, crash early or late, lack abilities, fail to load."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voiceclone.backend import GeneratorModel
from voiceclone.errors import DeviceOutOfMemory
from voiceclone.hookspecs import hookimpl
from voiceclone.types import BackendInfo, Capabilities, Chunk, ModelInfo, Reference, Utterance

RATE = 16_000


class EndlessModel(GeneratorModel):
    """Silence in chunks of 100 ms for 600 s, slowly if the text says so; counts its steps and its open sessions."""

    capabilities = Capabilities(languages=(), sample_rate=RATE)
    steps: ClassVar[int] = 0
    open_sessions: ClassVar[int] = 0

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        return b"\0"

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        EndlessModel.open_sessions += 1
        try:
            for _ in range(6000):
                EndlessModel.steps += 1
                if "slow" in utterance.text:
                    time.sleep(0.02)
                yield Chunk(np.zeros(RATE // 10, np.float32))
        finally:
            EndlessModel.open_sessions -= 1


class CrashOptions(BaseModel):
    """When and how to crash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: int = Field(default=0, ge=0, description="Chunks before the crash.")
    kind: Literal["bug", "memory"] = Field(default="bug", description="What is raised.")


class CrashModel(GeneratorModel):
    """Fails as its options say."""

    capabilities = Capabilities(languages=("fr",), sample_rate=RATE, max_input_chars=100)
    options: ClassVar[type[BaseModel]] = CrashOptions

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        return b"\0"

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        for _ in range(utterance.options.after):
            yield Chunk(np.zeros(RATE // 10, np.float32))
        if utterance.options.kind == "memory":
            raise DeviceOutOfMemory("the device has no memory left.")
        raise RuntimeError("secret of /usr/lib/secret/weights.bin in voiceclone.engine")


class FixedModel(CrashModel):
    """Knows its own voice only, a steady hum."""

    capabilities = Capabilities(languages=("en",), sample_rate=RATE, cloning=False)

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        assert utterance.voice == b""
        yield Chunk(np.full(RATE // 10 * len(utterance.text), 0.25, np.float32))


def load_model(info: ModelInfo, device: str) -> GeneratorModel:
    if info.name.startswith("broken"):
        raise OSError(2, "No such file", "/usr/lib/secret/weights.bin")
    return {"endless": EndlessModel, "crash": CrashModel, "fixed": FixedModel}[info.name]()


@hookimpl
def voiceclone_backends() -> Iterable[BackendInfo]:
    models = tuple(ModelInfo(name, "awkward", "1") for name in ("endless", "crash", "fixed", "broken", "broken-too"))
    yield BackendInfo("awkward", "1", "Models that misbehave.", "awkward:load_model", models=models, devices=("cpu",))
