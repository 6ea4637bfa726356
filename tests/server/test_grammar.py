"""The stream grammar, over random requests: order, counts, timings, and equality with the unary call."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone._proto.v1 import audio_pb2 as audio
from voiceclone._proto.v1 import speech_service_pb2 as speech
from voiceclone.client.channel import Stubs
from voiceclone.client.options import duration

WIDTHS = {
    audio.AUDIO_ENCODING_UNSPECIFIED: 2,
    audio.AUDIO_ENCODING_PCM_S16LE: 2,
    audio.AUDIO_ENCODING_PCM_F32LE: 4,
    audio.AUDIO_ENCODING_MULAW: 1,
    audio.AUDIO_ENCODING_ALAW: 1,
}
ALL_KINDS = tuple(audio.TimingKind.values()[2:])  # the tone model times words and phonemes, hence visemes

words = st.text(st.characters(categories=("Ll", "Lu")) | st.sampled_from("éß漢\U0001f600"), min_size=1, max_size=9)
texts = st.lists(words, min_size=1, max_size=8).flatmap(
    lambda parts: st.sampled_from([" ", ", ", ". ", "!\n"]).map(lambda gap: "go" + gap + gap.join(parts))
)
options = st.builds(
    speech.SpeechOptions,
    audio_format=st.builds(
        audio.AudioFormat,
        encoding=st.sampled_from(sorted(WIDTHS)),
        sample_rate_hertz=st.none() | st.sampled_from([8000, 11025, 16000, 24000, 44100, 48000, 96000]),
    ),
    seed=st.integers(0, 2**63 - 1),
    speaking_rate=st.none() | st.floats(0.5, 4),
    pitch_semitones=st.none() | st.floats(-12, 12),
    gain_db=st.none() | st.floats(-20, 20),
    timings=st.lists(st.sampled_from(ALL_KINDS), unique=True),
    viseme_set=st.sampled_from(audio.VisemeSet.values()),
    min_chunk_duration=st.none() | st.floats(0, 2).map(duration),
    backend_options=st.just({}) | st.just({"gap": "0.3"}),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, options=options, voice=st.sampled_from(["ann", "bob"]), max_lead=st.none() | st.floats(20, 600))
def test_stream_follows_the_grammar_and_equals_the_unary_call(
    stubs: Stubs, text: str, options: speech.SpeechOptions, voice: str, max_lead: float | None
) -> None:
    request = speech.SynthesizeRequest(voice=f"voices/{voice}", input=speech.SynthesisInput(text=text), options=options)
    whole = stubs.speech.Synthesize(request)
    if max_lead is not None:
        options.max_lead.CopyFrom(duration(max_lead))
    stream = speech.StreamSynthesizeRequest(voice=request.voice, input=request.input, options=options)
    messages = list(stubs.speech.StreamSynthesize(stream))

    kinds = [message.WhichOneof("event") for message in messages]
    assert kinds[0] == "header"
    assert kinds[-1] == "summary"
    assert set(kinds[1:-1]) <= {"audio", "timing", "segment"}
    header, summary = messages[0].header, messages[-1].summary
    check_header(header, request)
    check_chunks(messages, header, summary, options)
    check_timings(messages, summary, text, options)

    chunks = [message.audio for message in messages if message.HasField("audio")]
    assert b"".join(chunk.data for chunk in chunks) == whole.audio
    assert [event for message in messages for event in message.timing.events] == list(whole.timings)
    assert [message.segment for message in messages if message.HasField("segment")] == list(whole.segments)
    assert summary.sample_count == whole.summary.sample_count
    assert header.reproduction_key == whole.header.reproduction_key
    assert header.content_key == whole.header.content_key


def check_header(header: speech.StreamHeader, request: speech.SynthesizeRequest) -> None:
    asked = request.options.audio_format
    assert header.audio_format.encoding == (asked.encoding or audio.AUDIO_ENCODING_PCM_S16LE)
    assert header.audio_format.sample_rate_hertz == (asked.sample_rate_hertz or 24_000)
    assert header.audio_format.channel_count == 1
    assert header.seed == request.options.seed
    assert header.voice == request.voice
    assert header.model == "models/tone@1"
    assert list(header.timings) == sorted(request.options.timings)


def check_chunks(
    messages: list[speech.StreamSynthesizeResponse],
    header: speech.StreamHeader,
    summary: speech.StreamSummary,
    options: speech.SpeechOptions,
) -> None:
    chunks = [message.audio for message in messages if message.HasField("audio")]
    rate = header.audio_format.sample_rate_hertz
    asked = options.min_chunk_duration.ToNanoseconds() / 1e9 if options.HasField("min_chunk_duration") else 0.08
    assert all(before.start_sample + before.sample_count == after.start_sample for before, after in pairwise(chunks))
    assert chunks[0].start_sample == 0
    assert sum(chunk.sample_count for chunk in chunks) == summary.sample_count
    assert all(len(chunk.data) == chunk.sample_count * WIDTHS[header.audio_format.encoding] for chunk in chunks)
    assert all(0 < chunk.sample_count <= 2 * rate for chunk in chunks)
    assert all(chunk.sample_count >= round(asked * rate) for chunk in chunks[1:-1])


def check_timings(
    messages: list[speech.StreamSynthesizeResponse],
    summary: speech.StreamSummary,
    text: str,
    options: speech.SpeechOptions,
) -> None:
    sent = 0
    for message in messages:
        for event in message.timing.events:
            assert event.kind in options.timings
            assert event.start_sample >= sent, "a timing came after the chunk that holds its start"
            assert 0 <= event.start_sample <= event.start_sample + event.sample_count <= summary.sample_count
            assert event.source == audio.TIMING_SOURCE_MODEL
            if event.kind == audio.TIMING_KIND_WORD:
                assert text[event.span.begin : event.span.end] == event.label
        if message.HasField("segment"):
            assert message.segment.start_sample >= sent
            span = message.segment.span
            assert text[span.begin : span.end].strip() == message.segment.normalized_text
        sent += message.audio.sample_count
    found = {event.kind for message in messages for event in message.timing.events}
    assert found == set(options.timings)


@pytest.mark.parametrize("name", ["WAV", "FLAC", "OGG_OPUS", "OGG_VORBIS", "MP3"])
def test_whole_files_hold_the_announced_audio(stubs: Stubs, name: str) -> None:
    import io

    import soundfile

    encoding = audio.AudioEncoding.Value(f"AUDIO_ENCODING_{name}")
    options = speech.SpeechOptions(audio_format=audio.AudioFormat(encoding=encoding), seed=1)
    request = speech.SynthesizeRequest(voice="voices/ann", input=speech.SynthesisInput(text="Hello."), options=options)
    whole = stubs.speech.Synthesize(request)
    samples, rate = soundfile.read(io.BytesIO(whole.audio))
    assert rate == whole.header.audio_format.sample_rate_hertz == 24_000
    slack = 0 if name in ("WAV", "FLAC") else rate // 10  # lossy codecs pad
    assert abs(len(samples) - whole.summary.sample_count) <= slack
    assert abs(samples).max() > 0.01


def test_streamed_wav_has_one_open_header(stubs: Stubs) -> None:
    options = speech.SpeechOptions(audio_format=audio.AudioFormat(encoding=audio.AUDIO_ENCODING_WAV), seed=1)
    request = speech.StreamSynthesizeRequest(
        voice="voices/ann", input=speech.SynthesisInput(text="Hello there, you."), options=options
    )
    chunks = [message.audio for message in stubs.speech.StreamSynthesize(request) if message.HasField("audio")]
    assert len(chunks) > 1
    assert chunks[0].data[:8] == b"RIFF\xff\xff\xff\xff"
    assert len(chunks[0].data) == 44 + 2 * chunks[0].sample_count
    assert all(len(chunk.data) == 2 * chunk.sample_count for chunk in chunks[1:])


def test_zero_is_not_the_same_as_unset(stubs: Stubs) -> None:
    def seed_of(**options: int) -> int:
        request = speech.SynthesizeRequest(
            voice="voices/ann", input=speech.SynthesisInput(text="Hi."), options=speech.SpeechOptions(**options)
        )
        return int(stubs.speech.Synthesize(request).header.seed)

    assert seed_of(seed=0) == 0
    assert len({seed_of() for _ in range(4)}) > 1


def test_validate_only_makes_nothing_and_checks_everything(stubs: Stubs) -> None:
    request = speech.SynthesizeRequest(
        voice="voices/ann",
        input=speech.SynthesisInput(text="Hello."),
        options=speech.SpeechOptions(seed=3),
        validate_only=True,
    )
    dry = stubs.speech.Synthesize(request)
    assert not dry.audio
    assert not dry.HasField("summary")
    request.validate_only = False
    assert stubs.speech.Synthesize(request).header.content_key == dry.header.content_key


def test_content_key_counts_any_drawn_seed_as_equal(stubs: Stubs) -> None:
    request = speech.SynthesizeRequest(voice="voices/ann", input=speech.SynthesisInput(text="Hello."))
    first, second = stubs.speech.Synthesize(request).header, stubs.speech.Synthesize(request).header
    assert first.content_key == second.content_key
    assert first.reproduction_key != second.reproduction_key
    request.options.seed = first.seed
    assert stubs.speech.Synthesize(request).header.reproduction_key == first.reproduction_key
    request.options.gain_db = 1.0
    assert stubs.speech.Synthesize(request).header.content_key != first.content_key
