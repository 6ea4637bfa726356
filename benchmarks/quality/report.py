"""The figures as JSON, as the Markdown of a model card, and as a table in the terminal."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.quality.data import Material
from benchmarks.quality.gates import Gate, gates
from benchmarks.quality.intervals import Figure
from benchmarks.quality.judge import Result, Words
from benchmarks.quality.systems import MODEL, Loaded

BEGIN: Final = "<!-- quality:begin -->"
END: Final = "<!-- quality:end -->"
_PACKAGES: Final = ("voiceclone", "torch", "numpy", "pocketsphinx", "resemblyzer", "pyworld")


def to_json(result: Result, material: Material, loaded: Loaded) -> dict[str, Any]:
    """Everything measured, with its intervals, and what it was measured on and with."""
    cost = result.cost
    return {
        "model": {
            "name": loaded.info.name,
            "backend": loaded.info.backend,
            "revision": loaded.info.revision,
            "megabytes": round(loaded.megabytes, 2),
        },
        "hardware": hardware(),
        "versions": {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "counts": {
            "voices": len(material.voices),
            "recognised_utterances": len(material.recognised),
            "recognised_words": result.words[MODEL].word_count,
            "compared_utterances": len(material.compared),
            "familiarity": {voice.speaker: voice.familiarity for voice in material.voices},
        },
        "gates": [{**asdict(gate), "passed": gate.passed} for gate in gates(result, material, loaded)],
        "words_closed": {name: _words(words) for name, words in result.words.items()},
        "words_open": {name: _words(words) for name, words in result.open_words.items()},
        "words_missing_in_dictionary": result.missing_words,
        "voices": _plain(result.voices),
        "voice_misses": result.misses,
        "wrong_reference": _plain({"follows_reference": result.follows_reference, "follows_text": result.follows_text}),
        "prosody": _plain(result.prosody),
        "levels": result.levels,
        "pronunciation": {engine: found.to_json() for engine, found in result.pronunciation.items()},
        "speed": {
            "threads": 1,
            "audio_seconds": round(cost.audio, 2),
            "rtf_cpu": round(cost.cpu / cost.audio, 5),
            "rtf_wall": round(cost.wall / cost.audio, 5),
            "first_chunk_wall_ms_p50": round(1000 * float(np.median(cost.first_chunks)), 2),
            "load_seconds": round(loaded.load_seconds, 3),
            "load_cpu_seconds": round(loaded.load_cpu_seconds, 3),
        },
    }


def hardware() -> dict[str, Any]:
    """The processor, its cores, and how busy the machine was with other work."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        name = found[1] if found else name
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    isa = torch.backends.cpu.get_cpu_capability()
    return {"cpu": name, "cores": os.cpu_count(), "load_average": load, "torch_isa": isa}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _words(words: Words) -> dict[str, Any]:
    figures = {"all": words.all, "over_truth": words.over_truth, "wrong_sentence": words.wrong_sentence}
    heard = [[score.id, score.text, score.heard, score.errors] for score in words.scores if score.errors]
    return {**_plain(figures), "speakers": _plain(words.speakers), "words": words.word_count, "mistakes": heard}


def _plain(value: Any) -> Any:
    if isinstance(value, Figure):
        return value.to_json()
    return {name: _plain(entry) for name, entry in value.items()}


def to_markdown(result: Result, material: Material, loaded: Loaded) -> str:
    """The block of a model card: gates, systems side by side, and how it was measured."""
    lines = ["| wanted | | reached | |", "|---|---|---|---|"]
    for gate in gates(result, material, loaded):
        lines.append(f"| {gate.name} | {gate.wanted} | {_short(gate)} | {'yes' if gate.passed else '**no**'} |")
    speakers = list(result.words[MODEL].speakers)
    known = {voice.speaker: voice.familiarity for voice in material.voices}
    heads = ", ".join(f"{speaker.partition('/')[2]} ({known[speaker]})" for speaker in speakers)
    lines += [
        "",
        f"| system | word errors, % | {heads} | similarity own / others | nearest is own: all / seen / unseen "
        "| F0 corr. | F0 error, st | duration | mel L1 | MCD, dB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(system, result, speakers) for system in result.words]
    return "\n".join([*lines, "", _small_print(result, material, loaded)]) + "\n"


def _small_print(result: Result, material: Material, loaded: Loaded) -> str:
    words, cost = result.words[MODEL], result.cost
    return (
        f"{words.word_count} words in {len(material.recognised)} sentences by {len(words.speakers)} voices; "
        f"{len(material.compared)} sentences by {len(material.voices)} voices. Brackets: 95 % bootstrap interval over "
        f"utterances. Scored against the wrong sentence the model has {100 * words.wrong_sentence.value:.0f} % word "
        f"errors; with another voice's reference the nearest voice is the reference's "
        f"{100 * result.follows_reference.value:.0f} % of the time and that of the text's own speaker "
        f"{100 * result.follows_text.value:.0f} %. "
        f"Real-time factor {cost.cpu / cost.audio:.4f} of one thread ({hardware()['cpu']}), load "
        f"{loaded.load_cpu_seconds:.2f} s, {loaded.megabytes:.1f} MB. Revision `{loaded.info.revision}`. Judges: "
        f"pocketsphinx {_version('pocketsphinx')} with the words of the test set equally likely, "
        f"resemblyzer {_version('resemblyzer')}, pyworld {_version('pyworld')}. No human has listened."
    )


def _short(gate: Gate) -> str:
    return f"{gate.value:.3g}" if abs(gate.value) < 100 else f"{gate.value:.0f}"


def _row(system: str, result: Result, speakers: list[str]) -> str:
    words, voices = result.words[system], result.voices[system]
    by_voice = " / ".join(f"{100 * words.speakers[speaker].value:.1f}" for speaker in speakers)
    groups = ("all", "seen", "unseen")
    top1 = " / ".join(f"{voices[group]['top1'].value:.2f}" if group in voices else "-" for group in groups)
    cells = [
        system,
        f"{100 * words.all.value:.1f} ({100 * words.all.low:.1f}-{100 * words.all.high:.1f})",
        by_voice,
        f"{voices['all']['own'].value:.3f} / {voices['all']['others'].value:.3f}",
        top1,
    ]
    heard = result.prosody.get(system, {}).get("all", {})
    for name in ("f0_correlation", "f0_error", "duration_ratio", "mel_l1", "mcd"):
        cells.append(f"{heard[name].value:.2f}" if name in heard else "-")
    return "| " + " | ".join(cells) + " |"


def rewrite_card(path: Path, block: str) -> None:
    """Put ``block`` between the two marks of the file at ``path``. Raises ValueError unless each is there once."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path.name} needs one line {BEGIN} and, below it, one line {END}")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(f"{before}\n{block.strip()}\n{after}", encoding="utf-8")
    os.replace(temporary, path)
