"""The systems that are judged: the true speech, the vocoder alone, and the model through its public calls."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.data import Material, Spoken, Voice
from voiceclone.backend import Model
from voiceclone.errors import ModelNotFound
from voiceclone.plugins import load_plugins
from voiceclone.text.phones import PAUSE, PAUSE_STRESS, VOWELS
from voiceclone.types import ModelInfo, PhoneticAlphabet, Reference, Utterance

Samples = NDArray[np.float32]

TRUTH: Final = "ground truth"
COPY: Final = "copy synthesis"
MODEL: Final = "model"
ENGINE_PHONES: Final = "model, corpus phones"
SWAPPED: Final = "model, wrong reference"

_MARKS: Final = {stress: mark for mark, stress in PAUSE_STRESS.items() if mark in (",", ".", "!", "?")}


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model and what loading it took; ``load_cpu_seconds`` is what another program on the machine cannot lengthen."""

    info: ModelInfo
    model: Model
    load_seconds: float
    load_cpu_seconds: float
    megabytes: float


@dataclass
class Cost:
    """Time spent speaking and the audio that came of it, all in seconds, on one thread."""

    wall: float = 0.0
    cpu: float = 0.0
    audio: float = 0.0
    first_chunks: list[float] = field(default_factory=list)


def load_model(name: str, folder: Path | None = None, backend: str = "fastspeech2") -> Loaded:
    """The model ``name`` of the installed plugins, or the one in ``folder`` for ``backend``.

    Raises ModelNotFound, naming what there is, and what the backend raises on files it cannot use.
    """
    infos = [status.info for status in load_plugins().backends() if status.info and not status.error]
    if folder is None:
        found = [(info.factory, model) for info in infos for model in info.models if model.name == name]
        known = sorted(model.name for info in infos for model in info.models)
    else:
        found = [(info.factory, _model_in(folder, name, backend)) for info in infos if info.name == backend]
        known = []
    if not found:
        backends = ", ".join(info.name for info in infos) or "none"
        raise ModelNotFound(name, hint=f"Models here: {', '.join(known) or 'none'}; backends: {backends}.")
    factory, info = found[0]
    module, _, attribute = factory.partition(":")
    make = getattr(importlib.import_module(module), attribute)
    torch.set_num_threads(1)
    wall, cpu = time.perf_counter(), time.process_time()
    model = make(info, "cpu")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Loaded(info, model, wall, cpu, _megabytes(info.path))


def _model_in(folder: Path, name: str, backend: str) -> ModelInfo:
    revision = folder / "revision.json"
    known = json.loads(revision.read_text(encoding="utf-8"))["revision"] if revision.is_file() else "unknown"
    return ModelInfo(name=name, backend=backend, revision=known, path=str(folder))


def _megabytes(path: str | None) -> float:
    if path is None:
        return 0.0
    files = [Path(path)] if Path(path).is_file() else list(Path(path).rglob("*.safetensors"))
    return sum(file.stat().st_size for file in files) / 1e6


def copy_synthesis(model: Model, samples: Samples) -> Samples | None:
    """True audio through the model's own analysis and vocoder; None for a model that offers no ``resynthesise``."""
    resynthesise = getattr(model, "resynthesise", None)
    if resynthesise is None:
        return None
    return np.ascontiguousarray(np.clip(resynthesise(samples), -1.0, 1.0), np.float32)


def speak(model: Model, utterance: Utterance, cost: Cost) -> Samples:
    """Every chunk of ``utterance`` in one array ``[T]``. Raises what ``open`` raises, or the error of a failed step."""
    wall, cpu = time.perf_counter(), time.process_time()
    session = model.open(utterance)
    chunks: list[Samples] = []
    try:
        done = False
        while not done:
            step = model.step([session])[0]
            if step.error is not None:
                raise step.error
            if not chunks and step.chunks:
                cost.first_chunks.append(time.perf_counter() - wall)
            chunks += [chunk.samples for chunk in step.chunks]
            done = step.done
    finally:
        model.release(session)
    cost.wall += time.perf_counter() - wall
    cost.cpu += time.process_time() - cpu
    samples = np.concatenate(chunks)
    cost.audio += len(samples) / model.capabilities.sample_rate
    return samples


def arpabet(phones: Sequence[str], stresses: Sequence[int]) -> str:
    """Corpus phones as the ARPABET that a caller may send: "HH AH0 L OW1, ..."; pauses become their marks."""
    text = ""
    for phone, stress in zip(phones[1:], stresses[1:], strict=True):
        if phone == PAUSE:
            text += _MARKS.get(stress, ",")
        else:
            text += f" {phone.upper()}{stress if phone in VOWELS else ''}"
    return text.strip()


@dataclass(frozen=True)
class Voices:
    """The voices of the test set as the model holds them, and whose reference each gets in the control."""

    conditioning: dict[str, bytes]
    other: dict[str, str]


def enrol(model: Model, material: Material, advance: Callable[[], None]) -> Voices:
    """Encode every voice from its reference; in the control each voice's text goes to the one half the list away."""
    conditioning = {}
    for voice in material.voices:
        conditioning[voice.speaker] = model.encode_voice([Reference(voice.reference, material.sample_rate)])
        advance()
    return Voices(conditioning, other_voices(material.voices))


def other_voices(voices: Sequence[Voice]) -> dict[str, str]:
    """Speaker -> a speaker of another identity."""
    result = {}
    for index, voice in enumerate(voices):
        turned = [*voices[index:], *voices[:index]]
        turned = [*turned[len(voices) // 2 :], *turned[: len(voices) // 2]]
        result[voice.speaker] = next(other.speaker for other in turned if other.base != voice.base)
    return result


def utterances(line: Spoken, voices: Voices) -> dict[str, Utterance]:
    """What is asked of the model for ``line``, by system."""
    own, other = voices.conditioning[line.speaker], voices.conditioning[voices.other[line.speaker]]
    # Phones of the engine that spoke the line: they carry its habits, so the text's own voice is a real rival.
    phones: dict[str, Any] = {"text": arpabet(line.phones, line.stresses), "alphabet": PhoneticAlphabet.ARPABET}
    return {
        MODEL: Utterance(line.text, own),
        ENGINE_PHONES: Utterance(voice=own, **phones),
        SWAPPED: Utterance(voice=other, **phones),
    }
