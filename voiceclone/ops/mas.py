"""Monotonic alignment search: which token each frame belongs to, on the best path that visits the tokens in order."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from voiceclone.ops import reference
from voiceclone.ops._native import NATIVE

Layout = Literal["frames_tokens", "tokens_frames"]


class Alignment(NamedTuple):
    """A path, int32: ``tokens`` ``[B, T_mel]`` token of each frame, -1 past the end; ``durations`` ``[B, T_text]``."""

    tokens: Tensor
    durations: Tensor

    def path(self, layout: Layout, dtype: torch.dtype = torch.float32) -> Tensor:
        """The same as zeros and ones, ``[B, T_mel, T_text]`` or ``[B, T_text, T_mel]``; many times the memory."""
        column = torch.arange(self.durations.shape[1], dtype=torch.int32, device=self.tokens.device)
        if layout == "tokens_frames":
            return (self.tokens[:, None, :] == column[:, None]).to(dtype)
        return (self.tokens[:, :, None] == column).to(dtype)


def mas(value: Tensor, frames: Tensor | None = None, tokens: Tensor | None = None, *, layout: Layout) -> Alignment:
    """Align ``tokens`` with ``frames`` so that the summed ``value`` is highest. No gradient: the result is an argmax.

    ``value`` is ``[B, T_mel, T_text]`` with layout "frames_tokens" (VITS) or ``[B, T_text, T_mel]`` with
    "tokens_frames" (Glow-TTS), mostly a log-likelihood, of any floating type; sums are float32. Every token gets at
    least one frame, the first begins and the last ends the path. ``frames`` and ``tokens`` ``[B]`` are the lengths of
    each sample (default: all of it); padding decides nothing. Equal sums stay on the token.

    A sample with more tokens than frames has no such path: its frames then walk back from the last token, down where
    the token below has the higher value one frame earlier; tokens may be left with no frame. A sample with no token
    gives each frame -1.

    Raises ValueError for wrong shapes and, on the CPU, for lengths outside the tensor; on a GPU such lengths are
    clamped, because looking at them would wait for the device.
    """
    if value.dim() != 3 or not value.is_floating_point():
        raise ValueError(f"value must be a floating tensor of three dimensions, got {value.dtype} {tuple(value.shape)}")
    if layout not in ("frames_tokens", "tokens_frames"):
        raise ValueError(f"layout must be 'frames_tokens' or 'tokens_frames', got {layout!r}")
    value = value.detach().float()
    if layout == "tokens_frames":
        value = value.transpose(1, 2)
    frames = _lengths("frames", frames, value, value.shape[1])
    tokens = _lengths("tokens", tokens, value, value.shape[2])
    if NATIVE.loaded and (value.device.type == "cpu" or NATIVE.cuda):
        return Alignment(*torch.ops.voiceclone.mas.default(value, frames, tokens))
    return Alignment(*reference.mas(value, frames, tokens))


def _lengths(name: str, lengths: Tensor | None, value: Tensor, most: int) -> Tensor:
    """Lengths as the op takes them: contiguous int32 ``[B]`` beside ``value``."""
    if lengths is None:
        return torch.full((value.shape[0],), most, dtype=torch.int32, device=value.device)
    if lengths.shape != value.shape[:1] or lengths.is_floating_point():
        got = f"{lengths.dtype} {list(lengths.shape)}"
        raise ValueError(f"{name} must be integers of shape [{value.shape[0]}], got {got}")
    lengths = lengths.to(device=value.device, dtype=torch.int32).contiguous()
    if lengths.device.type != "cpu" or torch.compiler.is_compiling():
        return lengths.clamp(0, most)
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= most:
        raise ValueError(f"{name} must be between 0 and {most}, got {lengths.tolist()}")
    return lengths


if NATIVE.loaded:

    @torch.library.register_fake("voiceclone::mas")  # type: ignore[untyped-decorator]
    def _mas_fake(value: Tensor, frames: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        batch, mel, text = value.shape
        index = value.new_empty((batch, mel), dtype=torch.int32)
        return index, value.new_empty((batch, text), dtype=torch.int32)
