"""A checked request for speech: every field of the message in the project's own terms, or all that is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from google.protobuf.duration_pb2 import Duration

from voiceclone._proto.v1 import audio_pb2, speech_service_pb2
from voiceclone.audio import MAX_RATE, MIN_RATE, Encoding
from voiceclone.errors import FieldViolation, FormatUnsupported, InvalidRequest, TextEmpty, TextTooLong
from voiceclone.server.settings import Settings
from voiceclone.types import PhoneticAlphabet, Pronunciation, TimingKind

SpeechMessage: TypeAlias = speech_service_pb2.SynthesizeRequest | speech_service_pb2.StreamSynthesizeRequest

_RESOURCE = re.compile(r"([a-z]+)/([a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?)")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")

KINDS: dict[audio_pb2.TimingKind, TimingKind] = {
    audio_pb2.TIMING_KIND_SENTENCE: TimingKind.SENTENCE,
    audio_pb2.TIMING_KIND_WORD: TimingKind.WORD,
    audio_pb2.TIMING_KIND_PHONEME: TimingKind.PHONEME,
    audio_pb2.TIMING_KIND_VISEME: TimingKind.VISEME,
}
_VISEME_SETS: dict[int, str] = {
    value: name.removeprefix("VISEME_SET_") if value else "OVR15" for name, value in audio_pb2.VisemeSet.items()
}
_ALPHABETS: dict[int, PhoneticAlphabet] = {
    speech_service_pb2.PHONETIC_ALPHABET_IPA: PhoneticAlphabet.IPA,
    speech_service_pb2.PHONETIC_ALPHABET_ARPABET: PhoneticAlphabet.ARPABET,
    speech_service_pb2.PHONETIC_ALPHABET_X_SAMPA: PhoneticAlphabet.X_SAMPA,
}
ENCODINGS: dict[int, Encoding] = {
    value: Encoding[name.removeprefix("AUDIO_ENCODING_")] for name, value in audio_pb2.AudioEncoding.items() if value
}
WIRE_NAMES = {encoding: f"AUDIO_ENCODING_{encoding.name}" for encoding in Encoding}


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What Synthesize and StreamSynthesize ask for; durations in seconds, ``sample_rate`` in Hz (None: the model's)."""

    voice: str
    model: str
    text: str
    alphabet: PhoneticAlphabet | None
    language: str
    preceding_text: str
    following_text: str
    pronunciations: tuple[Pronunciation, ...]
    encoding: Encoding
    sample_rate: int | None
    speaking_rate: float
    pitch_semitones: float
    gain_db: float
    seed: int | None
    temperature: float | None
    style: str
    timings: tuple[TimingKind, ...]
    #: As in the enum of the wire, without its prefix: "OVR15".
    viseme_set: str
    min_chunk: float
    max_lead: float | None
    backend_options: Mapping[str, str]
    #: The audio goes out in one message.
    whole: bool


@dataclass(slots=True)
class Violations:
    """Collects everything wrong with a request, so that the caller hears of all of it at once."""

    found: list[FieldViolation] = field(default_factory=list)
    kinds: set[type[InvalidRequest]] = field(default_factory=set)

    def add(self, path: str, description: str, kind: type[InvalidRequest] = InvalidRequest) -> None:
        self.found.append(FieldViolation(path, description, kind.reason))
        self.kinds.add(kind)

    def number(self, path: str, value: float, low: float, high: float) -> None:
        """Note ``value`` where it is not a number from ``low`` to ``high``."""
        if not (math.isfinite(value) and low <= value <= high):
            self.add(path, f"must be from {low:g} to {high:g}, got {value:g}.")

    def resource(self, path: str, name: str, collection: str) -> str:
        """The id in ``name``; notes a name that is not ``collection/id``."""
        match = _RESOURCE.fullmatch(name)
        if match is None or match[1] != collection:
            got = f", got {name[:80]!r}" if name else ""
            self.add(path, f"must be {collection}/ and an id{got}.")
            return ""
        return match[2]

    def language(self, path: str, code: str) -> None:
        if code and not _LANGUAGE.fullmatch(code):
            self.add(path, f"must be a BCP-47 language tag such as en-GB, got {code[:40]!r}.")

    def raise_any(self) -> None:
        """Raise the one kind of error found, or an InvalidRequest over several kinds."""
        if not self.found:
            return
        kind = self.kinds.pop() if len(self.kinds) == 1 else InvalidRequest
        parts = [f"{violation.field}: {violation.description}" for violation in self.found]
        raise kind(" ".join(parts), violations=tuple(self.found))


def parse(request: SpeechMessage, settings: Settings) -> SpeechRequest:
    """Check all that can be checked without knowing voice and model. Raises InvalidRequest with every violation."""
    whole = isinstance(request, speech_service_pb2.SynthesizeRequest)
    wrong = Violations()
    if request.voice or not request.model:  # some models have voices of their own
        wrong.resource("voice", request.voice, "voices")
    model = wrong.resource("model", request.model, "models") if request.model else ""
    text, alphabet = _source(request.input, wrong, settings.max_unary_text_chars if whole else settings.max_text_chars)
    wrong.language("input.language_code", request.input.language_code)
    options = request.options
    min_chunk = _seconds(options, "min_chunk_duration")
    parsed = SpeechRequest(
        voice=request.voice,
        model=model,
        text=text,
        alphabet=alphabet,
        language=request.input.language_code,
        preceding_text=request.input.preceding_text,
        following_text=request.input.following_text,
        pronunciations=_pronunciations(request.input, wrong),
        encoding=_encoding(options.audio_format, whole, wrong),
        sample_rate=_sample_rate(options.audio_format, wrong),
        speaking_rate=options.speaking_rate if options.HasField("speaking_rate") else 1.0,
        pitch_semitones=options.pitch_semitones,
        gain_db=options.gain_db,
        seed=options.seed if options.HasField("seed") else None,
        temperature=options.temperature if options.HasField("temperature") else None,
        style=options.style,
        timings=_timings(options, wrong),
        viseme_set=_viseme_set(options.viseme_set, wrong),
        min_chunk=settings.min_chunk if min_chunk is None else min_chunk,
        max_lead=_seconds(options, "max_lead"),
        backend_options=dict(options.backend_options),
        whole=whole,
    )
    _check_numbers(parsed, wrong)
    for name in ("preceding_text", "following_text"):
        if len(getattr(parsed, name)) > settings.max_text_chars:
            wrong.add(f"input.{name}", f"has more than {settings.max_text_chars} characters.", TextTooLong)
    wrong.raise_any()
    return parsed


def _source(
    given: speech_service_pb2.SynthesisInput, wrong: Violations, limit: int
) -> tuple[str, PhoneticAlphabet | None]:
    """The text to speak and, where it is phonemes, their alphabet."""
    which = given.WhichOneof("source")
    if which is None:
        wrong.add("input.source", "text or phonemes must be set.")
        return "", None
    path, text = ("input.text", given.text) if which == "text" else ("input.phonemes.value", given.phonemes.value)
    if not text.strip():
        wrong.add(path, "holds nothing to speak.", TextEmpty)
    if len(text) > limit:
        wrong.add(path, f"has {len(text)} characters, the limit is {limit}.", TextTooLong)
    if which == "text":
        return text, None
    return text, _alphabet("input.phonemes.alphabet", given.phonemes.alphabet, wrong)


def _alphabet(path: str, value: int, wrong: Violations) -> PhoneticAlphabet | None:
    if value not in _ALPHABETS:
        wrong.add(path, f"must be one of {', '.join(alphabet.name for alphabet in _ALPHABETS.values())}.")
    return _ALPHABETS.get(value)


def _pronunciations(given: speech_service_pb2.SynthesisInput, wrong: Violations) -> tuple[Pronunciation, ...]:
    found = []
    for index, item in enumerate(given.pronunciations):
        path = f"input.pronunciations[{index}]"
        alphabet = _alphabet(f"{path}.alphabet", item.alphabet, wrong)
        for name in ("phrase", "value"):
            if not getattr(item, name).strip():
                wrong.add(f"{path}.{name}", "must not be empty.")
        if alphabet is not None:
            found.append(Pronunciation(item.phrase, alphabet, item.value))
    return tuple(found)


def _encoding(given: audio_pb2.AudioFormat, whole: bool, wrong: Violations) -> Encoding:
    path = "options.audio_format.encoding"
    found = ENCODINGS.get(given.encoding, Encoding.PCM_S16LE)
    if given.encoding and given.encoding not in ENCODINGS:
        wrong.add(path, f"has no value {given.encoding}.", FormatUnsupported)
    elif not (whole or found.streamable):
        wrong.add(path, f"{found.name} is a whole file: Synthesize makes it, a stream does not.", FormatUnsupported)
    return found


def _sample_rate(given: audio_pb2.AudioFormat, wrong: Violations) -> int | None:
    if given.HasField("channel_count") and given.channel_count != 1:
        wrong.add("options.audio_format.channel_count", "speech is made with 1 channel.", FormatUnsupported)
    if not given.HasField("sample_rate_hertz"):
        return None
    rate = given.sample_rate_hertz
    if not MIN_RATE <= rate <= MAX_RATE:
        wrong.add(
            "options.audio_format.sample_rate_hertz",
            f"must be from {MIN_RATE} to {MAX_RATE} Hz, got {rate}.",
            FormatUnsupported,
        )
    return rate


def _timings(options: speech_service_pb2.SpeechOptions, wrong: Violations) -> tuple[TimingKind, ...]:
    for index, value in enumerate(options.timings):
        if value not in KINDS:
            known = ", ".join(kind.name for kind in KINDS.values())
            wrong.add(f"options.timings[{index}]", f"must be one of {known}.")
    wanted = set(options.timings)
    return tuple(kind for value, kind in KINDS.items() if value in wanted)


def _viseme_set(value: int, wrong: Violations) -> str:
    if value not in _VISEME_SETS:
        wrong.add("options.viseme_set", f"has no value {value}.")
    return _VISEME_SETS.get(value, "")


def _seconds(
    options: speech_service_pb2.SpeechOptions, name: Literal["min_chunk_duration", "max_lead"]
) -> float | None:
    if not options.HasField(name):
        return None
    duration: Duration = getattr(options, name)
    return duration.seconds + duration.nanos * 1e-9


def _check_numbers(parsed: SpeechRequest, wrong: Violations) -> None:
    wrong.number("options.speaking_rate", parsed.speaking_rate, 0.25, 4.0)
    wrong.number("options.pitch_semitones", parsed.pitch_semitones, -24.0, 24.0)
    wrong.number("options.gain_db", parsed.gain_db, -60.0, 20.0)
    wrong.number("options.min_chunk_duration", parsed.min_chunk, 0.0, 2.0)
    if parsed.temperature is not None:
        wrong.number("options.temperature", parsed.temperature, 0.0, 2.0)
    if parsed.seed is not None and parsed.seed < 0:
        wrong.add("options.seed", f"must be 0 or more, got {parsed.seed}.")
    if parsed.max_lead is not None:
        wrong.number("options.max_lead", parsed.max_lead, 0.1, 600.0)
        if parsed.whole:
            wrong.add("options.max_lead", "only a stream runs ahead of playback.")
