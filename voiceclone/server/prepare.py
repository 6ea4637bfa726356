"""From a checked request to an utterance on a loaded model: what the model can do, with which voice and options."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

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
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.request import SpeechRequest, Violations
from voiceclone.server.translate import timing_kinds
from voiceclone.types import Capabilities, Utterance
from voiceclone.voices import Voice


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to speak: ``utterance`` for the engine, the rest for the header and the audio pipeline."""

    request: SpeechRequest
    voice: Voice
    loaded: LoadedModel
    utterance: Utterance
    #: Digest of the recordings behind the voice.
    voice_digest: str
    #: Hz of the audio that goes out.
    sample_rate: int


async def prepare(catalogue: Catalogue, request: SpeechRequest) -> Prepared:
    """Resolve voice, model, conditioning and options; raises the typed error of the first that does not fit."""
    voice = await catalogue.voice(request.voice)
    loaded = await catalogue.model(request.model or voice.model.removeprefix("models/"))
    capabilities = loaded.model.capabilities
    language = request.language or _first_language(voice, capabilities)
    _check_capabilities(catalogue, request, loaded, language)
    sample_rate = request.sample_rate or capabilities.sample_rate
    _check_format(request.encoding, sample_rate)
    options = parse_options(loaded.model.options, request)
    data = await catalogue.data(voice, loaded)
    utterance = Utterance(
        text=request.text,
        voice=data.conditioning,
        language=language,
        seed=secrets.randbits(31) if request.seed is None else request.seed,
        speaking_rate=request.speaking_rate,
        pitch_semitones=request.pitch_semitones,
        temperature=request.temperature,
        style=request.style,
        alphabet=request.alphabet,
        pronunciations=request.pronunciations,
        preceding_text=request.preceding_text,
        following_text=request.following_text,
        options=options,
    )
    return Prepared(request, voice, loaded, utterance, data.digest, sample_rate)


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


def _first_language(voice: Voice, capabilities: Capabilities) -> str:
    spoken = [code for code in voice.languages if speaks(capabilities, code)]
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
