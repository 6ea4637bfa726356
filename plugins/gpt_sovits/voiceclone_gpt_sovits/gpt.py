"""The first model (s1, "GPT"): phonemes, text features and the codes of a prompt to the next code; in plain torch.

Parameter names are those of the published files, without "model.".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.checkpoints import load_into
from voiceclone.errors import ModelFilesInvalid
from voiceclone_gpt_sovits.files import GptFile

#: Positions that are known; an utterance with its prompt may have no more codes.
POSITIONS = 4000


@dataclass(frozen=True, slots=True)
class GptConfig:
    """Sizes of the model; the defaults are those of every published one."""

    layers: int = 24
    width: int = 512
    heads: int = 16
    hidden: int = 2048
    phonemes: int = 732
    #: Codes and the end.
    vocabulary: int = 1025
    end: int = 1024
    #: Numbers of a phoneme's text feature.
    text_features: int = 1024

    @classmethod
    def of(cls, file: GptFile) -> GptConfig:
        """Sizes by the tensors; only the number of heads cannot be told from them."""
        weights, model = file.weights, file.config.get("model", {})
        layers = {name.split(".")[2] for name in weights if name.startswith("h.layers.")}
        phonemes, width = weights["ar_text_embedding.word_embeddings.weight"].shape
        vocabulary = weights["ar_audio_embedding.word_embeddings.weight"].shape[0]
        heads = int(model.get("head", 16))
        if width % heads:
            raise ModelFilesInvalid(f"{file.name} says {heads} heads, which do not divide its width {width}.")
        return cls(
            len(layers), width, heads, weights["h.layers.0.linear1.weight"].shape[0], phonemes, vocabulary,
            int(model.get("EOS", vocabulary - 1)), weights["bert_proj.weight"].shape[1],
        )  # fmt: skip


class SelfAttention(nn.Module):
    """Multi-head attention whose projections of query, key and value are one matrix, in that order."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``[B, T, C]`` -> result, keys and values, each ``[B, T, C]``; ``hidden`` as in :meth:`Gpt.run`."""
        query, key, value = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        split = [part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (query, key, value)]
        context = F.scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=~hidden)
        return self.out_proj(context.transpose(1, 2).flatten(2)), key, value


class Layer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised after."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config.width, config.heads)
        self.linear1 = nn.Linear(config.width, config.hidden)
        self.linear2 = nn.Linear(config.hidden, config.width)
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attended, key, value = self.self_attn(x, hidden)
        x = self.norm1(x + attended)
        return self.norm2(x + self.linear2(self.linear1(x).relu())), key, value


class Layers(nn.Module):
    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))


class Embedding(nn.Module):
    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(count, width)


class Position(nn.Module):
    """Sines and cosines in turn, times a learned ``alpha``."""

    table: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        self.register_buffer("table", sinusoids(POSITIONS, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C]``, from position 0. Raises ValueError beyond the table."""
        if x.shape[1] > len(self.table):
            raise ValueError(f"there are {len(self.table)} positions, {x.shape[1]} are needed")
        return x + self.alpha * self.table[: x.shape[1]]


class Gpt(nn.Module):
    """The whole model as it is trained; decoding runs on :class:`voiceclone_gpt_sovits.gpt_decoding.GptDecoder`."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.bert_proj = nn.Linear(config.text_features, config.width)
        self.ar_text_embedding = Embedding(config.phonemes, config.width)
        self.ar_text_position = Position(config.width)
        self.ar_audio_embedding = Embedding(config.vocabulary, config.width)
        self.ar_audio_position = Position(config.width)
        self.h = Layers(config)
        self.ar_predict_layer = nn.Linear(config.width, config.vocabulary, bias=False)

    def text(self, phonemes: Tensor, features: Tensor) -> Tensor:
        """Phonemes ``[B, L]`` and their text features ``[B, text_features, L]`` -> ``[B, L, C]``."""
        known = self.ar_text_embedding.word_embeddings(phonemes)
        embedded: Tensor = self.ar_text_position(known + self.bert_proj(features.transpose(1, 2)))
        return embedded

    def audio(self, codes: Tensor) -> Tensor:
        """Codes ``[B, T]`` -> ``[B, T, C]``; their positions count from 0 again."""
        embedded: Tensor = self.ar_audio_position(self.ar_audio_embedding.word_embeddings(codes))
        return embedded

    def run(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Inputs ``[B, T, C]`` through all layers; keys and values ``[B, T, C]`` of each.

        ``hidden`` is True where a position (second last dimension) must not look: ``[B or 1, 1, T, T]``.
        """
        cached = []
        for layer in self.h.layers:
            x, key, value = layer(x, hidden)
            cached.append((key, value))
        return x, cached

    def head(self, x: Tensor) -> Tensor:
        """``[..., C]`` -> logits ``[..., vocabulary]``."""
        logits: Tensor = self.ar_predict_layer(x)
        return logits


def mask(text: int, audio: int, device: torch.device | None = None) -> Tensor:
    """``[T, T]`` of text and audio one after the other: text sees all text; audio sees the text and what was before."""
    positions = torch.arange(text + audio, device=device)
    return (positions[None] > positions[:, None]) & (positions[None] >= text)


def sinusoids(count: int, width: int) -> Tensor:
    """``[count, width]``: sine and cosine in turn, of wavelengths from 2 pi to 20000 pi."""
    angles = torch.arange(count, dtype=torch.float32)[:, None] * torch.exp(
        torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10000.0) / width)
    )
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


def build_gpt(file: GptFile) -> Gpt:
    """The model of ``file``, in eval mode. Raises ModelFilesInvalid."""
    try:
        gpt = Gpt(GptConfig.of(file))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelFilesInvalid(f"{file.name} is no whole s1 of GPT-SoVITS: {error!r}.") from error
    load_into(gpt, file.weights, file.name)
    return gpt.eval()


def text_features(config: GptConfig, phonemes: int, **options: Any) -> Tensor:
    """Features ``[text_features, phonemes]`` of a language that has none: zeros, as the model was trained."""
    return torch.zeros(config.text_features, phonemes, **options)
