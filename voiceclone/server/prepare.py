"""From a request to an utterance on a loaded model: what the model can do, with which voice and options."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from voiceclone._proto.v1 import audio_pb2, speech_service_pb2
from voiceclone.audio import Encoding, check_encoding
from voiceclone.errors import (
    FieldViolation,
    FormatUnsupported,
    InvalidRequest,
    LanguageUnsupported,
    OptionUnknown,
    TextTooLong,
    TimingUnsupported,
)
from voiceclone.registry import LoadedModel
from voiceclone.server.catalogue import Cache, Catalogue, VoiceData
from voiceclone.server.keys import Keys, keys_of
from voiceclone.server.request import WIRE_NAMES, SpeechMessage, SpeechRequest, Violations, parse
from voiceclone.server.translate import timing_kinds, timing_values
from voiceclone.types import Capabilities, Utterance
from voiceclone.voices import Voice

#: Bytes of the largest message, without its text, that is remembered.
_MAX_SHAPE = 4096
#: Seeds of requests that bring none; nobody gains by guessing them.
_seeds = random.Random()


@dataclass(frozen=True, slots=True)
class Plan:
    """What lines that differ in text and seed alone have in common, checked."""

    #: The first such line's.
    request: SpeechRequest
    #: None where the model speaks in one of its own.
    voice: Voice | None
    loaded: LoadedModel
    #: Arguments of Utterance but for text and seed.
    utterance: Mapping[str, Any]
    #: Hz of the audio that goes out.
    sample_rate: int
    keys: Keys
    #: What their headers have in common.
    header: speech_service_pb2.StreamHeader
    #: Characters that a text may have.
    max_chars: int

    def line(self, text: str, seed: int | None) -> Prepared:
        """One line to speak; a seed is drawn where it brings none."""
        drawn = _seeds.getrandbits(31) if seed is None else seed
        return Prepared(self, Utterance(text=text, seed=drawn, **self.utterance), seed)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to speak: ``utterance`` for the engine, ``plan`` for the header and the audio pipeline."""

    plan: Plan
    utterance: Utterance
    #: As it came; None where the server drew the one in ``utterance``.
    seed: int | None


class Preparer:
    """Prepares requests. A game sends lines that differ in text and seed alone: the rest is checked once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._plans: Cache[bytes, Plan] = Cache(256)

    async def prepare(self, message: SpeechMessage) -> Prepared:
        """Resolve voice, model, conditioning and options; raises the typed error of the first that does not fit."""
        text, seed = message.input.text, message.options.seed if message.options.HasField("seed") else None
        shape = _shape(message)
        plan = self._plans.get(shape) if shape else None
        if plan is None or not self._fits(plan, text, seed):
            plan = await self._check(parse(message, self.catalogue.settings))
            text, seed = plan.request.text, plan.request.seed
            if shape:
                self._plans.put(shape, plan)
        return plan.line(text, seed)

    def _fits(self, plan: Plan, text: str, seed: int | None) -> bool:
        """Whether all that was checked still holds, for this line too."""
        if len(text) > plan.max_chars or text.isspace() or (seed is not None and seed < 0):
            return False
        if self.catalogue.model_at_hand(plan.loaded.info.name) is not plan.loaded:
            return False
        if plan.voice is None:
            return True
        voice = self.catalogue.voice_at_hand(plan.voice.name)
        return voice is not None and voice.etag == plan.voice.etag

    async def _check(self, request: SpeechRequest) -> Plan:
        catalogue = self.catalogue
        voice = await catalogue.voice(request.voice) if request.voice else None
        loaded = await catalogue.model(request.model or (voice.model.removeprefix("models/") if voice else ""))
        capabilities = loaded.model.capabilities
        language = request.language or _first_language(voice, capabilities)
        _check_capabilities(catalogue, request, loaded, language)
        sample_rate = request.sample_rate or capabilities.sample_rate
        _check_format(request.encoding, sample_rate)
        options = parse_options(loaded.model.options, request)
        data = await catalogue.data(voice, loaded) if voice else _own_voice(loaded)
        utterance = {
            "voice": data.conditioning,
            "language": language,
            "speaking_rate": request.speaking_rate,
            "pitch_semitones": request.pitch_semitones,
            "temperature": request.temperature,
            "style": request.style,
            "alphabet": request.alphabet,
            "pronunciations": request.pronunciations,
            "preceding_text": request.preceding_text,
            "following_text": request.following_text,
            "options": options,
        }
        audio_format = audio_pb2.AudioFormat(
            encoding=WIRE_NAMES[request.encoding], sample_rate_hertz=sample_rate, channel_count=1
        )
        header = speech_service_pb2.StreamHeader(
            audio_format=audio_format,
            voice=request.voice,
            model=f"models/{loaded.key}",
            timings=timing_values(request.timings),
        )
        settings = catalogue.settings
        return Plan(
            request=request,
            voice=voice,
            loaded=loaded,
            utterance=utterance,
            sample_rate=sample_rate,
            keys=keys_of(request, utterance, loaded, data.digest, sample_rate),
            header=header,
            max_chars=min(
                settings.max_unary_text_chars if request.whole else settings.max_text_chars,
                capabilities.max_input_chars,
            ),
        )


def _shape(message: SpeechMessage) -> bytes:
    """All of the message but its text and seed; empty where it is not worth remembering."""
    text = message.input.text
    if not text:
        return b""
    # Taken out and put back: a copy of the message would cost more than all the rest of this.
    message.input.text = ""
    seed = message.options.seed if message.options.HasField("seed") else None
    if seed is not None:
        message.options.ClearField("seed")
    shape = message.SerializeToString(deterministic=True)
    message.input.text = text
    if seed is not None:
        message.options.seed = seed
    # The two messages share their field numbers, and only one of them may ask for a whole file.
    return shape + type(message).__name__.encode() if len(shape) <= _MAX_SHAPE else b""


def _own_voice(loaded: LoadedModel) -> VoiceData:
    if loaded.model.capabilities.cloning:
        violation = FieldViolation(
            "voice", f"must be voices/ and an id: models/{loaded.info.name} has none of its own."
        )
        raise InvalidRequest(f"{violation.field}: {violation.description}", violations=(violation,))
    return VoiceData(b"", "")


def parse_options(kind: type[BaseModel], request: SpeechRequest) -> BaseModel:
    """Read ``backend_options`` as the model's options class. Raises OptionUnknown, which lists what is allowed."""
    if not request.backend_options:
        return _no_options(kind)
    unknown = [key for key in request.backend_options if key not in kind.model_fields]
    allowed = ", ".join(sorted(kind.model_fields)) or "none"
    if unknown:
        violations = tuple(
            FieldViolation(f"options.backend_options[{key[:60]!r}]", f"is unknown; allowed here: {allowed}.")
            for key in unknown
        )
        raise OptionUnknown(f"Unknown backend options; this model allows: {allowed}.", violations=violations)
    try:
        return kind.model_validate_strings(dict(request.backend_options))
    except ValidationError as error:
        violations = tuple(
            FieldViolation(f"options.backend_options[{'.'.join(map(str, item['loc']))!r}]", item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        )
        parts = " ".join(f"{violation.field}: {violation.description}." for violation in violations)
        raise OptionUnknown(f"{parts} This model allows: {allowed}.", violations=violations) from None


_DEFAULTS: dict[type[BaseModel], BaseModel] = {}


def _no_options(kind: type[BaseModel]) -> BaseModel:
    found = _DEFAULTS.get(kind)
    if found is None:
        found = _DEFAULTS[kind] = kind()
    return found.model_copy() if not found.model_config.get("frozen") else found


def _first_language(voice: Voice | None, capabilities: Capabilities) -> str:
    spoken = [code for code in (voice.languages if voice else ()) if speaks(capabilities, code)]
    return next(iter(spoken or capabilities.languages), "")


def speaks(capabilities: Capabilities, language: str) -> bool:
    """Whether the model has ``language``; en-GB is served by en, and en by en-GB. A model without languages has all."""

    def primary(code: str) -> str:
        return code.partition("-")[0].lower()

    return not capabilities.languages or primary(language) in map(primary, capabilities.languages)


def _check_capabilities(catalogue: Catalogue, request: SpeechRequest, loaded: LoadedModel, language: str) -> None:
    capabilities, name = loaded.model.capabilities, f"models/{loaded.info.name}"
    if not speaks(capabilities, language):
        others = _others(catalogue, lambda other: speaks(other, language))
        raise LanguageUnsupported(f"{name} does not speak {language!r}.", subject=name, hint=others)
    missing = set(request.timings) - timing_kinds(capabilities)
    if missing:
        kinds = ", ".join(sorted(kind.name for kind in missing))
        others = _others(catalogue, lambda other: set(request.timings) <= timing_kinds(other))
        raise TimingUnsupported(f"{name} has no timings of kind {kinds}.", subject=name, hint=others)
    path = "input.phonemes.value" if request.alphabet else "input.text"
    if len(request.text) > capabilities.max_input_chars:
        raise TextTooLong(
            f"has {len(request.text)} characters, {name} takes {capabilities.max_input_chars}.", field=path
        )
    wrong = Violations()
    features: tuple[tuple[str, Any, bool], ...] = (
        ("options.speaking_rate", request.speaking_rate != 1.0, capabilities.speaking_rate),
        ("options.pitch_semitones", request.pitch_semitones != 0.0, capabilities.pitch),
        ("options.temperature", request.temperature is not None, capabilities.temperature),
        ("input.phonemes", request.alphabet is not None, capabilities.phoneme_input),
        ("input.pronunciations", bool(request.pronunciations), capabilities.pronunciations),
    )
    for field, wanted, there in features:
        if wanted and not there:
            wrong.add(field, f"{name} does not support it.")
    if request.style and request.style not in capabilities.styles:
        styles = ", ".join(capabilities.styles) or "none"
        wrong.add("options.style", f"{name} has the styles: {styles}.", InvalidRequest)
    wrong.raise_any()


def _check_format(encoding: Encoding, sample_rate: int) -> None:
    try:
        check_encoding(encoding, sample_rate)
    except FormatUnsupported as error:
        violations = tuple(FieldViolation(f"options.{found.field}", found.description) for found in error.violations)
        raise FormatUnsupported(error.message, violations=violations, hint=error.hint) from None


def _others(catalogue: Catalogue, fits: Callable[[Capabilities], bool]) -> str:
    names = catalogue.able(fits)
    return f"These loaded models can: {', '.join(names)}." if names else "No loaded model can."
