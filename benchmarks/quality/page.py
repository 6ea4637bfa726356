"""A page to look at: spectrograms, pitch and audio of true, copied and synthesised speech, in one file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.quality.data import Material, Spoken
from benchmarks.quality.judge import Audio
from benchmarks.quality.prosody import Analysis, analyse
from benchmarks.quality.systems import COPY, MODEL, TRUTH

#: Seconds a spectrogram frame lasts.
_FRAME: Final = 0.016
_SYSTEMS: Final = (TRUTH, COPY, MODEL)
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "img{max-width:100%}audio{height:2rem;vertical-align:middle}figure{margin:2rem 0}"
    "td{padding:0 1.5rem .3rem 0}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}"
)


def write_page(path: Path, audio: Audio, material: Material, title: str, sentences: Sequence[int] = (0, 3)) -> None:
    """Write the page for ``sentences`` by every voice whose words are judged; everything is inside the one file."""
    chosen = [line for line in material.recognised if line.sentence in sentences] or list(material.recognised[:2])
    figures = [_figure(line, audio) for line in chosen]
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>Log-mel spectrograms of the speech without the silence at its ends; the "
        f"white line is F0 (pyworld), on an axis from 50 to 500 Hz.</p>{''.join(figures)}</html>\n",
        encoding="utf-8",
    )


def _figure(line: Spoken, audio: Audio) -> str:
    heard = {system: audio[system][line.id] for system in _SYSTEMS if line.id in audio.get(system, {})}
    picture = _inline("image/png", _plot({system: analyse(samples) for system, samples in heard.items()}))
    players = "".join(
        f"<td>{system}<br><audio controls src='{_inline('audio/flac', _flac(samples))}'></audio></td>"
        for system, samples in heard.items()
    )
    caption = html.escape(f"{line.speaker}: {line.text}")
    head = f"<figcaption>{caption}</figcaption><img alt='' src='{picture}'>"
    return f"<figure>{head}<table><tr>{players}</table></figure>"


def _plot(analyses: dict[str, Analysis]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.1 * len(analyses)), layout="constrained")
    longest = max(len(analysis.mel) for analysis in analyses.values()) * _FRAME
    for at, (system, analysis) in enumerate(analyses.items(), start=1):
        axes = figure.add_subplot(len(analyses), 1, at)
        times, bands = np.arange(len(analysis.mel) + 1) * _FRAME, np.arange(analysis.mel.shape[1] + 1)
        axes.pcolormesh(times, bands, analysis.mel.T, vmin=-9.0, vmax=1.0, cmap="magma")
        axes.set(xlim=(0.0, longest), ylabel=system, yticks=())
        pitch = axes.twinx()
        voiced = np.where(analysis.f0 > 0, analysis.f0, np.nan)
        pitch.plot((np.arange(len(voiced)) + 0.5) * _FRAME, voiced, color="white", linewidth=1.4)
        pitch.set(ylim=(50.0, 500.0), yscale="log", yticks=(50, 100, 200, 400), yticklabels=("50", "100", "200", "400"))
        pitch.minorticks_off()
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=80)
    return target.getvalue()


def _flac(samples: NDArray[np.float32]) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="FLAC", subtype="PCM_16")
    return target.getvalue()


def _inline(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
