"""Features of a corpus, computed once: mel, pitch, durations and audio in flat memory-mapped arrays."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from voiceclone.errors import InvalidManifest
from voiceclone.nn.pitch import PitchConfig, median_level, track_log_f0
from voiceclone.nn.spectrogram import LogMel, SpectrogramConfig
from voiceclone.text.phones import PHONE_IDS
from voiceclone.training.manifest import ManifestItem, read_manifest

Floats = NDArray[np.float32]

_FORMAT = 2
#: Utterances longer than this many seconds are left out: they would set the padding of a whole batch.
_LONGEST = 12.0


@dataclass(frozen=True, slots=True)
class Features:
    """One utterance: ``mel`` ``[F, n_mels]``, ``log_f0`` ``[F]`` (0 unvoiced), ``audio`` int16 ``[F * hop]``.

    Per phone, ``[N]`` each: ``phones`` (ids), ``stresses``, ``durations`` (frames).
    """

    mel: Floats
    log_f0: Floats
    audio: NDArray[np.int16]
    phones: NDArray[np.int16]
    stresses: NDArray[np.int16]
    durations: NDArray[np.int16]


def frame_durations(ends: Sequence[float], frames: int, frames_per_second: float) -> NDArray[np.int16]:
    """Phone end times in seconds -> whole frames that sum to ``frames``."""
    borders = np.rint(np.asarray(ends) * frames_per_second).astype(int).clip(0, frames)
    borders[-1] = frames
    return np.diff(borders, prepend=0).astype(np.int16)


def extract(folder: Path, item: ManifestItem, config: SpectrogramConfig) -> Features:
    """Read one utterance. Raises InvalidManifest where it has no durations."""
    if item.phones is None or item.stresses is None or item.ends is None:
        raise InvalidManifest(
            f"{item.id}: phones, stresses and ends are missing.",
            hint="fastspeech2 learns durations from the manifest; align the corpus first.",
        )
    audio, rate = soundfile.read(folder / item.audio, dtype="float32", always_2d=True)
    samples = audio.mean(axis=1)
    if rate != config.sample_rate:
        samples = soxr.resample(samples, rate, config.sample_rate)
    samples = samples[: len(samples) - len(samples) % config.hop_length]
    with torch.inference_mode():
        mel = LogMel(config)(torch.from_numpy(np.ascontiguousarray(samples))[None])[0].T.numpy()
    return Features(
        mel=mel,
        log_f0=track_log_f0(samples, PitchConfig(config.sample_rate, config.hop_length)),
        audio=(samples * 32767.0).round().clip(-32768, 32767).astype(np.int16),
        phones=np.array([PHONE_IDS[phone] for phone in item.phones], np.int16),
        stresses=np.array(item.stresses, np.int16),
        durations=frame_durations(item.ends, len(mel), config.frames_per_second),
    )


class FeatureStore:
    """The features of every usable utterance of a corpus; built on first use, then memory-mapped."""

    _ARRAYS = ("mel", "log_f0", "audio", "phones", "stresses", "durations")

    def __init__(self, corpus: Path, cache: Path, config: SpectrogramConfig, processes: int = 2) -> None:
        self.config = config
        items = [item for item in read_manifest(corpus) if item.ends and item.ends[-1] <= _LONGEST]
        stamp = {"format": _FORMAT, "items": [item.id for item in items], "config": repr(config)}
        done = cache / "index.json"
        if not done.is_file() or json.loads(done.read_text(encoding="utf-8"))["stamp"] != stamp:
            self._build(corpus, items, cache, stamp, processes)
        index = json.loads(done.read_text(encoding="utf-8"))
        self.items = items
        self._offsets = {name: np.asarray(values) for name, values in index["offsets"].items()}
        self._arrays = {name: np.load(cache / f"{name}.npy", mmap_mode="r") for name in self._ARRAYS}
        self.levels = np.array([self._level(i) for i in range(len(items))])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Features:
        cut = {}
        for name in self._ARRAYS:
            begin, end = self._offsets[name][index : index + 2]
            cut[name] = self._arrays[name][begin:end]
        return Features(**{**cut, "mel": cut["mel"].astype(np.float32)})

    def frames(self, index: int) -> int:
        begin, end = self._offsets["log_f0"][index : index + 2]
        return int(end - begin)

    def _level(self, index: int) -> float:
        """Median log F0 of an utterance; nan where fewer than five frames are voiced."""
        begin, end = self._offsets["log_f0"][index : index + 2]
        level = median_level(self._arrays["log_f0"][begin:end])
        return float("nan") if level is None else level

    def _build(
        self, corpus: Path, items: Sequence[ManifestItem], cache: Path, stamp: dict[str, Any], processes: int
    ) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "index.json").unlink(missing_ok=True)
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name in self._ARRAYS}
        for features in _extract_all(corpus, items, self.config, processes):
            for name in self._ARRAYS:
                columns[name].append(getattr(features, name))
        offsets = {}
        for name, parts in columns.items():
            offsets[name] = np.cumsum([0, *map(len, parts)]).tolist()
            np.save(cache / f"{name}.npy", np.concatenate(parts))
            parts.clear()
        (cache / "index.json").write_text(json.dumps({"stamp": stamp, "offsets": offsets}), encoding="utf-8")


def _extract_all(
    corpus: Path, items: Sequence[ManifestItem], config: SpectrogramConfig, processes: int
) -> Iterable[Features]:
    jobs = [(corpus, item, config) for item in items]
    context = multiprocessing.get_context("spawn")
    with Progress() as bar, context.Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        row = bar.add_task("features", total=len(jobs))
        for features in pool.imap(_extract_job, jobs, chunksize=16):
            bar.advance(row)
            half = features.mel.astype(np.float16)
            yield Features(half, *(getattr(features, name) for name in FeatureStore._ARRAYS[1:]))  # type: ignore[arg-type]


def _extract_job(job: tuple[Path, ManifestItem, SpectrogramConfig]) -> Features:
    return extract(*job)
