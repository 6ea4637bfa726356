"""Records to messages and back: voices, samples, consents, models, timings and segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from voiceclone._proto.v1 import audio_pb2, model_service_pb2, voice_service_pb2
from voiceclone.registry import ModelState, ModelStatus
from voiceclone.server.request import KINDS, Violations
from voiceclone.server.status import scrub
from voiceclone.types import Capabilities, TextSpan, Timing, TimingKind, TimingSource
from voiceclone.voices import Consent, ConsentMethod, Sample, Voice, VoiceState

_KINDS = {kind: value for value, kind in KINDS.items()}
_SOURCES: dict[TimingSource, audio_pb2.TimingSource] = {
    TimingSource.MODEL: audio_pb2.TIMING_SOURCE_MODEL,
    TimingSource.ALIGNER: audio_pb2.TIMING_SOURCE_ALIGNER,
    TimingSource.ESTIMATE: audio_pb2.TIMING_SOURCE_ESTIMATE,
}
_METHODS: dict[ConsentMethod, voice_service_pb2.Consent.Method] = {
    ConsentMethod.SPOKEN_STATEMENT: voice_service_pb2.Consent.METHOD_SPOKEN_STATEMENT,
    ConsentMethod.SIGNED_DOCUMENT: voice_service_pb2.Consent.METHOD_SIGNED_DOCUMENT,
    ConsentMethod.OPERATOR_ATTESTATION: voice_service_pb2.Consent.METHOD_OPERATOR_ATTESTATION,
    ConsentMethod.SYNTHETIC_SPEAKER: voice_service_pb2.Consent.METHOD_SYNTHETIC_SPEAKER,
}
_VOICE_STATES: dict[VoiceState, voice_service_pb2.Voice.State] = {
    VoiceState.ACTIVE: voice_service_pb2.Voice.STATE_ACTIVE,
    VoiceState.SUSPENDED: voice_service_pb2.Voice.STATE_SUSPENDED,
}
_MODEL_STATES: dict[ModelState, model_service_pb2.Model.State] = {
    ModelState.UNLOADED: model_service_pb2.Model.STATE_UNLOADED,
    ModelState.LOADING: model_service_pb2.Model.STATE_LOADING,
    ModelState.READY: model_service_pb2.Model.STATE_READY,
    ModelState.FAILED: model_service_pb2.Model.STATE_FAILED,
    ModelState.DRAINING: model_service_pb2.Model.STATE_DRAINING,
}
#: Field of the message -> the key under which ``VoiceStore.update_voice`` takes it, and its type there.
_CHANGEABLE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "consent": ("consent", lambda message: message),
    "display_name": ("display_name", str),
    "language_codes": ("languages", tuple),
    "labels": ("labels", dict),
}


def timing_event(timing: Timing, numerator: int, denominator: int) -> audio_pb2.TimingEvent:
    """``timing`` with its samples rescaled by ``numerator / denominator``; ends are rounded, not lengths, so that
    neighbours still meet."""
    start = timing.start_sample * numerator // denominator
    end = (timing.start_sample + timing.sample_count) * numerator // denominator
    return audio_pb2.TimingEvent(
        kind=_KINDS[timing.kind],
        start_sample=start,
        sample_count=end - start,
        span=text_span(timing.span),
        label=timing.label,
        viseme_id=timing.viseme_id,
        weight=timing.weight,
        source=_SOURCES[timing.source],
    )


def text_span(span: TextSpan | None) -> audio_pb2.TextSpan | None:
    return audio_pb2.TextSpan(begin=span.begin, end=span.end) if span is not None else None


def timing_kinds(capabilities: Capabilities) -> set[TimingKind]:
    """The kinds a model brings; visemes follow from its phonemes."""
    kinds = set(capabilities.timings) & set(_KINDS)
    return kinds | {TimingKind.VISEME} if TimingKind.PHONEME in kinds else kinds


def timing_values(kinds: Iterable[TimingKind]) -> list[audio_pb2.TimingKind]:
    return sorted(_KINDS[kind] for kind in kinds)


def sample_message(sample: Sample) -> voice_service_pb2.Sample:
    quality = sample.quality
    message = voice_service_pb2.Sample(
        name=sample.name,
        transcript=sample.transcript,
        language_code=sample.language,
        sha256=sample.sha256,
        sample_rate_hertz=sample.sample_rate,
        create_time=timestamp(sample.create_time),
        quality=voice_service_pb2.SampleQuality(
            snr_db=quality.snr_db,
            clipped_fraction=quality.clipped_fraction,
            speech_fraction=quality.speech_fraction,
            warnings=quality.warnings,
        ),
    )
    message.duration.FromNanoseconds(sample.sample_count * 10**9 // sample.sample_rate)
    return message


def voice_message(voice: Voice) -> voice_service_pb2.Voice:
    return voice_service_pb2.Voice(
        name=voice.name,
        display_name=voice.display_name,
        language_codes=voice.languages,
        model=voice.model,
        samples=voice.samples,
        consent=consent_message(voice.consent),
        state=_VOICE_STATES[voice.state],
        labels=dict(voice.labels),
        create_time=timestamp(voice.create_time),
        update_time=timestamp(voice.update_time),
        etag=voice.etag,
    )


def consent_message(consent: Consent) -> voice_service_pb2.Consent:
    return voice_service_pb2.Consent(
        speaker=consent.speaker,
        method=_METHODS[consent.method],
        evidence_sha256=consent.evidence_sha256,
        permitted_uses=consent.permitted_uses,
        expire_time=timestamp(consent.expire_time) if consent.expire_time else None,
        revoke_time=timestamp(consent.revoke_time) if consent.revoke_time else None,
    )


def consent_record(message: voice_service_pb2.Consent, path: str, wrong: Violations) -> Consent | None:
    """The consent in ``message``, or None where something is wrong with it, which is noted under ``path``."""
    methods = {value: method for method, value in _METHODS.items()}
    if not message.speaker.strip():
        wrong.add(f"{path}.speaker", "must name who agreed.")
    if message.method not in methods:
        wrong.add(f"{path}.method", f"must be one of {', '.join(method.name for method in _METHODS)}.")
    if not message.speaker.strip() or message.method not in methods:
        return None
    return Consent(
        speaker=message.speaker,
        method=methods[message.method],
        evidence_sha256=message.evidence_sha256,
        permitted_uses=tuple(message.permitted_uses),
        expire_time=_time(message, "expire_time", f"{path}.expire_time", wrong),
        revoke_time=_time(message, "revoke_time", f"{path}.revoke_time", wrong),
    )


def _time(message: Any, name: str, path: str, wrong: Violations) -> datetime | None:
    if not message.HasField(name):
        return None
    try:
        found: datetime = getattr(message, name).ToDatetime(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        wrong.add(path, "is not a time.")
        return None
    return found


def voice_changes(request: voice_service_pb2.UpdateVoiceRequest, wrong: Violations) -> dict[str, Any]:
    """What the mask, or without one every field that is set, asks to change."""
    voice = request.voice
    if request.update_mask.paths:
        fields = list(request.update_mask.paths)
    else:
        fields = [descriptor.name for descriptor, _ in voice.ListFields() if descriptor.name in _CHANGEABLE]
    changes: dict[str, Any] = {}
    for field in fields:
        if field not in _CHANGEABLE:
            wrong.add("update_mask", f"{field[:60]!r} cannot be changed; {', '.join(_CHANGEABLE)} can.")
        elif field == "consent":
            changes[field] = consent_record(voice.consent, "voice.consent", wrong)
        else:
            key, convert = _CHANGEABLE[field]
            changes[key] = convert(getattr(voice, field))
    return changes


def model_message(status: ModelStatus) -> model_service_pb2.Model:
    info = status.info
    return model_service_pb2.Model(
        name=f"models/{info.name}",
        backend=info.backend,
        revision=info.revision,
        summary=info.summary,
        licence=info.licence,
        state=_MODEL_STATES[status.state],
        capabilities=_capabilities(status.capabilities) if status.capabilities else None,
        option_schema=status.option_schema,
        memory_bytes=status.memory_bytes,
        device=status.device,
        error=scrub(status.error or ""),
    )


def _capabilities(capabilities: Capabilities) -> model_service_pb2.ModelCapabilities:
    return model_service_pb2.ModelCapabilities(
        language_codes=capabilities.languages,
        sample_rate_hertz=capabilities.sample_rate,
        timings=timing_values(timing_kinds(capabilities)),
        cloning=capabilities.cloning,
        streaming=capabilities.streaming,
        seed=capabilities.seed,
        speaking_rate=capabilities.speaking_rate,
        pitch=capabilities.pitch,
        phoneme_input=capabilities.phoneme_input,
        pronunciations=capabilities.pronunciations,
        temperature=capabilities.temperature,
        styles=capabilities.styles,
        max_input_chars=capabilities.max_input_chars,
        max_batch_size=capabilities.max_batch_size,
    )


def timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
