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
        axis = 1 if layout == "tokens_frames" else 2
        shape = [*self.tokens.shape]
        shape.insert(axis, self.durations.shape[1])
        path = torch.zeros(shape, dtype=dtype, device=self.tokens.device)
        if not path.numel():
            return path
        covered = (self.tokens >= 0).to(dtype).unsqueeze(axis)
        return path.scatter_(axis, self.tokens.clamp(min=0).long().unsqueeze(axis), covered)


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
    if value.requires_grad or value.dtype != torch.float32:  # mostly neither, and each of them is a call into torch
        value = value.detach().float()
    if layout == "tokens_frames":
        value = value.transpose(1, 2)
    if frames is not None:
        frames = _lengths("frames", frames, value, value.shape[1])
    if tokens is not None:
        tokens = _lengths("tokens", tokens, value, value.shape[2])
    if NATIVE.loaded and (value.device.type == "cpu" or NATIVE.cuda):
        return Alignment(*torch.ops.voiceclone.mas.default(value, frames, tokens))
    return Alignment(*reference.mas(value, frames, tokens))


def _lengths(name: str, lengths: Tensor, value: Tensor, most: int) -> Tensor:
    """Lengths as the op takes them: contiguous int32 ``[B]`` beside ``value``."""
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
    def _mas_fake(value: Tensor, frames: Tensor | None, tokens: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, mel, text = value.shape
        index = value.new_empty((batch, mel), dtype=torch.int32)
        return index, value.new_empty((batch, text), dtype=torch.int32)
