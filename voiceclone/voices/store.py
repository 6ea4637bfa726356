"""The voice store: recordings, voices and their conditioning, durable once a call returns.

Rows are in a database, recordings in files beside it. A file is on the disk before the row that names it is committed,
and is removed only after the last such row is gone, both under the store's one write lock: a row never lacks its file.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from voiceclone.audio import RawFormat, decode, to_mono
from voiceclone.errors import (
    AlreadyExists,
    ConsentRequired,
    ConsentRevoked,
    InvalidRequest,
    SampleNotFound,
    StoreError,
)
from voiceclone.types import Reference
from voiceclone.voices import changes as voice_changes
from voiceclone.voices import checks, filters, queries, rows
from voiceclone.voices.blobs import BlobFolder, make_private
from voiceclone.voices.database import Database
from voiceclone.voices.quality import MAX_SECONDS, assess
from voiceclone.voices.records import Consent, Sample, Voice, VoiceState
from voiceclone.voices.tables import conditionings, requests, samples, voice_samples, voices

_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
#: A file without a row is left alone for so long (seconds): its row may be on the way.
_ORPHAN_SECONDS = 3600.0


def default_directory() -> Path:
    """Return the folder of the store: ``voices`` under VOICECLONE_HOME, else under the user's data folder."""
    home = os.environ.get("VOICECLONE_HOME")
    if home:
        return Path(home) / "voices"
    from platformdirs import user_data_dir

    return Path(user_data_dir("voiceclone", appauthor=False)) / "voices"


class VoiceStore:
    """Voices and recordings. Calls block; any number of threads and processes may use one store at once.

    ``url`` is an SQLAlchemy URL (default: SQLite in ``directory``); ``directory`` holds the recordings.
    Every method raises StoreError where disk or database fail.
    """

    def __init__(self, url: str | None = None, directory: Path | None = None) -> None:
        self.directory = directory or default_directory()
        make_private(self.directory)
        file = self.directory / "voices.db"
        if url is None:
            _touch_private(file)
        self._database = Database(url or f"sqlite:///{file}")
        self._blobs = BlobFolder(self.directory / "samples")
        self.collect_garbage()

    def close(self) -> None:
        """Close the database connections; the store may be used again afterwards."""
        self._database.close()

    # -- samples ----------------------------------------------------------------------------------------------------

    def add_sample(
        self,
        data: bytes,
        *,
        sample_id: str = "",
        transcript: str = "",
        language: str = "",
        raw: RawFormat | None = None,
    ) -> Sample:
        """Decode, check and keep a recording: a WAV, FLAC, Ogg or MP3 file, or raw samples of layout ``raw``.

        The same recording with the same transcript gives the same sample. Raises SampleRejected (each fault has its
        subclass), InvalidRequest, AlreadyExists where ``sample_id`` is another recording.
        """
        checks.text(transcript, "transcript", 5000)
        checks.language(language, "language_code")
        data = data if raw is None else raw.wrap(data)
        sha256 = hashlib.sha256(data).hexdigest()
        identity = hashlib.sha256(json.dumps([sha256, transcript, language]).encode()).hexdigest()[:32]
        identifier = checks.new_id(sample_id, "sample_id") if sample_id else identity
        decoded = decode(data, max_seconds=MAX_SECONDS)
        mono = to_mono(decoded.samples)
        sample = Sample(
            name=f"samples/{identifier}",
            sha256=sha256,
            sample_rate=decoded.sample_rate,
            sample_count=len(mono),
            quality=assess(mono, decoded.sample_rate),
            create_time=rows.moment(rows.now()),
            transcript=transcript,
            language=language,
        )

        def work(connection: Connection) -> Sample | None:
            row = connection.execute(select(samples).where(samples.c.id == identifier)).one_or_none()
            if row is not None:
                return queries.same_sample(rows.sample_record(row), sample)
            if not self._blobs.has(sha256):
                return None
            connection.execute(insert(samples).values(rows.sample_row(identifier, sample)))
            return sample

        for _ in range(3):  # between write and lock another process may have taken the file for garbage
            self._blobs.write(sha256, data, mono)
            stored = self._database.write(work)
            if stored is not None:
                return stored
        raise StoreError("The recording cannot be kept: its file keeps vanishing.")

    def get_sample(self, name: str) -> Sample:
        """Return the sample ``samples/{id}``. Raises SampleNotFound."""
        identifier = checks.resource_id(name, "samples")
        query = select(samples).where(samples.c.id == identifier)
        row = self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise SampleNotFound(name)
        return rows.sample_record(row)

    def recording(self, name: str) -> bytes:
        """Return the bytes of sample ``samples/{id}`` as they came. Raises SampleNotFound."""
        return self._blobs.original(self.get_sample(name).sha256)

    # -- voices -----------------------------------------------------------------------------------------------------

    def create_voice(
        self,
        voice_id: str,
        *,
        model: str,
        samples: Sequence[str],
        consent: Consent | None,
        display_name: str = "",
        languages: Sequence[str] = (),
        labels: Mapping[str, str] = {},
        request_id: str = "",
        conditioning: Mapping[tuple[str, str], bytes] = {},
    ) -> Voice:
        """Make a voice of samples, with what models computed from them by (model name, revision), all or nothing.

        A ``request_id`` seen before gives the voice of that request. Raises ConsentRequired, ConsentRevoked,
        SampleNotFound, AlreadyExists, InvalidRequest.
        """
        checks.new_id(voice_id, "voice_id")
        checks.request_id(request_id)
        consent = checks.new_consent(consent)
        sample_ids = checks.sample_ids(samples)
        uid, moment = uuid.uuid4().hex, rows.now()
        values = {
            "id": voice_id,
            "model": checks.model(model),
            "display_name": checks.text(display_name, "voice.display_name", 200),
            "languages": list(checks.languages(languages)),
            "labels": checks.labels(labels),
            "state": VoiceState.ACTIVE.value,
            **rows.consent_columns(consent),
        }
        fingerprint = hashlib.sha256(json.dumps([values, sample_ids], sort_keys=True).encode()).hexdigest()
        stamps = {"uid": uid, "create_time": moment, "update_time": moment, "revision": 1}

        def work(connection: Connection) -> Voice:
            if request_id and (first := queries.repeated(connection, request_id, fingerprint)):
                return queries.one_voice(connection, voices.c.uid == first)
            if connection.execute(select(exists().where(voices.c.id == voice_id))).scalar_one():
                raise AlreadyExists("voice", f"voices/{voice_id}", hint="Choose another id, or delete that voice.")
            queries.require_samples(connection, sample_ids)
            connection.execute(insert(voices).values(**values, **stamps))
            links = [{"voice_uid": uid, "position": i, "sample_id": item} for i, item in enumerate(sample_ids)]
            connection.execute(insert(voice_samples), links)
            rows.write_tags(connection, uid, values["languages"], values["labels"])
            for (name, revision), data in conditioning.items():
                key = {"voice_uid": uid, "model": name, "revision": revision}
                connection.execute(insert(conditionings).values(**key, data=data, create_time=moment))
            if request_id:
                key = {"request_id": request_id, "voice_uid": uid}
                connection.execute(insert(requests).values(**key, fingerprint=fingerprint, create_time=moment))
            return queries.one_voice(connection, voices.c.uid == uid)

        return self._database.write(work)

    def get_voice(self, name: str) -> Voice:
        """Return the voice ``voices/{id}``. Raises VoiceNotFound."""
        identifier = checks.resource_id(name, "voices")
        return self._database.read(lambda connection: queries.one_voice(connection, voices.c.id == identifier, name))

    def list_voices(self, page_size: int = 0, page_token: str = "", filter: str = "") -> tuple[list[Voice], str]:
        """Return a page of voices by id and the token of the next, empty on the last.

        ``page_size`` 0 is 50, above 1000 is 1000. Raises InvalidRequest on a bad size, token or filter.
        """
        if page_size < 0:
            raise InvalidRequest("page_size is negative.", field="page_size")
        size = min(page_size or _DEFAULT_PAGE, _MAX_PAGE)
        query = select(voices).where(*filters.conditions(filter, rows.now())).order_by(voices.c.id).limit(size + 1)
        query = query.where(voices.c.id > filters.read_token(page_token, filter))

        def work(connection: Connection) -> tuple[list[Voice], str]:
            found = connection.execute(query).all()
            token = filters.make_token(found[size - 1].id, filter) if len(found) > size else ""
            return rows.voice_records(connection, found[:size]), token

        return self._database.read(work)

    def update_voice(self, name: str, changes: Mapping[str, Any], etag: str = "") -> Voice:
        """Change fields of a voice (:data:`voiceclone.voices.changes.CHANGEABLE`) and return it.

        A ``consent.revoke_time`` suspends the voice for good and purges its conditioning. Raises VoiceNotFound,
        EtagMismatch, InvalidRequest, ConsentRevoked.
        """
        identifier = checks.resource_id(name, "voices", "voice.name")

        def work(connection: Connection) -> Voice:
            voice = queries.one_voice(connection, voices.c.id == identifier, name)
            queries.match_etag(voice, etag)
            columns = voice_changes.columns(voice, changes)
            if columns:
                mine = voices.c.uid == voice.uid
                stamps = {"update_time": rows.now(), "revision": voices.c.revision + 1}
                connection.execute(update(voices).where(mine).values(**columns, **stamps))
                if columns.get("state") == VoiceState.SUSPENDED.value:
                    connection.execute(delete(conditionings).where(conditionings.c.voice_uid == voice.uid))
                voice = queries.one_voice(connection, mine)
                rows.write_tags(connection, voice.uid, voice.languages, voice.labels)
            return voice

        return self._database.write(work)

    def delete_voice(self, name: str, etag: str = "") -> None:
        """Delete a voice, its conditioning, and those of its recordings that no other voice is made of.

        Raises VoiceNotFound, EtagMismatch.
        """
        identifier = checks.resource_id(name, "voices")

        def work(connection: Connection) -> list[str]:
            voice = queries.one_voice(connection, voices.c.id == identifier, name)
            queries.match_etag(voice, etag)
            connection.execute(delete(voices).where(voices.c.uid == voice.uid))  # the rest goes by ON DELETE CASCADE
            mine = samples.c.id.in_([item.removeprefix("samples/") for item in voice.samples])
            unused = mine & ~exists().where(voice_samples.c.sample_id == samples.c.id)
            hashes = list(connection.execute(select(samples.c.sha256).where(unused)).scalars())
            connection.execute(delete(samples).where(unused))
            return hashes

        for sha256 in self._database.write(work):
            self._drop_blob(sha256)

    # -- what models need -------------------------------------------------------------------------------------------

    def references(self, voice: Voice) -> list[Reference]:
        """Return the voice's recordings, in order, as float32 mono ``[T]``. Raises SampleNotFound."""
        return self.sample_references(voice.samples)

    def sample_references(self, names: Sequence[str]) -> list[Reference]:
        """Return the recordings ``samples/{id}``, in order, as float32 mono ``[T]``. Raises SampleNotFound."""
        found = []
        for name in names:
            sample = self.get_sample(name)
            decoded = self._blobs.decoded(sample.sha256)
            found.append(Reference(decoded, sample.sample_rate, sample.transcript, sample.language))
        return found

    def get_conditioning(self, voice: Voice, model: str, revision: str) -> bytes | None:
        """Return what a model of this revision computed from the voice, None where it has not, or was purged."""
        of = conditionings.c
        query = select(of.data).where(of.voice_uid == voice.uid, of.model == model, of.revision == revision)
        return self._database.read(lambda connection: connection.execute(query).scalar_one_or_none())

    def put_conditioning(self, voice: Voice, model: str, revision: str, data: bytes) -> None:
        """Keep what a model computed from the voice.

        Raises VoiceNotFound where the voice is gone and ConsentRevoked where it was suspended in the meantime.
        """
        of = conditionings.c
        key = {"voice_uid": voice.uid, "model": model, "revision": revision}

        def work(connection: Connection) -> None:
            self.require_usable(queries.one_voice(connection, voices.c.uid == voice.uid, voice.name))
            same = (of.voice_uid == voice.uid) & (of.model == model) & (of.revision == revision)
            connection.execute(delete(conditionings).where(same))
            connection.execute(insert(conditionings).values(**key, data=data, create_time=rows.now()))

        self._database.write(work)

    def require_usable(self, voice: Voice) -> None:
        """Raise ConsentRequired or ConsentRevoked unless the voice's consent holds now."""
        if not voice.consent.speaker:
            raise ConsentRequired("The voice has no consent on record.", subject=voice.name)
        expire = voice.consent.expire_time
        if voice.consent.revoke_time is not None:
            raise ConsentRevoked("The speaker's consent to this voice was revoked.", subject=voice.name)
        if expire is not None and rows.microseconds(expire) <= rows.now():
            raise ConsentRevoked("The speaker's consent to this voice has expired.", subject=voice.name)

    # -- housekeeping -----------------------------------------------------------------------------------------------

    def collect_garbage(self, older_than: float = _ORPHAN_SECONDS) -> int:
        """Remove files that no row names and that are older than so many seconds; return how many.

        Conditioning of voices whose consent has expired goes too. Runs when a store is opened.
        """

        def work(connection: Connection) -> int:
            expired = select(voices.c.uid).where(voices.c.consent_expire_time <= rows.now())
            connection.execute(delete(conditionings).where(conditionings.c.voice_uid.in_(expired)))
            return self._blobs.collect(lambda found: queries.named_hashes(connection, found), older_than)

        return self._database.write(work)

    def _drop_blob(self, sha256: str) -> None:
        def work(connection: Connection) -> None:
            if not queries.named_hashes(connection, [sha256]):
                self._blobs.remove(sha256)

        self._database.write(work)


def _touch_private(file: Path) -> None:
    try:
        file.touch(mode=0o600)  # the files SQLite puts beside it get the same mode
    except OSError as error:
        raise StoreError(
            f"The voice store cannot be opened: {error.strerror}.", hint="Check VOICECLONE_HOME. Run: voiceclone doctor"
        ) from error
