"""Decoders built from the originals' own files: names mapped, positions tabulated, prompts embedded."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from voiceclone.nn.decoder import Decoder
from voiceclone.ops import DecoderShape

#: Recorded runs of the originals; they lie beside the clone where the project's own machines run.
FIXTURES = Path(os.environ.get("VOICECLONE_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))
PARTS = {
    "self_attn.in_proj_": "qkv.", "self_attn.out_proj.": "out.", "linear1.": "ffn_in.", "linear2.": "ffn_out.",
    "norm1.": "norm1.", "norm2.": "norm2.", "ln_1.": "norm1.", "attn.c_attn.": "qkv.", "attn.c_proj.": "out.",
    "ln_2.": "norm2.", "mlp.c_fc.": "ffn_in.", "mlp.c_proj.": "ffn_out.",
}  # fmt: skip


def case(name: str, file: str = "io.safetensors") -> dict[str, Tensor]:
    return load_file(FIXTURES / name / file)


def weights_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(FIXTURES / name, map_location="cpu", weights_only=True)
    return found


def sinusoids(count: int, width: int) -> Tensor:
    """``[count, width]``: sin and cos take turns."""
    angle = torch.arange(count)[:, None] * torch.exp(torch.arange(0, width, 2) * -(math.log(10000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


def layers(weights: dict[str, Tensor], prefix: str, *, transposed: bool = False) -> dict[str, Tensor]:
    """The weights of all layers, by our names; Conv1D matrices are stored the other way round."""
    found = {}
    for name, value in weights.items():
        if not name.startswith(prefix):
            continue
        layer, _, part = name.removeprefix(prefix).partition(".")
        ours = next((part.replace(theirs, mine) for theirs, mine in PARTS.items() if part.startswith(theirs)), None)
        if ours is not None:
            found[f"layers.{layer}.{ours}"] = value.float().T if transposed and value.dim() == 2 else value.float()
    return found


def gpt_sovits(checkpoint: dict[str, Any], **options: Any) -> Decoder:
    """s1: post-norm, ReLU, no final norm; positions of audio begin at 0."""
    weights = {name.removeprefix("model."): value.float() for name, value in checkpoint["weight"].items()}
    model = checkpoint["config"]["model"]
    width, vocabulary = model["hidden_dim"], model["vocab_size"]
    shape = DecoderShape(model["n_layer"], width, model["head"], 4 * width, vocabulary, vocabulary, 4000)
    ours = layers(weights, "h.layers.")
    ours["embedding"] = weights["ar_audio_embedding.word_embeddings.weight"]
    ours["positions"] = weights["ar_audio_position.alpha"] * sinusoids(4000, width)
    ours["head.weight"] = weights["ar_predict_layer.weight"]
    return Decoder(shape, ours, **options)


def gpt_sovits_prompt(checkpoint: dict[str, Any], phones: Tensor, bert: Tensor, prompt: Tensor | None) -> Tensor:
    """Embedded text and audio ``[L + P, width]``; the first L see one another."""
    weights = {name.removeprefix("model."): value.float() for name, value in checkpoint["weight"].items()}
    text = weights["ar_text_embedding.word_embeddings.weight"][phones]
    text = text + bert.T @ weights["bert_proj.weight"].T + weights["bert_proj.bias"]
    text = text + weights["ar_text_position.alpha"] * sinusoids(len(phones), text.shape[1])
    if prompt is None:
        return text
    audio = weights["ar_audio_embedding.word_embeddings.weight"][prompt]
    return torch.cat((text, audio + weights["ar_audio_position.alpha"] * sinusoids(len(prompt), text.shape[1])))


def vall_e(weights: dict[str, Tensor], heads: int, **options: Any) -> Decoder:
    """The AR half of VALL-E (X): pre-norm, ReLU, one final norm; the embedding may hold a start token."""
    embedding, head = weights["ar_audio_embedding.word_embeddings.weight"], weights["ar_predict_layer.weight"]
    ours = layers(weights, "ar_decoder.layers.")
    count = 1 + max(int(name.split(".")[1]) for name in ours)
    width = embedding.shape[1]
    shape = DecoderShape(
        count, width, heads, 4 * width, len(head), len(embedding), 4000, pre_norm=True, final_norms=1
    )  # fmt: skip
    ours |= {"embedding": embedding, "head.weight": head}
    ours["positions"] = weights["ar_audio_position.alpha"] * sinusoids(4000, width)
    ours |= {f"final_norms.0.{part}": weights[f"ar_decoder.norm.{part}"] for part in ("weight", "bias")}
    return Decoder(shape, ours, **options)


def vall_e_prompt(weights: dict[str, Tensor], text: Tensor, audio: Tensor, languages: Tensor | None = None) -> Tensor:
    x = weights["ar_text_embedding.word_embeddings.weight"][text]
    if languages is not None:
        x = x + weights["ar_language_embedding.word_embeddings.weight"][languages]
    x = x + weights["ar_text_position.alpha"] * sinusoids(len(text), x.shape[1])
    y = weights["ar_audio_embedding.word_embeddings.weight"][audio]
    return torch.cat((x, y + weights["ar_audio_position.alpha"] * sinusoids(len(audio), x.shape[1])))


def xtts(weights: dict[str, Tensor], heads: int, **options: Any) -> Decoder:
    """GPT-2: pre-norm, tanh GELU, ln_f and final_norm, learned positions, a head with bias."""
    weights = {name.removeprefix("gpt."): value for name, value in weights.items() if name.startswith("gpt.")}
    ours = layers(weights, "gpt.h.", transposed=True)
    embedding, positions = weights["mel_embedding.weight"], weights["mel_pos_embedding.emb.weight"]
    width = embedding.shape[1]
    shape = DecoderShape(
        1 + max(int(name.split(".")[1]) for name in ours), width, heads, 4 * width, len(embedding), len(embedding),
        len(positions), activation="gelu_tanh", pre_norm=True, final_norms=2,
    )  # fmt: skip
    ours |= {"embedding": embedding, "positions": positions}
    ours |= {f"head.{part}": weights[f"mel_head.{part}"] for part in ("weight", "bias")}
    for index, norm in enumerate(("gpt.ln_f", "final_norm")):
        ours |= {f"final_norms.{index}.{part}": weights[f"{norm}.{part}"] for part in ("weight", "bias")}
    return Decoder(shape, ours, **options)


def xtts_prompt(weights: dict[str, Tensor], latents: Tensor, text: Tensor, start_token: int) -> Tensor:
    """Latents, text between its own start and stop, the start of audio ``[T, width]``."""
    x = weights["gpt.text_embedding.weight"][text] + weights["gpt.text_pos_embedding.emb.weight"][: len(text)]
    start = weights["gpt.mel_embedding.weight"][start_token] + weights["gpt.mel_pos_embedding.emb.weight"][0]
    return torch.cat((latents, x, start[None]))
