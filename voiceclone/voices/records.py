"""What the voice store hands out: frozen records of voices, samples and consents. All times are in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType


class ConsentMethod(str, Enum):
    """How the speaker agreed."""

    SPOKEN_STATEMENT = "spoken_statement"
    SIGNED_DOCUMENT = "signed_document"
    #: The operator of this server answers for it.
    OPERATOR_ATTESTATION = "operator_attestation"
    #: No person: the recording was synthesised.
    SYNTHETIC_SPEAKER = "synthetic_speaker"


class VoiceState(str, Enum):
    """Whether a voice may speak."""

    ACTIVE = "active"
    TUNING = "tuning"
    FAILED = "failed"
    #: Consent was revoked or has expired.
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Consent:
    """On what ground a voice was cloned."""

    speaker: str
    method: ConsentMethod
    #: SHA-256 of the recording or document that proves it, 64 hex digits; empty where there is none.
    evidence_sha256: str = ""
    permitted_uses: tuple[str, ...] = ()
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """What was measured in a recording that was accepted."""

    snr_db: float
    #: Fraction 0..1 of the samples that sit at the recording's ceiling.
    clipped_fraction: float
    #: Fraction 0..1 of the time in which somebody speaks.
    speech_fraction: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A reference recording in the store."""

    #: ``samples/{id}``
    name: str
    #: Of the bytes as they came; of a WAV file made from them where they were raw.
    sha256: str
    sample_rate: int
    #: Samples at ``sample_rate`` after the mix to mono.
    sample_count: int
    quality: SampleQuality
    create_time: datetime
    transcript: str = ""
    language: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.sample_count / self.sample_rate


@dataclass(frozen=True, slots=True)
class Voice:
    """A cloned voice."""

    #: ``voices/{id}``
    name: str
    #: ``models/{id}``: the model that speaks it unless a request names another.
    model: str
    #: ``samples/{id}`` of each recording.
    samples: tuple[str, ...]
    consent: Consent
    state: VoiceState
    create_time: datetime
    update_time: datetime
    etag: str
    #: Never reused, unlike the name: a voice deleted and made again is another voice.
    uid: str
    display_name: str = ""
    languages: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
