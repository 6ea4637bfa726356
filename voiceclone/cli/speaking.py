"""Speaks a text through a server into a file: progress while it runs, figures when it is done."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from voiceclone.cli.console import note, say

if TYPE_CHECKING:
    from voiceclone.client import Client, Header, Summary
    from voiceclone.types import Timing

#: Endings of --out.
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(slots=True)
class Spoken:
    """One utterance and its figures, as the client saw them; times in seconds."""

    header: Header
    summary: Summary
    pcm: bytes
    timings: list[Timing] = field(default_factory=list)
    #: From the request to the first audio.
    first_audio: float = 0.0
    #: From the request to the last audio.
    total: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return self.summary.sample_count / self.header.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Seconds it took for a second of audio."""
        return self.total / self.duration if self.duration else 0.0


def check_suffix(path: Path) -> Path:
    """Raise BadParameter unless the file's ending is one that can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{path.name!r} ends in none of {', '.join(SUFFIXES)}.", param_hint="--out")
    return path


def make_ready(client: Client, model: str) -> tuple[str, ...]:
    """Load the model, which the first request would otherwise wait for; return the kinds of timing it gives."""
    found = client.model(model)
    if found.state != "ready":
        with _working(f"loading {found.name}"):
            found = client.load_model(model)
    assert found.capabilities is not None
    return tuple(kind.value for kind in found.capabilities.timings)


def speak(client: Client, text: str, voice: str, options: Mapping[str, Any]) -> Spoken:
    """Stream a text as 16-bit samples; a bar on stderr follows the words."""
    from voiceclone.client import Audio, Header, Summary
    from voiceclone.types import Timing

    header: Header | None = None
    summary: Summary | None = None
    chunks: list[bytes] = []
    timings: list[Timing] = []
    first_audio = 0.0
    with _progress(len(text)) as advance:
        start = time.perf_counter()
        for event in client.stream(text, voice, encoding="pcm_s16le", **options):
            if isinstance(event, Audio):
                first_audio = first_audio or time.perf_counter() - start
                chunks.append(event.data)
            elif isinstance(event, Timing):
                timings.append(event)
                if event.span is not None:
                    advance(event.span.end)
            elif isinstance(event, Header):
                header = event
            elif isinstance(event, Summary):
                summary = event
        total = time.perf_counter() - start
        advance(len(text))
    assert header is not None
    assert summary is not None
    return Spoken(header, summary, b"".join(chunks), timings, first_audio, total)


def write_audio(spoken: Spoken, path: Path) -> None:
    """Write the file whose kind the path's ending names; it is there whole or not at all. Raises FormatUnsupported."""
    import numpy as np

    from voiceclone.audio import Encoding, encode_file

    encoding = next(item for item in Encoding if item.suffix == path.suffix.lower())
    samples = np.frombuffer(spoken.pcm, "<i2").astype(np.float32) / np.float32(32768)
    _write_whole(path, encode_file(samples, spoken.header.sample_rate, encoding))


def write_timings(spoken: Spoken, text: str, path: Path) -> None:
    """Write what was said when, as JSON; samples count from the start of the file."""
    header = spoken.header
    data = {
        "text": text,
        "voice": header.voice,
        "model": header.model,
        "seed": header.seed,
        "sample_rate": header.sample_rate,
        "sample_count": spoken.summary.sample_count,
        "figures": {
            "first_audio_seconds": round(spoken.first_audio, 4),
            "total_seconds": round(spoken.total, 4),
            "real_time_factor": round(spoken.real_time_factor, 4),
            "server_queue_seconds": round(spoken.summary.queue_seconds, 4),
            "server_first_audio_seconds": round(spoken.summary.first_audio_seconds, 4),
            "server_compute_seconds": round(spoken.summary.compute_seconds, 4),
        },
        "timings": [_timing(item) for item in spoken.timings],
    }
    _write_whole(path, json.dumps(data, indent=1, ensure_ascii=False).encode())


def report(spoken: Spoken, *paths: Path) -> None:
    """Print the figures, then where the files are."""
    say(
        f"first audio after {spoken.first_audio * 1000:.0f} ms, RTF {spoken.real_time_factor:.3f} "
        f"({spoken.duration:.2f} s of audio in {spoken.total:.2f} s), {spoken.header.model}, seed {spoken.header.seed}"
    )
    if spoken.summary.truncated:
        note("the text was too long: the audio was cut short")
    for path in paths:
        say(str(path))


def _timing(item: Timing) -> dict[str, Any]:
    data: dict[str, Any] = {
        "kind": item.kind.value,
        "label": item.label,
        "start_sample": item.start_sample,
        "sample_count": item.sample_count,
    }
    if item.span is not None:
        data["span"] = [item.span.begin, item.span.end]
    if item.kind.value == "viseme":
        data |= {"viseme_id": item.viseme_id, "weight": round(item.weight, 4)}
    return {**data, "source": item.source.value}


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files for the owner only
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _working(text: str) -> Iterator[None]:
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        note(text)
        yield
        return
    with console.status(text):
        yield


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("speaking"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("speaking", total=total)
        yield lambda done: progress.update(task, completed=done)
