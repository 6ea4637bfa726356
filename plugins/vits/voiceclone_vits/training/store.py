"""A corpus ready to train on: audio at the model's rate in one memory-mapped file, tokens and lengths beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console

from voiceclone.errors import InvalidManifest
from voiceclone_vits.training.corpus import Line

_FORMAT = 1
Tokenize = Callable[[Line], Sequence[int]]


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Sample rate and hop of the model; utterances outside ``shortest`` .. ``longest`` seconds are left out."""

    sample_rate: int
    hop_length: int
    shortest: float = 0.4
    longest: float = 12.0
    #: Whatever decides the tokens; a change of it makes the store anew.
    tokenizer: str = ""


@dataclass
class Store:
    """Utterances by number. ``lines``, ``tokens`` and ``frames`` run side by side; ``left_out`` counts by reason."""

    lines: list[Line]
    tokens: list[list[int]]
    frames: list[int]
    config: StoreConfig
    left_out: dict[str, int] = field(default_factory=dict)
    _samples: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    _begins: list[int] = field(default_factory=list)

    def audio(self, index: int) -> NDArray[np.float32]:
        """Samples of an utterance in -1..1, a whole number of hops."""
        begin = self._begins[index]
        cut = self._samples[begin : begin + self.frames[index] * self.config.hop_length]
        return cut.astype(np.float32) / np.float32(32768.0)

    def of(self, split: str) -> list[int]:
        return [index for index, line in enumerate(self.lines) if line.split == split]


def open_store(
    lines: Sequence[Line], tokenize: Tokenize, folder: Path, config: StoreConfig, console: Console, threads: int = 2
) -> Store:
    """The store in ``folder``, made where it is absent or of other lines. Raises InvalidManifest where nothing is left."""
    stamp = _stamp(lines, config)
    index = folder / "index.json"
    if not index.is_file() or json.loads(index.read_text("utf-8"))["stamp"] != stamp:
        _build(lines, tokenize, folder, config, stamp, console, threads)
    data = json.loads(index.read_text("utf-8"))
    chosen = [int(number) for number in data["chosen"]]
    if not any(lines[number].split == "train" for number in chosen):
        reasons = ", ".join(f"{count} {reason}" for reason, count in data["left_out"].items())
        raise InvalidManifest(f"no utterance can be trained on: {reasons or 'none is for training'}.")
    return Store(
        lines=[lines[number] for number in chosen], tokens=data["tokens"], frames=data["frames"], config=config,
        left_out=data["left_out"], _samples=np.load(folder / "audio.npy", mmap_mode="r"),
        _begins=np.cumsum([0, *(count * config.hop_length for count in data["frames"])]).tolist(),
    )  # fmt: skip


def _stamp(lines: Sequence[Line], config: StoreConfig) -> str:
    text = json.dumps([_FORMAT, repr(config), [[str(line.audio), line.text, line.phones] for line in lines]])
    return hashlib.sha256(text.encode()).hexdigest()


def _build(
    lines: Sequence[Line], tokenize: Tokenize, folder: Path, config: StoreConfig, stamp: str, console: Console,
    threads: int,
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").unlink(missing_ok=True)
    chosen: list[int] = []
    tokens: list[list[int]] = []
    frames: list[int] = []
    left_out: dict[str, int] = {}
    partial = folder / "audio.raw"
    with ThreadPoolExecutor(threads) as pool, partial.open("wb") as file:
        recordings = pool.map(lambda line: read_audio(line, config.sample_rate), lines)
        for number, samples in enumerate(recordings):
            count = len(samples) // config.hop_length
            ids = list(tokenize(lines[number]))
            reason = _unusable(count, len(ids), config)
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            chosen.append(number)
            tokens.append(ids)
            frames.append(count)
            file.write(samples[: count * config.hop_length].tobytes())
    np.save(folder / "audio.npy", np.fromfile(partial, np.int16))
    partial.unlink()
    for reason, count in left_out.items():
        console.print(f"{count} of {len(lines)} utterances left out: {reason}")
    data: dict[str, Any] = {"stamp": stamp, "chosen": chosen, "tokens": tokens, "frames": frames, "left_out": left_out}
    (folder / "index.json").write_text(json.dumps(data) + "\n", "utf-8")


def _unusable(frames: int, tokens: int, config: StoreConfig) -> str:
    """Why an utterance cannot be learned from; empty where it can."""
    seconds = frames * config.hop_length / config.sample_rate
    if tokens == 0:
        return "no token of the text is known to the model"
    if tokens > frames:
        return "more tokens than spectrogram frames: text and audio do not belong together"
    if seconds > config.longest:
        return f"longer than {config.longest:g} s"
    return f"shorter than {config.shortest:g} s" if seconds < config.shortest else ""


def read_audio(line: Line, sample_rate: int) -> NDArray[np.int16]:
    """Mono samples at ``sample_rate``. Raises InvalidManifest where the file cannot be read."""
    try:
        audio, rate = soundfile.read(line.audio, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise InvalidManifest(
            f"{line.audio.name} cannot be read: {error}.",
            hint="Paths in a filelist are relative to --audio-root, or to the filelist's own folder.",
        ) from error
    samples = audio.mean(axis=1)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate)
    return (samples * 32768.0).round().clip(-32768, 32767).astype(np.int16)
