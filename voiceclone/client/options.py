"""How a line is to be said, in Python's words, and the request that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from google.protobuf.duration_pb2 import Duration

from voiceclone._proto.v1 import audio_pb2, speech_service_pb2
from voiceclone.client.records import resource_name
from voiceclone.errors import InvalidRequest
from voiceclone.types import Pronunciation


class SpeechOptions(TypedDict, total=False):
    """Keyword arguments of ``say`` and ``stream``; what is left out is the server's default."""

    #: Another model than the voice's own.
    model: str
    #: BCP-47.
    language: str
    #: "pcm_s16le" (default), "pcm_f32le", "mulaw", "alaw", "wav"; for ``say`` also "flac", "ogg_opus", "ogg_vorbis",
    #: "mp3".
    encoding: str
    #: Hz.
    sample_rate: int
    #: 2.0 is twice as fast.
    speaking_rate: float
    pitch_semitones: float
    gain_db: float
    #: Equal seeds give equal samples.
    seed: int
    temperature: float
    style: str
    #: Of "sentence", "word", "phoneme", "viseme".
    timings: Iterable[str]
    #: "ovr15" (default), "azure22", "rhubarb9".
    viseme_set: str
    #: Seconds of audio in a chunk.
    min_chunk: float
    #: Seconds that a stream may run ahead of playback.
    max_lead: float
    #: The backend's own options, see ``Model.option_schema``.
    backend_options: Mapping[str, object]
    #: Set when the text is phonemes in this alphabet: "ipa", "arpabet", "x-sampa".
    alphabet: str
    pronunciations: Iterable[Pronunciation]
    preceding_text: str
    following_text: str
    #: Seconds for the whole call.
    timeout: float


def whole_request(text: str, voice: str, options: SpeechOptions) -> speech_service_pb2.SynthesizeRequest:
    """Raises InvalidRequest for an option or a value that does not exist."""
    return speech_service_pb2.SynthesizeRequest(
        voice=resource_name("voices", voice) if voice else "",
        model=_model(options),
        input=_input(text, options),
        options=_speech(options),
    )


def stream_request(text: str, voice: str, options: SpeechOptions) -> speech_service_pb2.StreamSynthesizeRequest:
    """Raises InvalidRequest for an option or a value that does not exist."""
    return speech_service_pb2.StreamSynthesizeRequest(
        voice=resource_name("voices", voice) if voice else "",
        model=_model(options),
        input=_input(text, options),
        options=_speech(options),
    )


def _model(options: SpeechOptions) -> str:
    unknown = set(options) - set(SpeechOptions.__annotations__)
    if unknown:
        allowed = ", ".join(SpeechOptions.__annotations__)
        raise InvalidRequest(f"there is no option {min(unknown)!r}.", field=min(unknown), hint=f"There are: {allowed}.")
    model = options.get("model", "")
    return resource_name("models", model) if model else ""


def _input(text: str, options: SpeechOptions) -> speech_service_pb2.SynthesisInput:
    message = speech_service_pb2.SynthesisInput(
        language_code=options.get("language", ""),
        preceding_text=options.get("preceding_text", ""),
        following_text=options.get("following_text", ""),
    )
    if "alphabet" in options:
        phonemes = speech_service_pb2.PhonemeText(alphabet=_alphabet(options["alphabet"]), value=text)
        message.phonemes.CopyFrom(phonemes)
    else:
        message.text = text
    for item in options.get("pronunciations", ()):
        message.pronunciations.add(phrase=item.phrase, alphabet=_alphabet(item.alphabet.name), value=item.value)
    return message


def _alphabet(name: str) -> str:
    return _enum("PHONETIC_ALPHABET_", name, "alphabet", speech_service_pb2.PhoneticAlphabet.keys())


def _speech(options: SpeechOptions) -> speech_service_pb2.SpeechOptions:
    encoding, viseme_set = options.get("encoding"), options.get("viseme_set")
    kinds = audio_pb2.TimingKind.keys()
    return speech_service_pb2.SpeechOptions(
        audio_format=audio_pb2.AudioFormat(
            encoding=_enum("AUDIO_ENCODING_", encoding, "encoding", audio_pb2.AudioEncoding.keys())
            if encoding
            else None,
            sample_rate_hertz=options.get("sample_rate"),
        ),
        speaking_rate=options.get("speaking_rate"),
        pitch_semitones=options.get("pitch_semitones"),
        gain_db=options.get("gain_db"),
        seed=options.get("seed"),
        temperature=options.get("temperature"),
        style=options.get("style"),
        timings=[_enum("TIMING_KIND_", kind, "timings", kinds) for kind in options.get("timings", ())],
        viseme_set=_enum("VISEME_SET_", viseme_set, "viseme_set", audio_pb2.VisemeSet.keys()) if viseme_set else None,
        min_chunk_duration=duration(options["min_chunk"]) if "min_chunk" in options else None,
        max_lead=duration(options["max_lead"]) if "max_lead" in options else None,
        backend_options={key: str(value) for key, value in options.get("backend_options", {}).items()},
    )


def _enum(prefix: str, value: str, field: str, keys: Iterable[str]) -> str:
    """The name of ``value`` in the contract; raises InvalidRequest, which lists what there is."""
    key = prefix + str(getattr(value, "name", value)).upper().replace("-", "_")
    known = [name for name in keys if not name.endswith("_UNSPECIFIED")]
    if key not in known:
        names = ", ".join(name.removeprefix(prefix).lower() for name in known)
        raise InvalidRequest(f"{value!r} is none of {names}.", field=field)
    return key


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
