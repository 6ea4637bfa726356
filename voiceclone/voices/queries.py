"""Questions that the store asks inside its transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from voiceclone.errors import AlreadyExists, EtagMismatch, InvalidRequest, SampleNotFound, VoiceNotFound
from voiceclone.voices import rows
from voiceclone.voices.records import Sample, Voice
from voiceclone.voices.tables import requests, samples, voices


def one_voice(connection: Connection, where: Any, name: str = "") -> Voice:
    found = connection.execute(select(voices).where(where)).all()
    if not found:
        raise VoiceNotFound(name, hint="`voiceclone voices list` shows those there are.")
    return rows.voice_records(connection, found)[0]


def match_etag(voice: Voice, etag: str) -> None:
    if etag and etag != voice.etag:
        raise EtagMismatch(f"{voice.name} was changed since it was read.", hint="Read it and repeat the change.")


def same_sample(old: Sample, new: Sample) -> Sample:
    if (old.sha256, old.transcript, old.language) == (new.sha256, new.transcript, new.language):
        return old
    raise AlreadyExists("sample", old.name, hint="It is another recording, or has another transcript.")


def repeated(connection: Connection, request_id: str, fingerprint: str) -> str | None:
    """Return the uid of the voice that this request made before. Raises InvalidRequest where it was another request."""
    row = connection.execute(select(requests).where(requests.c.request_id == request_id)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise InvalidRequest("The request id was used before, for another request.", field="request_id")
    uid: str = row.voice_uid
    return uid


def require_samples(connection: Connection, identifiers: Sequence[str]) -> None:
    query = select(samples.c.id).where(samples.c.id.in_(identifiers))
    there = set(connection.execute(query).scalars())
    for identifier in identifiers:
        if identifier not in there:
            raise SampleNotFound(f"samples/{identifier}", hint="Upload the recording first.")


def named_hashes(connection: Connection, hashes: Iterable[str]) -> set[str]:
    """Return those of the hashes that a sample has; asked in parts, since databases bound a query's parameters."""
    wanted, found = list(hashes), set[str]()
    for start in range(0, len(wanted), 500):
        part = samples.c.sha256.in_(wanted[start : start + 500])
        found.update(connection.execute(select(samples.c.sha256).where(part)).scalars())
    return found
