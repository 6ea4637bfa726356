"""The encodings that leave the server, the raw layouts that may come in, and the rates both may have."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from voiceclone.errors import SampleFormat, SampleUndecodable

#: Sample rates of recordings and of output, Hz.
MIN_RATE = 8_000
MAX_RATE = 96_000


class Encoding(str, Enum):
    """Sample layouts and containers; names equal the wire's ``AUDIO_ENCODING_*``. A raw one never carries a header."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "mulaw"
    ALAW = "alaw"
    WAV = "wav"
    FLAC = "flac"
    OGG_OPUS = "ogg_opus"
    OGG_VORBIS = "ogg_vorbis"
    MP3 = "mp3"

    @property
    def raw(self) -> bool:
        """True where the bytes are samples and nothing else."""
        return self in _RAW_WIDTH

    @property
    def streamable(self) -> bool:
        """True where the bytes of a chunk are known before the next chunk is."""
        return self.raw or self is Encoding.WAV

    @property
    def suffix(self) -> str:
        """File name ending, with its dot."""
        return _SUFFIX[self]


_RAW_WIDTH = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
#: ``wFormatTag`` of a WAV file.
_WAV_TAG = {Encoding.PCM_S16LE: 1, Encoding.PCM_F32LE: 3, Encoding.ALAW: 6, Encoding.MULAW: 7}
_SUFFIX = {
    Encoding.PCM_S16LE: ".pcm",
    Encoding.PCM_F32LE: ".f32",
    Encoding.MULAW: ".ulaw",
    Encoding.ALAW: ".alaw",
    Encoding.WAV: ".wav",
    Encoding.FLAC: ".flac",
    Encoding.OGG_OPUS: ".opus",
    Encoding.OGG_VORBIS: ".ogg",
    Encoding.MP3: ".mp3",
}


def wav_header(encoding: Encoding, sample_rate: int, channels: int, data_size: int | None) -> bytes:
    """Return a WAV header for raw samples; ``data_size`` in bytes, None (a stream) writes 0xFFFFFFFF."""
    width = _RAW_WIDTH[encoding]
    frame = channels * width
    fmt = struct.pack("<HHIIHH", _WAV_TAG[encoding], channels, sample_rate, sample_rate * frame, frame, width * 8)
    if encoding is not Encoding.PCM_S16LE:
        fmt += b"\0\0"  # cbSize: every format but plain PCM has it
    head = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    if data_size is None:
        riff_size = data_size = 0xFFFFFFFF
    else:
        riff_size = len(head) + 8 + data_size + data_size % 2
    return b"RIFF" + struct.pack("<I", riff_size) + head + b"data" + struct.pack("<I", data_size)


@dataclass(frozen=True, slots=True)
class RawFormat:
    """Layout of samples that come without a header."""

    encoding: Encoding
    sample_rate: int
    channels: int = 1

    def wrap(self, data: bytes) -> bytes:
        """Put a WAV header before raw samples. Raises SampleFormat, SampleUndecodable."""
        if not self.encoding.raw:
            raise SampleFormat(f"{self.encoding.name} is a container, not a raw encoding.", field="audio_format")
        check_rate(self.sample_rate)
        check_channels(self.channels)
        frame = _RAW_WIDTH[self.encoding] * self.channels
        if len(data) % frame:
            raise SampleUndecodable(f"{len(data)} bytes are not a whole number of {frame}-byte frames.", field="data")
        return wav_header(self.encoding, self.sample_rate, self.channels, len(data)) + data + b"\0" * (len(data) % 2)


def check_rate(sample_rate: int) -> None:
    """Raise SampleFormat unless the rate (Hz) is one that is read here."""
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise SampleFormat(
            f"The recording has {sample_rate} Hz; {MIN_RATE} to {MAX_RATE} Hz are read.", field="sample_rate_hertz"
        )


def check_channels(channels: int) -> None:
    """Raise SampleFormat unless the recording is mono or stereo."""
    if channels not in (1, 2):
        raise SampleFormat(f"The recording has {channels} channels; mono and stereo are read.", field="channel_count")
