"""Conditioning of a voice: recordings to safetensors bytes and back to the tensors the model works with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from voiceclone import Reference
from voiceclone.errors import InvalidRequest, SampleNotFinite, SampleSilent, SampleTooShort, VoiceIncompatible
from voiceclone.nn.pitch import PitchConfig, median_level, track_log_f0
from voiceclone.nn.spectrogram import LogMel
from voiceclone_fastspeech2.config import Fastspeech2Config
from voiceclone_fastspeech2.speaker import Speaker, SpeakerEncoder

#: Seconds of reference that the encoder sees at once, as in training; longer references are averaged over windows.
WINDOW_SECONDS = 4.0
#: Windows beyond these add nothing but time.
MAX_WINDOWS = 16
#: RMS of the training corpus, measured over its speech: references are brought to it.
LEVEL = 0.074


def encode_speaker(references: Sequence[Reference], encoder: SpeakerEncoder, log_mel: LogMel) -> bytes:
    """Speaker vector, mean spectrum and pitch level, averaged over the recordings. Raises SampleRejected."""
    config = log_mel.config
    if not references:
        raise InvalidRequest("a voice needs at least one recording.", field="samples")
    waves = [prepare(reference, config.sample_rate, config.hop_length) for reference in references]
    mels = [log_mel(torch.from_numpy(wave)[None])[0] for wave in waves]
    mel = torch.cat(mels, dim=1)
    level = pitch_level(waves, config.sample_rate, config.hop_length)
    count = min(MAX_WINDOWS, max(1, round(mel.shape[1] / (WINDOW_SECONDS * config.frames_per_second))))
    windows = [part for part in mel.chunk(count, dim=1) if part.shape[1] >= 16] or [mel]
    frames = torch.tensor([part.shape[1] for part in windows])
    batch = torch.nn.utils.rnn.pad_sequence([part.T for part in windows], batch_first=True).transpose(1, 2)
    speaker = encoder(batch, frames, torch.full((len(windows),), level))
    share = (frames / frames.sum())[:, None]
    return save(
        {
            "vector": (speaker.vector * share).sum(dim=0),
            "spectrum": (speaker.spectrum * share).sum(dim=0),
            "level": torch.tensor([level]),
        }
    )


def prepare(reference: Reference, sample_rate: int, hop_length: int) -> np.ndarray:
    """Mono float32 ``[T]`` at ``sample_rate`` and the corpus' loudness, in whole hops. Raises SampleRejected."""
    samples = np.asarray(reference.samples, np.float32)
    if not np.isfinite(samples).all():
        raise SampleNotFinite("the recording holds values that are no numbers.", field="samples")
    if reference.sample_rate != sample_rate:
        samples = soxr.resample(samples, reference.sample_rate, sample_rate)
    if len(samples) < sample_rate // 2:
        raise SampleTooShort(
            f"the recording lasts {len(samples) / sample_rate:.2f} s; 0.5 s is the least, 3 s or more sound better.",
            field="samples",
        )
    samples = samples - samples.mean()
    blocks = samples[: len(samples) // hop_length * hop_length].reshape(-1, hop_length)
    power = np.square(blocks).mean(axis=1)
    speech = power[power > 1e-3 * power.max()] if power.max() > 1e-8 else power[:0]
    if not len(speech):
        raise SampleSilent("the recording is silent.", field="samples")
    # The corpus is levelled over whole utterances, pauses included; speech alone is a little above that.
    gain = LEVEL / float(np.sqrt(speech.mean()))
    return np.ascontiguousarray((blocks * gain).reshape(-1).clip(-1.0, 1.0), np.float32)


def pitch_level(waves: Sequence[np.ndarray], sample_rate: int, hop_length: int) -> float:
    """Median natural-log F0 over all recordings; of an unvoiced whisper, log 150 Hz."""
    config = PitchConfig(sample_rate, hop_length)
    level = median_level(np.concatenate([track_log_f0(wave, config) for wave in waves]))
    return float(np.log(150.0)) if level is None else level


def decode_speaker(data: bytes, config: Fastspeech2Config) -> Speaker:
    """Inverse of :func:`encode_speaker`, as a batch of one. Raises VoiceIncompatible."""
    try:
        tensors = load(data)
        vector, spectrum, level = (_row(tensors[name]) for name in ("vector", "spectrum", "level"))
    except (SafetensorError, KeyError, ValueError) as error:
        raise VoiceIncompatible("the voice was not made by this model.", hint="Enrol it again.") from error
    if vector.shape[1] != config.acoustic.speaker_size or spectrum.shape[1] != config.spectrogram.n_mels:
        raise VoiceIncompatible("the voice was made by a model of another size.", hint="Enrol it again.")
    return Speaker(vector, spectrum, level[:, 0])


def _row(values: Tensor) -> Tensor:
    return values.float().reshape(1, -1)


def neutral_speaker(config: Fastspeech2Config) -> Speaker:
    """A voice that is nobody's, for warming up."""
    return Speaker(
        torch.zeros(1, config.acoustic.speaker_size),
        torch.full((1, config.spectrogram.n_mels), -5.0),
        torch.tensor([float(np.log(150.0))]),
    )
