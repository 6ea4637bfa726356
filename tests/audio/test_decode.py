"""What is read and what is refused, each with its own reason, and the child that reads it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone.audio import (
    Container,
    Decoder,
    Encoding,
    RawFormat,
    StreamEncoder,
    decode,
    encode_file,
    mp3,
    pcm_s16,
    sniff,
    to_mono,
)
from voiceclone.errors import (
    SampleFormat,
    SampleRejected,
    SampleTooLong,
    SampleUndecodable,
)

from .conftest import file_of, tone

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
