"""A voice of GPT-SoVITS: what its recordings are turned into once, at enrolment; as safetensors bytes and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from voiceclone.errors import VoiceIncompatible


@dataclass(frozen=True)
class Voice:
    """``timbre`` ``[1, C, 1]``; of a recording with known words also ``codes`` ``[P]`` and ``phonemes`` ``[L]``."""

    timbre: Tensor
    codes: Tensor | None = None
    phonemes: Tensor | None = None

    def to_bytes(self) -> bytes:
        tensors = {"timbre": self.timbre.float().contiguous()}
        if self.codes is not None and self.phonemes is not None:
            tensors |= {"codes": self.codes.contiguous(), "phonemes": self.phonemes.contiguous()}
        return save(tensors)


def read_voice(data: bytes, channels: int, codes: int, alphabet: int) -> Voice:
    """For a model with a timbre of ``channels``. Raises VoiceIncompatible."""
    try:
        tensors: Mapping[str, Tensor] = load(data)
    except SafetensorError as error:
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.") from error
    timbre = tensors.get("timbre")
    if timbre is None or timbre.shape != (1, channels, 1) or not bool(timbre.isfinite().all()):
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.")
    for name, limit in (("codes", codes), ("phonemes", alphabet)):
        row = tensors.get(name)
        if row is not None and (row.dtype != torch.int64 or row.dim() != 1 or not _within(row, limit)):
            raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.")
    if ("codes" in tensors) != ("phonemes" in tensors):
        raise VoiceIncompatible("the voice is not whole.", hint="Enrol it again.")
    return Voice(timbre.float(), tensors.get("codes"), tensors.get("phonemes"))


def _within(row: Tensor, limit: int) -> bool:
    return len(row) > 0 and 0 <= int(row.min()) <= int(row.max()) < limit
