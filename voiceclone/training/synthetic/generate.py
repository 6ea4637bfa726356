"""Renders a planned corpus into a folder: in several processes, resumable, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import soundfile
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from voiceclone.training.manifest import ManifestItem, ManifestWriter
from voiceclone.training.synthetic.engines import Line, engine
from voiceclone.training.synthetic.plan import Job, make_plan
from voiceclone.training.synthetic.speech import SAMPLE_RATE, Speech, clip_silence, normalise, warp
from voiceclone.training.synthetic.voices import engine_and_voice

#: Utterances a worker renders between two reports; festival starts once for each batch.
_BATCH_SIZE: Final = 24
#: A voice of each engine that is asked for a word before a run: programs come without their voices.
_PROBES: Final = (("espeak", "f2"), ("flite", "slt"), ("festival", "ked"))


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus holds: utterances and hours by (split, base)."""

    utterances: dict[tuple[str, str], int] = field(default_factory=dict)
    hours: dict[tuple[str, str], float] = field(default_factory=dict)


def generate_corpus(folder: str | Path, hours: float, seed: int = 1, processes: int = 1) -> CorpusSummary:
    """Writes a corpus with about `hours` of training audio into `folder` and returns what it holds.

    The same seed gives the same corpus, but for what espeak-ng remembers of the utterance before: it moves phone
    ends by less than a millisecond. A run that was cut off goes on where it stopped when it is started again
    with the same arguments. Raises EngineMissing without espeak-ng, flite or festival, UnknownSymbol on a phone
    that no table maps, ValueError on hours or processes that are not positive, or when the folder holds another corpus.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    # A missing program is reported before an hour of work, not after it.
    for name, voice in _PROBES:
        engine(name).speak([Line("Ready.", voice)])
    jobs = make_plan(hours, seed)
    with ManifestWriter(folder) as writer:
        _check_same_corpus(writer.items, jobs)
        batches = _batches([job for job in jobs if job.id not in writer])
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn()) as progress:
            task = progress.add_task("rendering", total=len(jobs), completed=len(writer.items))
            for items in _render_all(batches, Path(folder), processes):
                for item in items:
                    writer.write(item)
                progress.advance(task, len(items))
        writer.finish()
        return summarise(writer.items)


def _check_same_corpus(written: Sequence[ManifestItem], jobs: Sequence[Job]) -> None:
    planned = {job.id: job for job in jobs}
    for item in written:
        job = planned.get(item.id)
        if job is None or (job.text, job.speaker) != (item.text, item.speaker):
            raise ValueError(
                f"the folder holds another corpus: its item {item.id} is not one of this plan; "
                "use the hours and seed it was started with, or another folder"
            )


def _batches(jobs: Iterable[Job]) -> list[list[Job]]:
    by_engine: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_engine[engine_and_voice(job.base)[0]].append(job)
    return [group[at : at + _BATCH_SIZE] for group in by_engine.values() for at in range(0, len(group), _BATCH_SIZE)]


def _render_all(batches: Sequence[list[Job]], folder: Path, processes: int) -> Iterable[list[ManifestItem]]:
    if processes == 1:
        yield from (render_batch(batch, folder) for batch in batches)
        return
    # Spawned, not forked: the parent has loaded native engines.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(partial(render_batch, folder=folder), batches)


def render_batch(jobs: Sequence[Job], folder: Path) -> list[ManifestItem]:
    """Renders jobs of one engine, writes their audio below `folder` and returns their items, in order."""
    name, _ = engine_and_voice(jobs[0].base)
    lines = [Line(job.text, engine_and_voice(job.base)[1], job.pitch, job.pitch_range, job.rate) for job in jobs]
    items = []
    for job, speech in zip(jobs, engine(name).speak(lines), strict=True):
        if job.warp != 1:
            speech = warp(speech, job.warp)
        speech = normalise(clip_silence(speech))
        audio = f"audio/{job.split}/{job.id}.flac"
        write_audio(folder / audio, speech)
        items.append(_item(job, audio, speech))
    return items


def write_audio(path: Path, speech: Speech) -> None:
    """Writes `speech` as 16-bit FLAC in one step: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    soundfile.write(temporary, speech.samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    os.replace(temporary, path)


def _item(job: Job, audio: str, speech: Speech) -> ManifestItem:
    ends = [round(end, 5) for end in speech.ends]
    ends[-1] = len(speech.samples) / SAMPLE_RATE
    return ManifestItem(
        id=job.id,
        audio=audio,
        text=job.text,
        speaker=job.speaker,
        base=job.base,
        split=job.split,
        phones=speech.phones,
        stresses=speech.stresses,
        ends=tuple(ends),
        words=speech.words,
    )


def summarise(items: Iterable[ManifestItem]) -> CorpusSummary:
    """Utterances and hours of `items` by (split, base), espeak variants counted as one base."""
    utterances: dict[tuple[str, str], int] = defaultdict(int)
    hours: dict[tuple[str, str], float] = defaultdict(float)
    for item in items:
        engine_name, _ = engine_and_voice(item.base)
        key = (item.split, "espeak" if engine_name == "espeak" else item.base)
        utterances[key] += 1
        hours[key] += item.ends[-1] / 3600 if item.ends else 0.0
    return CorpusSummary(dict(utterances), dict(hours))
