"""Samples to bytes: a stateful encoder for streams, and whole files through soundfile. Nothing is dithered.

The same samples always give the same bytes, however they were cut into chunks: clients compare and cache audio.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.audio.formats import MAX_RATE, MIN_RATE, Encoding, wav_header
from voiceclone.audio.ogg import with_serial
from voiceclone.errors import FormatUnsupported
from voiceclone.host import to_pcm16

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voiceclone.types import Samples

#: The rates in Hz of encodings that do not have all of them.
_RATES: dict[Encoding, tuple[int, ...]] = {
    Encoding.OGG_OPUS: (8_000, 12_000, 16_000, 24_000, 48_000),
    Encoding.MP3: (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
_SOUNDFILE: dict[Encoding, tuple[str, str]] = {
    Encoding.WAV: ("WAV", "PCM_16"),
    Encoding.FLAC: ("FLAC", "PCM_16"),
    Encoding.OGG_OPUS: ("OGG", "OPUS"),
    Encoding.OGG_VORBIS: ("OGG", "VORBIS"),
    Encoding.MP3: ("MP3", "MPEG_LAYER_III"),
}
#: Frames a write: libsndfile's Vorbis encoder puts a whole write on its stack.
_BLOCK = 1 << 14


def check_encoding(encoding: Encoding, sample_rate: int, *, stream: bool = False) -> None:
    """Raise FormatUnsupported unless audio of this rate (Hz) can leave in this encoding, as a stream if ``stream``."""
    if stream and not encoding.streamable:
        allowed = ", ".join(item.name for item in Encoding if item.streamable)
        raise FormatUnsupported(
            f"{encoding.name} cannot be streamed.",
            field="audio_format.encoding",
            hint=f"Stream one of {allowed}, or ask for the whole file with Synthesize.",
        )
    rates = _RATES.get(encoding)
    if rates is not None and sample_rate not in rates:
        raise FormatUnsupported(
            f"{encoding.name} has no rate of {sample_rate} Hz.",
            field="audio_format.sample_rate_hertz",
            hint=f"Choose one of {', '.join(map(str, rates))}.",
        )
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise FormatUnsupported(
            f"{sample_rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz.", field="audio_format.sample_rate_hertz"
        )


def pcm_s16(samples: Samples) -> NDArray[np.int16]:
    """Round float32 to 16 bits; what is beyond full scale saturates, NaN is silence."""
    return to_pcm16(samples.reshape(-1)).reshape(samples.shape).astype("<i2", copy=False)


def streaming_wav_header(sample_rate: int, channels: int = 1) -> bytes:
    """Return a 44-byte header of 16-bit WAV whose sizes are 0xFFFFFFFF: the length is not known yet."""
    return wav_header(Encoding.PCM_S16LE, sample_rate, channels, None)


class StreamEncoder:
    """Encodes one mono stream chunk by chunk. Raises FormatUnsupported when made for what cannot be streamed."""

    def __init__(self, encoding: Encoding, sample_rate: int) -> None:
        check_encoding(encoding, sample_rate, stream=True)
        self.encoding = encoding
        self.sample_rate = sample_rate
        self._header = streaming_wav_header(sample_rate) if encoding is Encoding.WAV else b""

    def encode(self, samples: Samples) -> bytes:
        """Return the bytes of float32 ``[T]``; the first call's begin with the header where there is one."""
        header, self._header = self._header, b""
        return header + _raw_bytes(samples, self.encoding)

    def finish(self) -> bytes:
        """Return what is still to be sent: a WAV header when no sample came, else nothing."""
        header, self._header = self._header, b""
        return header


def encode_file(samples: Samples, sample_rate: int, encoding: Encoding) -> bytes:
    """Return float32 ``[T]`` as a whole file (or all raw samples) of this encoding. Raises FormatUnsupported."""
    check_encoding(encoding, sample_rate)
    if encoding.raw:
        return _raw_bytes(samples, encoding)
    import soundfile

    container, subtype = _SOUNDFILE[encoding]
    # Lossless files hold exactly the samples of PCM_S16LE; the lossy encoders take float and saturate by themselves.
    lossless = encoding in (Encoding.WAV, Encoding.FLAC)
    data = pcm_s16(samples) if lossless else np.clip(np.nan_to_num(samples), -1.0, 1.0)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, subtype, format=container) as file:
        for start in range(0, len(data), _BLOCK):
            file.write(data[start : start + _BLOCK])
    encoded = buffer.getvalue()
    return with_serial(encoded) if container == "OGG" else encoded


def _raw_bytes(samples: Samples, encoding: Encoding) -> bytes:
    if encoding is Encoding.PCM_F32LE:
        return samples.astype("<f4").tobytes()
    pcm = pcm_s16(samples)
    if encoding is Encoding.MULAW:
        return _mulaw_table()[pcm.view(np.uint16)].tobytes()
    if encoding is Encoding.ALAW:
        return _alaw_table()[pcm.view(np.uint16)].tobytes()
    return pcm.tobytes()


@cache
def _mulaw_table() -> NDArray[np.uint8]:
    """Return G.711 mu-law of every 16-bit sample ``[65536]``, indexed by its bits."""
    pcm = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(pcm) >> 2, 8158) + 33
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 15
    code: NDArray[np.int32] = ~(np.where(pcm < 0, 0x80, 0) | exponent << 4 | mantissa)
    return (code & 0xFF).astype(np.uint8)


@cache
def _alaw_table() -> NDArray[np.uint8]:
    """Return G.711 A-law of every 16-bit sample ``[65536]``, indexed by its bits."""
    pcm = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(pcm < 0, -(pcm >> 3) - 1, pcm >> 3)
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = magnitude >> np.maximum(segment, 1) & 15
    code: NDArray[np.int32] = (np.where(pcm < 0, 0, 0x80) | segment << 4 | mantissa) ^ 0x55
    return code.astype(np.uint8)
