"""Voices of a VITS: one of its own speakers, or a speaker vector; as safetensors bytes and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from voiceclone import Reference
from voiceclone.errors import (
    InvalidRequest,
    SampleNotFinite,
    SampleSilent,
    SampleTooShort,
    VoiceIncompatible,
)
from voiceclone_vits.config import SpeakerKind, VitsConfig

#: Seconds of a recording below which nobody can be recognised in it.
LEAST_SECONDS = 0.5


def check_references(references: Sequence[Reference]) -> None:
    """Raises SampleRejected, or InvalidRequest where there is no recording."""
    if not references:
        raise InvalidRequest("a voice needs at least one recording.", field="samples")
    for reference in references:
        samples = np.asarray(reference.samples)
        if not np.isfinite(samples).all():
            raise SampleNotFinite("the recording holds values that are no numbers.", field="samples")
        if len(samples) < LEAST_SECONDS * reference.sample_rate:
            raise SampleTooShort(f"the recording is shorter than {LEAST_SECONDS} s.", field="samples")
        if np.abs(samples).max() < 1e-4:
            raise SampleSilent("the recording is silent.", field="samples")


def number_voice(number: int) -> bytes:
    """The model's own speaker ``number`` as a voice; 0 for a model of one speaker."""
    return save({"speaker": torch.tensor([number])})


def vector_voice(vector: Tensor) -> bytes:
    """A speaker vector ``[D]`` (a d-vector, as YourTTS takes it) as a voice."""
    return save({"vector": vector.detach().float().reshape(-1).contiguous()})


def read_voice(data: bytes, config: VitsConfig) -> Tensor | None:
    """What :meth:`Vits.speaker` takes for a batch of one; None for a model of one speaker. Raises VoiceIncompatible."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.") from error
    if config.speaker_kind is SpeakerKind.VECTOR:
        vector = tensors.get("vector")
        if vector is None or vector.shape != (config.speaker_channels,) or not bool(vector.isfinite().all()):
            raise VoiceIncompatible(
                f"this model takes a speaker vector of {config.speaker_channels} numbers, which the voice lacks.",
                hint="Name one of the model's speakers with the option speaker.",
            )
        return vector.float()[None]
    number = tensors.get("speaker")
    if number is None or number.shape != (1,) or number.dtype != torch.int64:
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.")
    if config.speaker_kind is SpeakerKind.ONE:
        return None
    if not 0 <= int(number) < config.speakers:
        raise VoiceIncompatible(f"the model has {config.speakers} speakers, the voice is number {int(number)}.")
    return number
