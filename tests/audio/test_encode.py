"""What is written is exact and the same every time; rates are changed without a seam."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.audio import (
    Encoding,
    StreamEncoder,
    StreamResampler,
    check_encoding,
    decode,
    encode_file,
    pcm_s16,
    resample,
)
from voiceclone.errors import (
    FormatUnsupported,
    VoicecloneError,
)

from .conftest import tone

# -- encoding ---------------------------------------------------------------------------------------------------------


def test_pcm_rounds_saturates_and_takes_nan_for_silence() -> None:
    given_samples = np.array([0, 1, -1, 2, -2, 0.5, -1.6 / 32768, np.nan, np.inf, -np.inf], np.float32)
    expected = [0, 32767, -32768, 32767, -32768, 16384, -2, 0, 32767, -32768]
    assert pcm_s16(given_samples).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1.25, 1.25, width=32), max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_chunks_concatenate_to_the_whole(values: list[float], cuts: list[int]) -> None:
    samples = np.array(values, np.float32)
    for encoding in (item for item in Encoding if item.streamable):
        encoder = StreamEncoder(encoding, 24000)
        parts = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
        streamed = b"".join(encoder.encode(part) for part in parts) + encoder.finish()
        assert len(streamed) == (44 if encoding is Encoding.WAV else 0) + len(samples) * _width(encoding)
        if encoding.raw:
            assert streamed == encode_file(samples, 24000, encoding)
        else:
            assert streamed[44:] == encode_file(samples, 24000, Encoding.PCM_S16LE)


def _width(encoding: Encoding) -> int:
    return {Encoding.PCM_F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}.get(encoding, 2)


def test_an_empty_wav_stream_still_has_its_header() -> None:
    encoder = StreamEncoder(Encoding.WAV, 16000)
    assert encoder.finish() == StreamEncoder(Encoding.WAV, 16000).encode(np.zeros(0, np.float32))
    assert encoder.finish() == b""


@pytest.mark.parametrize("encoding", [Encoding.WAV, Encoding.FLAC])
def test_lossless_files_hold_the_samples_of_pcm(encoding: Encoding) -> None:
    samples = tone()[:, 0] * 2.5
    back, rate = soundfile.read(io.BytesIO(encode_file(samples, 24000, encoding)), dtype="int16")
    assert rate == 24000
    np.testing.assert_array_equal(back, pcm_s16(samples))


@pytest.mark.parametrize("encoding", [Encoding.OGG_OPUS, Encoding.OGG_VORBIS, Encoding.MP3])
def test_lossy_files_sound_the_same_and_have_the_same_bytes_each_time(encoding: Encoding) -> None:
    samples = tone(24000, 1.0)[:, 0]
    data = encode_file(samples, 24000, encoding)
    assert data == encode_file(samples, 24000, encoding)
    decoded = decode(data)
    assert decoded.sample_rate == 24000
    assert len(decoded.samples) == len(samples)
    assert np.corrcoef(decoded.samples[:, 0], samples)[0, 1] > 0.98


def test_a_long_vorbis_file_is_written() -> None:
    samples = np.tile(tone(16000, 10.0)[:, 0], 12)
    assert len(decode(encode_file(samples, 16000, Encoding.OGG_VORBIS)).samples) == len(samples)


@pytest.mark.parametrize(("encoding", "subtype"), [(Encoding.MULAW, "ULAW"), (Encoding.ALAW, "ALAW")])
def test_telephone_codes_are_those_of_g711(encoding: Encoding, subtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8).tobytes()
    values, _ = soundfile.read(
        io.BytesIO(codes), samplerate=8000, channels=1, format="RAW", subtype=subtype, dtype="float32"
    )
    again = encode_file(values, 8000, encoding)
    negative_zero = {0x7F: 0xFF} if encoding is Encoding.MULAW else {}
    assert list(again) == [negative_zero.get(code, code) for code in range(256)]
    # Every sample goes to one of the two codes whose values enclose it.
    levels = np.sort(values)
    samples = np.linspace(levels[0], levels[-1], 5001, dtype=np.float32)
    decoded = values[np.frombuffer(encode_file(samples, 8000, encoding), np.uint8)]
    at = np.clip(np.searchsorted(levels, samples), 1, 255)
    assert (np.abs(decoded - samples) <= levels[at] - levels[at - 1] + 1e-6).all()


@pytest.mark.parametrize("encoding", [item for item in Encoding if not item.streamable])
def test_whole_file_encodings_cannot_stream(encoding: Encoding) -> None:
    with pytest.raises(FormatUnsupported, match="Synthesize"):
        StreamEncoder(encoding, 24000)


@pytest.mark.parametrize(
    ("encoding", "rate"),
    [(Encoding.OGG_OPUS, 22050), (Encoding.MP3, 96000), (Encoding.WAV, 7999), (Encoding.PCM_S16LE, 192000)],
)
def test_rates_an_encoding_lacks_are_refused(encoding: Encoding, rate: int) -> None:
    with pytest.raises(FormatUnsupported):
        check_encoding(encoding, rate)
    with pytest.raises(VoicecloneError):
        encode_file(np.zeros(100, np.float32), rate, encoding)


def test_ogg_pages_stay_valid_after_their_serial_is_set() -> None:
    data = encode_file(tone(48000, 1.0)[:, 0], 48000, Encoding.OGG_OPUS)
    assert {struct.unpack_from("<I", data, at + 14)[0] for at in _pages(data)} == {0}


def _pages(data: bytes) -> list[int]:
    at = [data.find(b"OggS")]
    while (following := data.find(b"OggS", at[-1] + 4)) >= 0:
        at.append(following)
    return at


# -- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [(24000, 16000), (16000, 48000), (22050, 24000)])
def test_resampling_keeps_pitch_level_and_length(start: int, end: int) -> None:
    time = np.arange(start) / start
    samples = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    out = resample(samples, start, end)
    assert abs(len(out) - end) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(out)) / end)
    assert np.abs(out - expected)[end // 10 : -end // 10].max() < 1e-3


def test_equal_rates_leave_samples_alone() -> None:
    samples = tone()[:, 0]
    assert resample(samples, 24000, 24000) is samples
    assert StreamResampler(24000, 24000).feed(samples, last=True) is samples


@given(st.lists(st.integers(0, 4800), max_size=6), st.sampled_from([16000, 48000, 22050]))
@settings(deadline=None, max_examples=30)
def test_a_resampled_stream_does_not_depend_on_its_chunks(cuts: list[int], rate: int) -> None:
    samples = tone(24000, 0.2)[:, 0]
    whole = StreamResampler(24000, rate).feed(samples, last=True)
    stream = StreamResampler(24000, rate)
    parts = np.split(samples, sorted(cuts))
    out = [stream.feed(part) for part in parts] + [stream.feed(np.zeros(0, np.float32), last=True)]
    np.testing.assert_array_equal(np.concatenate(out), whole)
