"""The diffusion transformer of v3 and v4: which way a noisy mel should move; parameter names are the published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Channels of a head; those of the first head alone are rotated by position.
HEAD = 64
#: Sines and cosines of a time, and rows of the condition's positions.
_FREQUENCIES, _POSITIONS = 256, 4096
_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class DitSizes:
    """The defaults are those of the published files."""

    width: int = 1024
    depth: int = 22
    heads: int = 16
    feed_forward: int = 2048
    mels: int = 100
    condition: int = 512
    condition_layers: int = 4
    condition_hidden: int = 1024
    kernel: int = 31
    groups: int = 16

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> DitSizes:
        """By tensors named without "cfm.estimator."."""
        mels, width = weights["proj_out.weight"].shape
        blocks = {name.split(".")[1] for name in weights if name.startswith("transformer_blocks.")}
        layers = {name.split(".")[2] for name in weights if name.startswith("text_embed.text_blocks.")}
        conv = weights["input_embed.conv_pos_embed.conv1d.0.weight"]
        hidden, condition = weights["text_embed.text_blocks.0.pwconv1.weight"].shape
        return cls(
            width, len(blocks), weights["transformer_blocks.0.attn.to_q.weight"].shape[0] // HEAD,
            weights["transformer_blocks.0.ff.ff.0.0.weight"].shape[0], mels, condition, len(layers), hidden,
            conv.shape[2], conv.shape[0] // conv.shape[1],
        )  # fmt: skip


class TimeEmbedding(nn.Module):
    """Times ``[B]`` in 0..1 -> ``[B, width]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(nn.Linear(_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: Tensor) -> Tensor:
        half = _FREQUENCIES // 2
        rates = torch.exp(torch.arange(half, device=time.device).float() * -(math.log(10000) / (half - 1)))
        angles = 1000 * time[:, None] * rates
        embedded: Tensor = self.time_mlp(torch.cat((angles.sin(), angles.cos()), dim=-1).to(time))
        return embedded


class ResponseNorm(nn.Module):
    """Channels scaled by how strong each is over all time, against the others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        strength = x.norm(dim=1, keepdim=True)
        relative: Tensor = x * (strength / (strength.mean(-1, keepdim=True) + _EPS))
        return self.gamma * relative + self.beta + x


class ConditionBlock(nn.Module):
    """ConvNeXt V2, ``[B, T, C]`` -> the same."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPS)
        self.pwconv1 = nn.Linear(channels, hidden)
        self.grn = ResponseNorm(hidden)
        self.pwconv2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.dwconv(x.transpose(1, 2)).transpose(1, 2))
        change: Tensor = self.pwconv2(self.grn(F.gelu(self.pwconv1(h))))
        return x + change


class ConditionEmbedding(nn.Module):
    table: Tensor

    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        self.text_blocks = nn.Sequential(
            *(ConditionBlock(sizes.condition, sizes.condition_hidden) for _ in range(sizes.condition_layers))
        )
        rates = 10000.0 ** (torch.arange(0, sizes.condition, 2)[: sizes.condition // 2].float() / sizes.condition)
        angles = torch.outer(torch.arange(_POSITIONS), 1.0 / rates).float()
        # Rounded to half precision, as it is wherever upstream runs on a GPU: attention makes the difference audible.
        table = torch.cat((angles.cos(), angles.sin()), dim=-1).half().float()
        self.register_buffer("table", table, persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        """``[B, T, C]``; frames beyond the table share its last row."""
        positions = torch.arange(condition.shape[1], device=condition.device).clamp_max(_POSITIONS - 1)
        embedded: Tensor = self.text_blocks(condition + self.table[positions])
        return embedded


class PositionConv(nn.Module):
    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        convs = [
            nn.Conv1d(sizes.width, sizes.width, sizes.kernel, groups=sizes.groups, padding=sizes.kernel // 2)
            for _ in range(2)
        ]
        self.conv1d = nn.Sequential(convs[0], nn.Mish(), convs[1], nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv1d(x.transpose(1, 2)).transpose(1, 2)
        return out


class InputEmbedding(nn.Module):
    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        self.proj = nn.Linear(2 * sizes.mels + sizes.condition, sizes.width)
        self.conv_pos_embed = PositionConv(sizes)

    def forward(self, x: Tensor, prompt: Tensor, condition: Tensor) -> Tensor:
        h = self.proj(torch.cat((x, prompt, condition), dim=-1))
        embedded: Tensor = h + self.conv_pos_embed(h)
        return embedded


class Modulation(nn.Module):
    """A time embedding ``[B, C]`` -> ``count`` vectors ``[B, 1, C]``."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(width, count * width)

    def forward(self, time: Tensor) -> tuple[Tensor, ...]:
        vectors: tuple[Tensor, ...] = self.linear(F.silu(time))[:, None].chunk(self.count, dim=-1)
        return vectors


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, heads * HEAD) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(heads * HEAD, width)])

    def forward(self, x: Tensor, inside: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """``inside`` ``[B, T]`` is True up to each row's end; ``turns`` are cosines and sines ``[T, HEAD]``."""
        query, key = (rotated(part(x), turns) for part in (self.to_q, self.to_k))
        split = [part.unflatten(-1, (self.heads, HEAD)).transpose(1, 2) for part in (query, key, self.to_v(x))]
        context = F.scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=inside[:, None, None])
        out: Tensor = self.to_out[0](context.transpose(1, 2).flatten(2))
        return out.masked_fill(~inside[..., None], 0.0)


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"))
        self.ff = nn.Sequential(first, nn.Dropout(0.0), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ff(x)
        return out


class Block(nn.Module):
    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        self.width = sizes.width
        self.attn_norm = Modulation(sizes.width, 6)
        self.attn = Attention(sizes.width, sizes.heads)
        self.ff = FeedForward(sizes.width, sizes.feed_forward)

    def forward(self, x: Tensor, time: Tensor, inside: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.attn_norm(time)
        x = x + gate * self.attn(self._norm(x) * (1 + scale) + shift, inside, turns)
        out: Tensor = x + gate_ff * self.ff(self._norm(x) * (1 + scale_ff) + shift_ff)
        return out

    def _norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.width,), eps=_EPS)


class Rotation(nn.Module):
    """``inv_freq`` is read from the file: its rounding to half precision is heard."""

    inv_freq: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 10000.0 ** -(torch.arange(0, HEAD, 2).float() / HEAD))

    def forward(self, length: int) -> tuple[Tensor, Tensor]:
        angles = torch.outer(torch.arange(length, device=self.inv_freq.device).float(), self.inv_freq)
        angles = angles.repeat_interleave(2, dim=-1)
        return angles.cos(), angles.sin()


class Cached(NamedTuple):
    """What stays the same over the steps of one solution: condition ``[B, T, C]`` and step ``[B, width]``, embedded."""

    condition: Tensor
    step: Tensor


class Dit(nn.Module):
    """Estimates the velocity ``[B, T, mels]`` of a mel on its way from noise."""

    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.time_embed, self.d_embed = TimeEmbedding(sizes.width), TimeEmbedding(sizes.width)
        self.text_embed = ConditionEmbedding(sizes)
        self.input_embed = InputEmbedding(sizes)
        self.rotary_embed = Rotation()
        self.transformer_blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.depth))
        self.norm_out = Modulation(sizes.width, 2)
        self.proj_out = nn.Linear(sizes.width, sizes.mels)

    def prepare(self, condition: Tensor, step: Tensor) -> Cached:
        """``condition`` ``[B, T, C]`` and the length ``step`` ``[B]`` of the steps to come (0: infinitely short)."""
        return Cached(self.text_embed(condition), self.d_embed(step))

    def forward(self, x: Tensor, prompt: Tensor, time: Tensor, cached: Cached, lengths: Tensor) -> Tensor:
        """``x`` and ``prompt`` ``[B, T, mels]`` (the prompt's frames, then zeros), ``time`` and ``lengths`` ``[B]``."""
        embedded = self.time_embed(time) + cached.step
        h = self.input_embed(x, prompt, cached.condition)
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        # Row lengths may be fewer than rows: all rows then have that one.
        inside = inside.expand(x.shape[0], -1)
        turns = self.rotary_embed(x.shape[1])
        for block in self.transformer_blocks:
            h = block(h, embedded, inside, turns)
        scale, shift = self.norm_out(embedded)
        h = F.layer_norm(h, (self.sizes.width,), eps=_EPS) * (1 + scale) + shift
        velocity: Tensor = self.proj_out(h)
        return velocity


def rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """The first HEAD channels of ``[B, T, C]`` in pairs of neighbours, turned by their position; the rest as it is."""
    cosines, sines = turns
    head, rest = x[..., :HEAD], x[..., HEAD:]
    pairs = head.reshape(*head.shape[:-1], HEAD // 2, 2)
    turned = torch.stack((-pairs[..., 1], pairs[..., 0]), dim=-1).flatten(-2)
    return torch.cat((head * cosines + turned * sines, rest), dim=-1)
