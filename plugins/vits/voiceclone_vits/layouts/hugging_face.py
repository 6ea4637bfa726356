"""The layout of transformers' VitsModel, in which MMS-TTS is published: model.safetensors, config.json, vocab.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.checkpoints import find_tensors, old_spelling, read_json, read_payload
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import AudioConfig
from voiceclone_vits.layouts.shapes import Untold, infer, rename, setting
from voiceclone_vits.symbols import Alphabet, SymbolTable

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Names there -> names of the original, in order.
_RULES = (
    (r"^text_encoder\.embed_tokens\.", "enc_p.emb."),
    (r"^text_encoder\.project\.", "enc_p.proj."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.([qkv])_proj\.", r"enc_p.encoder.attn_layers.\1.conv_\2."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.out_proj\.", r"enc_p.encoder.attn_layers.\1.conv_o."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.", r"enc_p.encoder.attn_layers.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.layer_norm\.", r"enc_p.encoder.norm_layers_1.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.final_layer_norm\.", r"enc_p.encoder.norm_layers_2.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.feed_forward\.", r"enc_p.encoder.ffn_layers.\1."),
    (r"^flow\.flows\.(\d+)\.", lambda match: f"flow.flows.{2 * int(match[1])}."),
    (r"^posterior_encoder\.", "enc_q."),
    (r"^duration_predictor\.", "dp."),
    (r"^(dp\.(?:post_)?flows)\.(\d+)\.", lambda match: f"{match[1]}.{max(0, 2 * int(match[2]) - 1)}."),
    (r"^decoder\.upsampler\.", "dec.ups."),
    (r"^decoder\.", "dec."),
    (r"^embed_speaker\.", "emb_g."),
    (r"\bconv_(pre|proj|post)\.", lambda match: match[0]),
    (r"^((?:flow\.flows\.\d+|enc_q|dp(?:\.\w*flows\.\d+)?)\.(?:post_)?)conv_(pre|post|proj)\.", r"\1\2."),
    (r"\b(post_)?conv_dds\.", r"\1convs."),
    (r"\bpost_conv_(pre|proj)\.", r"post_\1."),
    (r"\bwavenet\.", "enc."),
    (r"\bconvs_dilated\.", "convs_sep."),
    (r"\bconvs_pointwise\.", "convs_1x1."),
    (r"(\bnorm(?:s|_layers)?_\d(?:\.\d+)?)\.weight$", r"\1.gamma"),
    (r"(\bnorm(?:s|_layers)?_\d(?:\.\d+)?)\.bias$", r"\1.beta"),
    (r"\.translate$", ".m"),
    (r"\.log_scale$", ".logs"),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The folder and its weight file."""

    folder: Path
    weights: Path


def find(path: Path) -> Found | None:
    """The folder with transformers' VITS at ``path``; None where this layout is not there."""
    folder = path if path.is_dir() else path.parent
    config = folder / "config.json"
    if not config.is_file() or read_json(config).get("model_type") != "vits":
        return None
    there = [folder / name for name in _WEIGHTS if (folder / name).is_file()] if path.is_dir() else [path]
    return Found(folder, there[0]) if there else None


def read(found: Found) -> Checkpoint:
    """Raises ModelFilesInvalid."""
    config = read_json(found.folder / "config.json")
    flat = rename(old_spelling(find_tensors(read_payload(found.weights), found.weights.name)), _RULES)
    # Attention is linear there and a convolution of one step in the original.
    tensors = {name: value.unsqueeze(-1) if ".conv_" in name and name.endswith("weight") and value.dim() == 2 else value
               for name, value in flat.items()}  # fmt: skip
    untold = Untold(
        rates=setting(config, "upsample_rates", kind=list),
        dilations=setting(config, "resblock_dilation_sizes", kind=list),
        heads=setting(config, "num_attention_heads", kind=int),
        flow_dilation=int(config.get("wavenet_dilation_rate", 1)),
        posterior_dilation=int(config.get("wavenet_dilation_rate", 1)),
        text_dropout=float(config.get("hidden_dropout", 0.1)),
        duration_dropout=float(config.get("duration_predictor_dropout", 0.5)),
        duration_tail=float(config.get("duration_predictor_tail_bound", 5.0)),
        norm_eps=float(config.get("layer_norm_eps", 1e-5)),
        audio=_audio(config),
        noise_scale=float(config.get("noise_scale", 0.667)),
        duration_noise_scale=float(config.get("noise_scale_duration", 0.8)),
        length_scale=1.0 / float(config.get("speaking_rate", 1.0)),
    )
    inferred = infer(tensors, untold, found.weights.name)
    symbols, language, files = _symbols(found.folder)
    return Checkpoint(
        "transformers", inferred, tensors, symbols, tuple(str(number) for number in range(inferred.speakers)),
        (language,) if language else (), files=(found.weights.name, "config.json", *files),
    )  # fmt: skip


def _audio(config: Mapping[str, Any]) -> AudioConfig:
    # The spectrogram is not described there; that of every published model fits its bins and its hop.
    length = 2 * (int(config.get("spectrogram_bins", 513)) - 1)
    hop = 1
    for rate in config["upsample_rates"]:
        hop *= int(rate)
    return AudioConfig(int(config.get("sampling_rate", 16000)), length, hop, length)


def _symbols(folder: Path) -> tuple[SymbolTable, str, tuple[str, ...]]:
    """The table, the language and the files of the tokenizer; an empty table where there is none."""
    if not (folder / "vocab.json").is_file():
        return SymbolTable({}), "", ()
    ids = {symbol: (int(number),) for symbol, number in read_json(folder / "vocab.json").items()}
    file = folder / "tokenizer_config.json"
    config = read_json(file) if file.is_file() else {}
    phonemes = bool(config.get("phonemize", True))
    normalise = bool(config.get("normalize", True))
    language = str(config.get("language") or "")
    pad, unknown = _token(config.get("pad_token"), "<pad>"), _token(config.get("unk_token"), "<unk>")
    table = SymbolTable(
        ids, Alphabet.IPA if phonemes else Alphabet.LETTERS, 0 if config.get("add_blank", True) else None,
        cuts=tuple(token for token in (pad, unknown) if token in ids),
        unknown=ids[unknown][0] if unknown in ids else None,
        replaced={"ț": "ţ"} if language == "ron" else {},
        normalise=normalise and not phonemes, romanise=bool(config.get("is_uroman", False)),
    )  # fmt: skip
    return table, "en" if phonemes and not language else language, ("vocab.json", *([file.name] if config else []))


def _token(value: Any, otherwise: str) -> str:
    """A special token as tokenizer files write it: a string, or an object with its content."""
    return str(value.get("content", otherwise)) if isinstance(value, Mapping) else str(value or otherwise)
