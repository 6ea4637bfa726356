"""Sample formats: what is read and refused, and that what is written is exact and the same every time."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceclone.audio import (
    Container,
    Decoder,
    Encoding,
    RawFormat,
    StreamEncoder,
    StreamResampler,
    check_encoding,
    decode,
    encode_file,
    mp3,
    pcm_s16,
    resample,
    sniff,
    to_mono,
)
from voiceclone.errors import (
    FormatUnsupported,
    SampleFormat,
    SampleRejected,
    SampleTooLong,
    SampleUndecodable,
    VoicecloneError,
)

Floats = NDArray[np.float32]


def tone(rate: int = 24000, seconds: float = 1.5, channels: int = 1) -> Floats:
    """Two sines a channel, [T, C]; no two channels alike."""
    time = np.arange(int(rate * seconds)) / rate
    columns = [0.3 * np.sin(time * 2 * np.pi * 220 * (i + 1)) + 0.2 * np.sin(time * 700) for i in range(channels)]
    return np.stack(columns, axis=1).astype(np.float32)


def file_of(samples: Floats, rate: int, container: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
    return buffer.getvalue()


LOSSLESS = [
    ("WAV", "PCM_U8", 1 / 127),
    ("WAV", "PCM_16", 1 / 32767),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-7),
    ("WAV", "FLOAT", 0.0),
    ("WAVEX", "PCM_16", 1 / 32767),
    ("FLAC", "PCM_16", 1 / 32767),
    ("FLAC", "PCM_24", 1e-6),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
@pytest.mark.parametrize(("container", "subtype", "error"), LOSSLESS)
def test_lossless_files_decode_exactly(container: str, subtype: str, error: float, rate: int, channels: int) -> None:
    samples = tone(rate, 0.2, channels)
    decoded = decode(file_of(samples, rate, container, subtype))
    assert decoded.sample_rate == rate
    assert decoded.samples.shape == samples.shape
    assert decoded.samples.dtype == np.float32
    assert np.abs(decoded.samples - samples).max() <= error


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("container", "subtype", "rate"),
    [("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000), ("MP3", "MPEG_LAYER_III", 44100), ("MP3", None, 8000)],
)
def test_lossy_files_decode_to_the_same_sound(container: str, subtype: str | None, rate: int, channels: int) -> None:
    samples = tone(rate, 1.0, channels)
    decoded = decode(file_of(samples, rate, container, subtype))
    assert decoded.sample_rate == rate
    assert decoded.samples.shape == samples.shape
    for channel in range(channels):
        assert np.corrcoef(decoded.samples[:, channel], samples[:, channel])[0, 1] > 0.98


def test_mono_is_the_mean_of_the_channels() -> None:
    stereo = tone(channels=2)
    np.testing.assert_allclose(to_mono(stereo), stereo.mean(axis=1), atol=1e-7)
    assert to_mono(tone()).shape == tone()[:, 0].shape


FOREIGN = [
    (b"", "empty"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "PNG image"),
    (b"\xff\xd8\xff\xe0" + b"\0" * 50, "JPEG image"),
    (b"\0\0\0\x20ftypM4A " + b"\0" * 50, "MP4/M4A"),
    (b"\x1aE\xdf\xa3" + b"\0" * 50, "WebM"),
    (b"FORM\0\0\0\0AIFF" + b"\0" * 50, "AIFF"),
    (b"RIFF\0\0\0\0AVI LIST" + b"\0" * 50, "AVI"),
    (b"PK\x03\x04" + b"\0" * 50, "ZIP"),
    (b"OggS" + b"\0" * 24 + b"\x80theora", "Theora"),
    (b"OggS" + b"\0" * 24 + b"Speex   ", "neither Vorbis nor Opus"),
    (b"\xff\xf1\x50\x80" + b"\0" * 50, "AAC"),
    (b"<!DOCTYPE html><html>", "web page"),
    (b"hello, this is not audio\n", "text"),
    (b"\0" * 4000, "zeros"),
    (b"\x7fELF\x02\x01\x01", "program"),
    (bytes(range(256)), "unknown data"),
]


@pytest.mark.parametrize(("data", "found"), FOREIGN, ids=[found for _, found in FOREIGN])
def test_foreign_files_are_refused_by_name(data: bytes, found: str) -> None:
    with pytest.raises(SampleUndecodable, match=found) as caught:
        decode(data)
    assert caught.value.reason == "SAMPLE_UNDECODABLE"


@pytest.mark.parametrize("keep", [0.03, 0.5, 0.98])
@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]
)
def test_truncated_files_are_refused(container: str, subtype: str | None, keep: float) -> None:
    rng = np.random.default_rng(0)
    data = file_of(rng.normal(0, 0.1, (48000, 1)).astype(np.float32), 24000, container, subtype)
    with pytest.raises(SampleUndecodable, match="truncated"):
        decode(data[: int(len(data) * keep)])


def test_a_streamed_wav_is_whole_though_its_header_knows_no_size() -> None:
    samples = tone()[:, 0]
    encoder = StreamEncoder(Encoding.WAV, 24000)
    data = encoder.encode(samples) + encoder.finish()
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    np.testing.assert_array_equal(decode(data).samples[:, 0], pcm_s16(samples) / np.float32(32768))


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x05hello", b"ID3\x04\0\0\0\0\0\x01x\0\0\0"])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (44100, 1), (24000, 2), (16000, 1), (8000, 1)])
def test_an_mp3_that_tells_no_length_is_read_to_its_end(rate: int, channels: int, tag: bytes) -> None:
    loud = tone(rate, 2.0, channels)
    loud[: rate // 2] = 0  # variable bit rate: a guess from the first frames is far off
    data = file_of(loud, rate, "MP3")
    first = mp3.parse_frame(data, 0)
    assert first is not None
    music = data[first.size :]
    assert not mp3.declares_length(music)
    decoded = decode(tag + music)
    delay = 529  # samples a decoder is late by its nature; they are cut off
    assert decoded.samples.shape == (mp3.count_frames(music)[0] * (1152 if rate > 40000 else 576) - delay, channels)
    assert len(decoded.samples) >= len(loud)
    with pytest.raises(SampleUndecodable, match="truncated"):
        decode(tag + music[:-5])


@pytest.mark.parametrize("rate", [4000, 7999, 96001, 192000])
def test_rates_out_of_range_are_refused(rate: int) -> None:
    with pytest.raises(SampleFormat, match=f"{rate} Hz"):
        decode(file_of(tone(rate, 1.0), rate, "WAV"))


def test_more_than_two_channels_are_refused() -> None:
    with pytest.raises(SampleFormat, match="6 channels"):
        decode(file_of(tone(channels=6), 24000, "WAV"))


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_long_files_are_refused(container: str) -> None:
    data = file_of(tone(8000, 3.0), 8000, container)
    with pytest.raises(SampleTooLong, match=r"longer than 2 s"):
        decode(data, max_seconds=2.0)
    assert len(decode(data, max_seconds=3.5).samples) == 24000


def test_a_stream_that_declares_nothing_cannot_be_endless() -> None:
    encoder = StreamEncoder(Encoding.WAV, 8000)
    with pytest.raises(SampleTooLong):
        decode(encoder.encode(np.zeros(8000 * 5, np.float32)), max_seconds=4.0)


@pytest.mark.parametrize(
    ("encoding", "rate"),
    [(Encoding.PCM_S16LE, 16000), (Encoding.PCM_F32LE, 24000), (Encoding.MULAW, 8000), (Encoding.ALAW, 8000)],
)
def test_raw_samples_are_read_by_their_layout(encoding: Encoding, rate: int) -> None:
    samples = tone(rate, 0.5)[:, 0]
    decoded = decode(encode_file(samples, rate, encoding), raw=RawFormat(encoding, rate))
    assert decoded.sample_rate == rate
    assert np.abs(decoded.samples[:, 0] - samples).max() < (0.02 if encoding.name.endswith("LAW") else 2e-5)


def test_raw_stereo_keeps_its_channels() -> None:
    samples = tone(16000, 0.5, 2)
    decoded = decode(pcm_s16(samples).tobytes(), raw=RawFormat(Encoding.PCM_S16LE, 16000, 2))
    assert np.abs(decoded.samples - samples).max() < 2e-5


@pytest.mark.parametrize(
    ("raw", "data", "kind"),
    [
        (RawFormat(Encoding.PCM_S16LE, 16000), b"\0" * 3, SampleUndecodable),
        (RawFormat(Encoding.PCM_S16LE, 1000), b"\0" * 4, SampleFormat),
        (RawFormat(Encoding.PCM_S16LE, 16000, 3), b"\0" * 6, SampleFormat),
        (RawFormat(Encoding.MP3, 16000), b"\0" * 6, SampleFormat),
    ],
)
def test_raw_samples_that_make_no_sense_are_refused(raw: RawFormat, data: bytes, kind: type[SampleRejected]) -> None:
    with pytest.raises(kind):
        decode(data, raw=raw)


SEEDS = [
    file_of(tone(8000, 0.05), 8000, container, subtype)
    for container, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "IMA_ADPCM"),
        ("FLAC", None),
        ("OGG", "VORBIS"),
        ("MP3", None),
    )
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hostile_bytes_are_decoded_or_refused_and_never_crash(data: Any) -> None:
    mutated = bytearray(data.draw(st.sampled_from(SEEDS)))
    for position, byte in data.draw(st.lists(st.tuples(st.integers(0, len(mutated) - 1), st.integers(0, 255)))):
        mutated[position] = byte
    cut = data.draw(st.integers(0, len(mutated)))
    tail = data.draw(st.binary(max_size=64))
    try:
        decoded = decode(bytes(mutated[:cut]) + tail)
    except SampleRejected:
        return
    assert decoded.samples.ndim == 2
    assert len(decoded.samples) <= 120 * decoded.sample_rate


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x04\0\0", b"\xff\xfb"]), st.binary(max_size=200)
)
def test_sniffing_never_fails_but_by_refusing(head: bytes, tail: bytes) -> None:
    with contextlib.suppress(SampleUndecodable):
        assert isinstance(sniff(head + tail), Container)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(workers=1, timeout=60.0)
    yield made
    made.close()


def test_a_child_that_dies_costs_one_request(decoder: Decoder) -> None:
    data = file_of(tone(), 24000, "WAV")
    decoder.decode(data)
    child = decoder._idle[0]
    child.kill()
    child.wait()
    assert len(decoder.decode(data).samples) == 36000
    assert decoder._idle[0].pid != child.pid


def test_a_good_file_is_not_refused_for_what_a_child_died_of(decoder: Decoder) -> None:
    data = file_of(tone(), 24000, "WAV")
    decoder.decode(data)
    os.kill(decoder._idle[0].pid, signal.SIGSTOP)
    killer = threading.Timer(0.5, decoder._idle[0].kill)  # while it holds the request
    killer.start()
    assert len(decoder.decode(data).samples) == 36000
    killer.join()


def test_a_child_that_hangs_is_killed_and_replaced(decoder: Decoder) -> None:
    data = file_of(tone(), 24000, "WAV")
    decoder.decode(data)
    child = decoder._idle[0]
    child.send_signal(signal.SIGSTOP)
    decoder._timeout = 0.2
    with pytest.raises(SampleUndecodable):
        decoder.decode(data)
    decoder._timeout = 60.0
    assert len(decoder.decode(data).samples) == 36000


def test_a_child_out_of_memory_refuses_the_file() -> None:
    decoder = Decoder(workers=1, memory=24 << 20)
    try:
        with pytest.raises(SampleUndecodable):
            decoder.decode(file_of(tone(96000, 30.0, 2), 96000, "WAV"))
        assert len(decoder.decode(file_of(tone(), 24000, "WAV")).samples) == 36000
    finally:
        decoder.close()


def test_the_child_can_open_no_file(decoder: Decoder) -> None:
    decoder.decode(file_of(tone(), 24000, "WAV"))
    pid = decoder._idle[0].pid
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 3
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 0
    assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] < 60


def test_threads_share_the_children() -> None:
    files = [file_of(tone(24000, 0.2 + i / 100), 24000, "FLAC") for i in range(8)]
    lengths: dict[int, int] = {}

    def work(index: int) -> None:
        lengths[index] = len(decode(files[index]).samples)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == {i: int(24000 * (0.2 + i / 100)) for i in range(8)}


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
