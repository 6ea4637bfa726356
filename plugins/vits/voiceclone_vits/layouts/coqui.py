"""The layout of coqui's VITS and YourTTS: model.pth and a config.json of model "vits"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.checkpoints import find_tensors, old_spelling, read_json, read_payload, strip_prefix
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import AudioConfig
from voiceclone_vits.layouts.shapes import Untold, infer, rename, setting
from voiceclone_vits.symbols import Alphabet, SymbolTable, numbered

#: Names there -> names of the original, in order.
_RULES = (
    (r"^text_encoder\.", "enc_p."),
    (r"^posterior_encoder\.", "enc_q."),
    (r"^duration_predictor\.", "dp."),
    (r"^waveform_decoder\.cond_layer\.", "dec.cond."),
    (r"^waveform_decoder\.", "dec."),
    (r"^flow\.flows\.(\d+)\.", lambda match: f"flow.flows.{2 * int(match[1])}."),
    (r"^(dp\.(?:post_)?flows)\.(\d+)\.", lambda match: f"{match[1]}.{max(0, 2 * int(match[2]) - 1)}."),
    (r"\.translation$", ".m"),
    (r"\.log_scale$", ".logs"),
)  # fmt: skip
_GENERATOR = (
    "text_encoder.",
    "posterior_encoder.",
    "duration_predictor.",
    "waveform_decoder.",
    "flow.",
    "emb_g.",
    "emb_l.",
)
#: Beside the weights, where they are there: who speaks, and in what.
_SPEAKERS = ("speakers.json", "speakers.pth", "speaker_ids.json")
_LANGUAGES = "language_ids.json"
_WEIGHTS = (".pth", ".pt", ".tar", ".safetensors", ".bin")


@dataclass(frozen=True)
class Found:
    """The folder and its weight file."""

    folder: Path
    weights: Path


def find(path: Path) -> Found | None:
    """coqui's VITS at ``path``; None where this layout is not there."""
    folder = path if path.is_dir() else path.parent
    config = folder / "config.json"
    if not config.is_file():
        return None
    data = read_json(config)
    if data.get("model") != "vits" or not isinstance(data.get("model_args"), Mapping):
        return None
    if not path.is_dir():
        return Found(folder, path)
    files = sorted(file for file in folder.iterdir() if file.suffix in _WEIGHTS and "speakers" not in file.name
                   and not file.name.startswith(("model_se", "language")))  # fmt: skip
    best = [file for file in files if file.name.startswith(("model.", "model_file", "best_model"))]
    return Found(folder, (best or files)[-1]) if files else None


def read(found: Found) -> Checkpoint:
    """Raises ModelFilesInvalid."""
    config = read_json(found.folder / "config.json")
    flat = old_spelling(find_tensors(read_payload(found.weights), found.weights.name))
    # Old releases carry the speaker encoder that measured their training loss, and every one its discriminator.
    generator = {name: value for name, value in flat.items() if name.startswith(_GENERATOR)}
    tensors = rename(generator or flat, _RULES)
    tensors = {
        name: value.flatten() if name.endswith((".gamma", ".beta")) else value for name, value in tensors.items()
    }
    args = setting(config, "model_args", kind=dict)
    untold = Untold(
        rates=setting(config, "model_args", "upsample_rates_decoder", kind=list),
        dilations=setting(config, "model_args", "resblock_dilation_sizes_decoder", kind=list),
        heads=int(args.get("num_heads_text_encoder", 2)),
        flow_dilation=int(args.get("dilation_rate_flow", 1)),
        posterior_dilation=int(args.get("dilation_rate_posterior_encoder", 1)),
        speaker_vectors=bool(args.get("use_d_vector_file")),
        text_dropout=float(args.get("dropout_p_text_encoder", 0.1)),
        duration_dropout=float(args.get("dropout_p_duration_predictor", 0.5)),
        duration_norm_eps=1e-4,
        audio=_audio(config),
        noise_scale=float(args.get("inference_noise_scale", 0.667)),
        duration_noise_scale=float(args.get("inference_noise_scale_dp", 1.0)),
        length_scale=float(args.get("length_scale", 1)),
    )
    inferred = infer(tensors, untold, found.weights.name)
    vectors = _vectors(found.folder, inferred.speaker_channels) if untold.speaker_vectors else {}
    extra = tuple(name for name in (*_SPEAKERS, _LANGUAGES) if (found.folder / name).is_file())
    discriminator = strip_prefix(flat, "disc.")
    return Checkpoint(
        "coqui", inferred, tensors, _symbols(config, inferred.text.vocabulary),
        tuple(vectors) if untold.speaker_vectors else _speakers(found.folder, inferred.speakers),
        _names(found.folder, _LANGUAGES, inferred.text.languages) or _language(config),
        {"discriminator": discriminator} if discriminator else {}, vectors, (found.weights.name, "config.json", *extra),
    )  # fmt: skip


def _audio(config: Mapping[str, Any]) -> AudioConfig:
    audio = config.get("audio") or {}
    return AudioConfig(
        int(audio.get("sample_rate", 22050)), int(audio.get("fft_size", 1024)), int(audio.get("hop_length", 256)),
        int(audio.get("win_length", 1024)), int(audio.get("num_mels", 80)), float(audio.get("mel_fmin") or 0.0),
        None if audio.get("mel_fmax") is None else float(audio["mel_fmax"]),
    )  # fmt: skip


def _symbols(config: Mapping[str, Any], count: int) -> SymbolTable:
    """The table of ``count`` symbols from the "characters" section; empty where that describes another number."""
    characters = config.get("characters")
    if not isinstance(characters, Mapping):
        return SymbolTable({}, blank=0 if config.get("add_blank") else None)
    listed = _vocabulary(characters)
    if len(listed) != count:
        return SymbolTable({})
    ids = numbered(listed)
    blank = ids.get(str(characters.get("blank") or "<BLNK>"), (0,))[0] if config.get("add_blank") else None
    ends = [ids.get(str(characters.get(name)), ()) for name in ("bos", "eos")]
    begin, end = ends if config.get("enable_eos_bos_chars") else ((), ())
    alphabet = Alphabet.IPA if config.get("use_phonemes") else Alphabet.LETTERS
    return SymbolTable(ids, alphabet, blank, begin, end)


def _vocabulary(characters: Mapping[str, Any]) -> list[str]:
    """Symbols in order of their ids."""
    if characters.get("vocab_dict"):
        return [str(symbol) for symbol in characters["vocab_dict"]]
    letters = str(characters.get("characters") or "")
    marks = list(str(characters.get("punctuations") or ""))
    named = str(characters.get("characters_class") or "")
    pad = str(characters.get("pad") or "_")
    if named.endswith("VitsCharacters") or not named:
        return [pad, *marks, *letters, *str(characters.get("phonemes") or ""), "<BLNK>"]
    if named.endswith("IPAPhonemes") and characters.get("phonemes"):
        letters = str(characters["phonemes"])
    if characters.get("is_unique"):
        letters = "".join(dict.fromkeys(letters))
    ordered = sorted(letters) if characters.get("is_sorted", True) else list(letters)
    before = [str(characters[name]) for name in ("pad", "eos", "bos", "blank") if characters.get(name)]
    return [*before, *ordered, *marks]


def _language(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The one language of a model that has no embedding of languages; none where it is not said."""
    code = str(config.get("phoneme_language") or "").split("-")[0].lower()
    return (code,) if code else ()


def _vectors(folder: Path, channels: int) -> dict[str, Tensor]:
    """The mean vector ``[D]`` of each speaker: the file holds one of every clip that was measured."""
    clips: dict[str, list[Tensor]] = {}
    for name in ("speakers.json", "speakers.pth"):
        if not (folder / name).is_file():
            continue
        data = read_json(folder / name) if name.endswith("json") else read_payload(folder / name)
        for clip, facts in data.items() if isinstance(data, Mapping) else ():
            if isinstance(facts, Mapping) and "embedding" in facts:
                vector = torch.as_tensor(facts["embedding"], dtype=torch.float32).reshape(-1)
                if vector.shape == (channels,):
                    clips.setdefault(str(facts.get("name", clip)), []).append(vector)
    return {speaker: torch.stack(vectors).mean(dim=0) for speaker, vectors in clips.items()}


def _speakers(folder: Path, count: int) -> tuple[str, ...]:
    """Names in order of their numbers; numbers where no file names them."""
    for name in _SPEAKERS:
        names = _names(folder, name, count)
        if names and names[0] != "0":
            return names
    return tuple(str(number) for number in range(count))


def _names(folder: Path, file: str, count: int) -> tuple[str, ...]:
    """Names in order of their numbers from ``file``; numbers where it is not there or lists others."""
    there = (folder / file).is_file()
    named = (read_json if file.endswith("json") else read_payload)(folder / file) if there else {}
    if sorted(map(str, named.values())) == sorted(str(number) for number in range(count)):
        return tuple(name for name, _ in sorted(named.items(), key=lambda item: int(item[1])))
    return tuple(str(number) for number in range(count))
