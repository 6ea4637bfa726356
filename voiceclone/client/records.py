"""Voices, samples, consents and models as a client sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from voiceclone._proto.v1 import audio_pb2, model_service_pb2, voice_service_pb2
from voiceclone.errors import InvalidRequest
from voiceclone.types import Capabilities, TimingKind

_METHOD = "METHOD_"
_STATE = "STATE_"


@dataclass(frozen=True, slots=True)
class Consent:
    """Who allowed the voice to be cloned, and how that is known."""

    speaker: str
    #: "spoken_statement", "signed_document", "operator_attestation" or "synthetic_speaker".
    method: str = "operator_attestation"
    #: Digest of the recording or document that proves it.
    evidence_sha256: str = ""
    permitted_uses: tuple[str, ...] = ()
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """A cloned voice."""

    name: str
    model: str
    samples: tuple[str, ...]
    consent: Consent
    #: "active" or "suspended".
    state: str
    create_time: datetime
    update_time: datetime
    etag: str
    display_name: str = ""
    languages: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """An uploaded recording."""

    name: str
    sha256: str
    #: Seconds.
    duration: float
    sample_rate: int
    snr_db: float
    clipped_fraction: float
    speech_fraction: float
    warnings: tuple[str, ...]
    transcript: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the server."""

    name: str
    backend: str
    revision: str
    #: "unloaded", "loading", "ready", "failed" or "draining".
    state: str
    summary: str
    licence: str
    device: str
    memory_bytes: int
    error: str
    #: None until the model has been loaded.
    capabilities: Capabilities | None
    #: JSON Schema of ``backend_options``; empty until the model has been loaded.
    option_schema: Mapping[str, Any]


def resource_name(collection: str, name: str) -> str:
    """``name``, with its collection before it where the caller left that out."""
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"


def consent_message(consent: Consent) -> voice_service_pb2.Consent:
    methods = voice_service_pb2.Consent.Method
    key = _METHOD + consent.method.upper()
    if key not in methods.keys()[1:]:
        known = ", ".join(name.removeprefix(_METHOD).lower() for name in methods.keys()[1:])
        raise InvalidRequest(f"{consent.method!r} is none of {known}.", field="consent.method")
    message = voice_service_pb2.Consent(
        speaker=consent.speaker,
        method=key,
        evidence_sha256=consent.evidence_sha256,
        permitted_uses=consent.permitted_uses,
    )
    if consent.expire_time is not None:
        message.expire_time.FromDatetime(consent.expire_time)
    if consent.revoke_time is not None:
        message.revoke_time.FromDatetime(consent.revoke_time)
    return message


def read_voice(message: voice_service_pb2.Voice) -> Voice:
    return Voice(
        name=message.name,
        model=message.model,
        samples=tuple(message.samples),
        consent=_read_consent(message.consent),
        state=voice_service_pb2.Voice.State.Name(message.state).removeprefix(_STATE).lower(),
        create_time=_utc(message.create_time),
        update_time=_utc(message.update_time),
        etag=message.etag,
        display_name=message.display_name,
        languages=tuple(message.language_codes),
        labels=dict(message.labels),
    )


def _read_consent(message: voice_service_pb2.Consent) -> Consent:
    return Consent(
        speaker=message.speaker,
        method=voice_service_pb2.Consent.Method.Name(message.method).removeprefix(_METHOD).lower(),
        evidence_sha256=message.evidence_sha256,
        permitted_uses=tuple(message.permitted_uses),
        expire_time=_utc(message.expire_time) if message.HasField("expire_time") else None,
        revoke_time=_utc(message.revoke_time) if message.HasField("revoke_time") else None,
    )


def read_sample(message: voice_service_pb2.Sample) -> Sample:
    return Sample(
        name=message.name,
        sha256=message.sha256,
        duration=message.duration.ToNanoseconds() * 1e-9,
        sample_rate=message.sample_rate_hertz,
        snr_db=message.quality.snr_db,
        clipped_fraction=message.quality.clipped_fraction,
        speech_fraction=message.quality.speech_fraction,
        warnings=tuple(message.quality.warnings),
        transcript=message.transcript,
        language=message.language_code,
    )


def read_model(message: model_service_pb2.Model) -> Model:
    return Model(
        name=message.name,
        backend=message.backend,
        revision=message.revision,
        state=model_service_pb2.Model.State.Name(message.state).removeprefix(_STATE).lower(),
        summary=message.summary,
        licence=message.licence,
        device=message.device,
        memory_bytes=message.memory_bytes,
        error=message.error,
        capabilities=_read_capabilities(message.capabilities) if message.HasField("capabilities") else None,
        option_schema=json.loads(message.option_schema) if message.option_schema else {},
    )


def _read_capabilities(message: model_service_pb2.ModelCapabilities) -> Capabilities:
    kinds = [audio_pb2.TimingKind.Name(kind).removeprefix("TIMING_KIND_") for kind in message.timings]
    return Capabilities(
        languages=tuple(message.language_codes),
        sample_rate=message.sample_rate_hertz,
        timings=tuple(TimingKind[kind] for kind in kinds),
        cloning=message.cloning,
        streaming=message.streaming,
        seed=message.seed,
        speaking_rate=message.speaking_rate,
        pitch=message.pitch,
        phoneme_input=message.phoneme_input,
        pronunciations=message.pronunciations,
        temperature=message.temperature,
        styles=tuple(message.styles),
        max_input_chars=message.max_input_chars,
        max_batch_size=message.max_batch_size,
    )


def _utc(message: Any) -> datetime:
    found: datetime = message.ToDatetime(tzinfo=timezone.utc)
    return found
