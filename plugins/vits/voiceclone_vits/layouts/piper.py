"""The layout of piper's training: a Lightning checkpoint, and the voice's JSON where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.checkpoints import Record, find_tensors, old_spelling, read_json, read_payload, strip_prefix
from voiceclone.errors import ModelFilesInvalid
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import AudioConfig
from voiceclone_vits.layouts.shapes import Untold, infer, setting
from voiceclone_vits.symbols import Alphabet, SymbolTable

_BLANK, _BEGIN, _END = "_", "^", "$"
#: Parts that only training needs, and what their names begin with.
_TRAINING = {"discriminator": "model_d.", "resolution discriminator": "model_mrd."}
#: What pieces of a training command piper's checkpoints may keep as objects.
_RECORDS = ("piper_train.vits.config.ModelConfig", "piper_train.vits.config.TrainingConfig")


@dataclass(frozen=True)
class Found:
    """The checkpoint, and the JSON that describes the voice."""

    weights: Path
    voice: Path | None


def find(path: Path) -> Found | None:
    """piper's checkpoint at ``path``; None where this layout is not there."""
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.glob("*.ckpt")) if path.is_dir() else [path] if path.suffix == ".ckpt" else []
    if not files:
        return None
    voices = [file for file in sorted(folder.glob("*.json")) if "phoneme_id_map" in read_json(file)]
    return Found(max(files, key=lambda file: (file.stat().st_mtime, file.name)), voices[0] if voices else None)


def read(found: Found) -> Checkpoint:
    """Raises ModelFilesInvalid."""
    file = found.weights.name
    payload = read_payload(found.weights, _RECORDS)
    state = find_tensors(payload, file, wrappers=("state_dict",))
    tensors = old_spelling(strip_prefix(state, "model_g."))
    if not tensors:
        raise ModelFilesInvalid(
            f"{file} holds no generator of piper: no tensor begins with model_g.",
            hint=f"It begins with {', '.join(sorted(state)[:3])}.",
        )
    hyper = _hyper(payload)
    untold = Untold(
        rates=setting(hyper, "upsample_rates", kind=(list, tuple), file=file),
        dilations=setting(hyper, "resblock_dilation_sizes", kind=(list, tuple), file=file),
        heads=setting(hyper, "n_heads", kind=int, file=file),
        text_dropout=float(hyper.get("p_dropout", 0.1)),
        audio=_audio(hyper),
    )
    inferred = infer(tensors, untold, file)
    voice = read_json(found.voice) if found.voice else {}
    language = str((voice.get("espeak") or {}).get("voice") or (voice.get("language") or {}).get("code") or "en")
    training = {part: strip_prefix(state, prefix) for part, prefix in _TRAINING.items()}
    return Checkpoint(
        "piper", inferred, tensors, _symbols(voice, inferred.text.vocabulary), _speakers(voice, inferred.speakers),
        (language.split("_")[0].split("-")[0],), {part: held for part, held in training.items() if held},
        files=(file, *([found.voice.name] if found.voice else [])),
    )  # fmt: skip


def _hyper(payload: Any) -> dict[str, Any]:
    hyper = payload.get("hyper_parameters")
    if isinstance(hyper, Record):
        hyper = vars(hyper)
    if not isinstance(hyper, Mapping):
        raise ModelFilesInvalid("the checkpoint has no hyper_parameters: is it piper's?")
    return dict(hyper)


def _audio(hyper: Mapping[str, Any]) -> AudioConfig:
    lengths = (
        int(hyper.get(f"{name}_length", usual)) for name, usual in (("filter", 1024), ("hop", 256), ("win", 1024))
    )
    top = hyper.get("mel_fmax")
    return AudioConfig(
        int(hyper.get("sample_rate", 22050)), *lengths, int(hyper.get("mel_channels", 80)),
        float(hyper.get("mel_fmin") or 0.0), None if top is None else float(top),
    )  # fmt: skip


def _symbols(voice: Mapping[str, Any], count: int) -> SymbolTable:
    """The voice's phonemes; piper's own table has ids beyond those it names, so that voices can grow."""
    named = voice.get("phoneme_id_map")
    if not isinstance(named, Mapping):
        return SymbolTable({})
    ids = {str(symbol): tuple(int(one) for one in (numbers if isinstance(numbers, list) else [numbers]))
           for symbol, numbers in named.items()}  # fmt: skip
    if any(number >= count for numbers in ids.values() for number in numbers):
        raise ModelFilesInvalid(f"the voice names phoneme ids beyond the {count} that the checkpoint knows.")
    alphabet = Alphabet.LETTERS if voice.get("phoneme_type") == "text" else Alphabet.IPA
    return SymbolTable(ids, alphabet, ids.get(_BLANK, (0,))[0], ids.get(_BEGIN, ()), ids.get(_END, ()))


def _speakers(voice: Mapping[str, Any], count: int) -> tuple[str, ...]:
    named = voice.get("speaker_id_map") or {}
    if sorted(map(str, named.values())) == sorted(str(number) for number in range(count)):
        return tuple(name for name, _ in sorted(named.items(), key=lambda item: int(item[1])))
    return tuple(str(number) for number in range(count))
