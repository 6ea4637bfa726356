"""The layout of the original VITS and of VITS2 (and of MMS as published): G_*.pth and config.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.checkpoints import find_tensors, old_spelling, read_json, read_payload
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import AudioConfig, FlowKind
from voiceclone_vits.layouts.shapes import Untold, infer, setting
from voiceclone_vits.symbols import VITS_SYMBOLS, Alphabet, SymbolTable, numbered

_WEIGHTS = (".pth", ".pt", ".safetensors", ".bin")
#: Cleaners of the originals that write IPA.
_IPA_CLEANERS = ("english_cleaners", "english_cleaners2", "english_cleaners3")


@dataclass(frozen=True)
class Found:
    """A weight file with its configuration."""

    weights: Path
    config: Path


def find(path: Path) -> Found | None:
    """The generator at ``path`` and its configuration; None where this layout is not there."""
    folder = path if path.is_dir() else path.parent
    config = next((file for file in _configs(folder) if _is_config(file)), None)
    weights = _newest(folder) if path.is_dir() else path if path.suffix in _WEIGHTS else None
    return Found(weights, config) if config is not None and weights is not None else None


def _configs(folder: Path) -> list[Path]:
    return [folder / "config.json", *sorted(file for file in folder.glob("*.json") if file.name != "config.json")]


def _is_config(file: Path) -> bool:
    if not file.is_file():
        return False
    model = read_json(file).get("model")
    return isinstance(model, Mapping) and "upsample_rates" in model


def _newest(folder: Path) -> Path | None:
    """The generator of the highest step; discriminators are named D and DUR."""
    files = [
        file for file in folder.iterdir() if file.suffix in _WEIGHTS and not re.match(r"(?i)(D|DUR)[_.\d]", file.name)
    ]
    return max(files, key=lambda file: (file.name.startswith("G"), int((re.findall(r"\d+", file.stem) or ["0"])[-1]),
                                        file.name), default=None)  # fmt: skip


def read(found: Found) -> Checkpoint:
    """Raises ModelFilesInvalid."""
    config = read_json(found.config)
    model, data = setting(config, "model", kind=dict), config.get("data", {})
    tensors = old_spelling(find_tensors(read_payload(found.weights), found.weights.name))
    flow = model.get("transformer_flow_type", FlowKind.MONO_POST.value) if model.get("use_transformer_flows") else None
    untold = Untold(
        rates=setting(config, "model", "upsample_rates", kind=list),
        dilations=setting(config, "model", "resblock_dilation_sizes", kind=list),
        heads=setting(config, "model", "n_heads", kind=int),
        flow_kind=FlowKind(flow) if flow else None,
        posterior_mel=bool(model.get("use_mel_posterior_encoder", data.get("use_mel_posterior_encoder", False))),
        text_dropout=float(model.get("p_dropout", 0.1)),
        audio=audio_config(data),
    )
    inferred = infer(tensors, untold, found.weights.name)
    vocabulary = found.weights.parent / "vocab.txt"
    symbols = _symbols(config, data, inferred.text.vocabulary, vocabulary)
    return Checkpoint(
        "p0p4k/vits2_pytorch" if flow or untold.posterior_mel else "jaywalnut310/vits",
        inferred, tensors, symbols, _speakers(config, inferred.speakers),
        files=(found.weights.name, found.config.name, *([vocabulary.name] if vocabulary.is_file() else [])),
    )  # fmt: skip


def audio_config(data: Mapping[str, Any]) -> AudioConfig:
    """From the "data" section of the original's configuration."""
    return AudioConfig(
        int(data.get("sampling_rate", 22050)), int(data.get("filter_length", 1024)), int(data.get("hop_length", 256)),
        int(data.get("win_length", 1024)), int(data.get("n_mel_channels", 80)), float(data.get("mel_fmin") or 0.0),
        None if data.get("mel_fmax") is None else float(data["mel_fmax"]),
    )  # fmt: skip


def _symbols(config: Mapping[str, Any], data: Mapping[str, Any], count: int, vocabulary: Path) -> SymbolTable:
    """The table of ``count`` symbols: the configuration's own, vocab.txt, or the published one where it has as many."""
    blank = 0 if data.get("add_blank", True) else None
    if vocabulary.is_file():
        lines = vocabulary.read_text("utf-8").split("\n")
        listed = [line.rstrip("\r") for line in (lines[:-1] if lines and not lines[-1] else lines)]
        return SymbolTable(numbered(listed), Alphabet.LETTERS, blank, normalise=True)
    symbols = config.get("symbols") or data.get("symbols") or VITS_SYMBOLS
    if len(symbols) != count:
        return SymbolTable({}, blank=blank)
    cleaners = data.get("text_cleaners") or []
    own = "symbols" not in config and "symbols" not in data
    ipa = any(cleaner in _IPA_CLEANERS for cleaner in cleaners) or (own and not cleaners)
    return SymbolTable(numbered([str(symbol) for symbol in symbols]), Alphabet.IPA if ipa else Alphabet.LETTERS, blank)


def _speakers(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names in order of their numbers, as forks store them; numbers where there are none."""
    named = config.get("speakers")
    if isinstance(named, Mapping) and sorted(map(str, named.values())) == sorted(map(str, range(count))):
        return tuple(name for name, _ in sorted(named.items(), key=lambda item: int(item[1])))
    if isinstance(named, list) and len(named) == count:
        return tuple(str(name) for name in named)
    return tuple(str(number) for number in range(count))
