"""Rows to records and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from voiceclone.voices.records import Consent, ConsentMethod, Sample, SampleQuality, Voice, VoiceState
from voiceclone.voices.tables import voice_samples, voice_tags

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(value: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    return (value - _EPOCH) // _MICROSECOND


def now() -> int:
    """Return the time in microseconds since 1970."""
    return microseconds(datetime.now(timezone.utc))


def moment(value: int) -> datetime:
    """Return the time of so many microseconds since 1970."""
    return _EPOCH + value * _MICROSECOND


def sample_record(row: Row[Any]) -> Sample:
    return Sample(
        name=f"samples/{row.id}",
        sha256=row.sha256,
        sample_rate=row.sample_rate,
        sample_count=row.sample_count,
        quality=SampleQuality(row.snr_db, row.clipped_fraction, row.speech_fraction, tuple(row.warnings)),
        create_time=moment(row.create_time),
        transcript=row.transcript,
        language=row.language,
    )


def sample_row(identifier: str, sample: Sample) -> dict[str, Any]:
    quality = sample.quality
    return {
        "id": identifier,
        "sha256": sample.sha256,
        "sample_rate": sample.sample_rate,
        "sample_count": sample.sample_count,
        "transcript": sample.transcript,
        "language": sample.language,
        "snr_db": quality.snr_db,
        "clipped_fraction": quality.clipped_fraction,
        "speech_fraction": quality.speech_fraction,
        "warnings": list(quality.warnings),
        "create_time": microseconds(sample.create_time),
    }


def voice_records(connection: Connection, rows: Sequence[Row[Any]]) -> list[Voice]:
    """Return the voices of these rows, in order; one query for the samples of all."""
    query = select(voice_samples).where(voice_samples.c.voice_uid.in_([row.uid for row in rows]))
    names: dict[str, list[str]] = {}
    for link in connection.execute(query.order_by(voice_samples.c.position)):
        names.setdefault(link.voice_uid, []).append(f"samples/{link.sample_id}")
    return [_voice_record(row, names.get(row.uid, ())) for row in rows]


def _voice_record(row: Row[Any], samples: Iterable[str]) -> Voice:
    expire, revoke = row.consent_expire_time, row.consent_revoke_time
    state = VoiceState(row.state)
    return Voice(
        name=f"voices/{row.id}",
        model=row.model,
        samples=tuple(samples),
        consent=Consent(
            speaker=row.consent_speaker,
            method=ConsentMethod(row.consent_method),
            evidence_sha256=row.consent_evidence,
            permitted_uses=tuple(row.consent_uses),
            expire_time=None if expire is None else moment(expire),
            revoke_time=None if revoke is None else moment(revoke),
        ),
        state=VoiceState.SUSPENDED if expire is not None and expire <= now() else state,
        create_time=moment(row.create_time),
        update_time=moment(row.update_time),
        etag=f"{row.uid[:12]}-{row.revision}",
        uid=row.uid,
        display_name=row.display_name,
        languages=tuple(row.languages),
        labels=MappingProxyType(dict(row.labels)),
    )


def consent_columns(consent: Consent) -> dict[str, Any]:
    expire, revoke = consent.expire_time, consent.revoke_time
    return {
        "consent_speaker": consent.speaker,
        "consent_method": consent.method.value,
        "consent_evidence": consent.evidence_sha256,
        "consent_uses": list(consent.permitted_uses),
        "consent_expire_time": None if expire is None else microseconds(expire),
        "consent_revoke_time": None if revoke is None else microseconds(revoke),
    }


def write_tags(connection: Connection, uid: str, languages: Iterable[str], labels: Mapping[str, str]) -> None:
    """Replace what filters find a voice by."""
    tags = [("language", value) for value in languages] + [(f"label.{key}", value) for key, value in labels.items()]
    connection.execute(delete(voice_tags).where(voice_tags.c.voice_uid == uid))
    if tags:
        rows = [{"voice_uid": uid, "key": key, "value": value} for key, value in tags]
        connection.execute(insert(voice_tags), rows)
