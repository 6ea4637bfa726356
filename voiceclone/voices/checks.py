"""What a caller may write into the store: names, labels, texts and consents, each refusal naming its field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from voiceclone.errors import ConsentRequired, ConsentRevoked, InvalidRequest
from voiceclone.voices.records import Consent, ConsentMethod

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ID_HINT = "Use 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit."

MAX_SAMPLES = 32
_MAX_LABELS = 64
_MAX_LANGUAGES = 32
#: A caller's clock may run ahead of ours by so much.
_CLOCK_SKEW = timedelta(minutes=5)


def resource_id(name: str, collection: str, field: str = "name") -> str:
    """Return ``x`` of ``voices/x``. Raises InvalidRequest."""
    prefix, slash, identifier = name.partition("/")
    if prefix != collection or not slash or not _ID.fullmatch(identifier):
        raise InvalidRequest(f"{name[:80]!r} is not the name of one of {collection}/....", field=field, hint=_ID_HINT)
    return identifier


def new_id(identifier: str, field: str) -> str:
    """Return an id that a caller chose. Raises InvalidRequest."""
    if not _ID.fullmatch(identifier):
        raise InvalidRequest(f"{identifier[:80]!r} is not an id.", field=field, hint=_ID_HINT)
    return identifier


def request_id(value: str) -> str:
    if value and not _REQUEST_ID.fullmatch(value):
        raise InvalidRequest("A request id is 1 to 64 visible ASCII characters.", field="request_id")
    return value


def text(value: str, field: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidRequest(f"{field} has {len(value)} characters; {limit} are the most.", field=field)
    if _CONTROL.search(value):
        raise InvalidRequest(f"{field} holds control characters.", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field} is not valid Unicode.", field=field) from None
    return value


def language(value: str, field: str) -> str:
    if value and (len(value) > 35 or not _LANGUAGE.fullmatch(value)):
        raise InvalidRequest(f"{value[:40]!r} is not a language code.", field=field, hint="Use BCP-47, such as en-US.")
    return value


def languages(values: Sequence[str], field: str = "voice.language_codes") -> tuple[str, ...]:
    if len(values) > _MAX_LANGUAGES or not all(values):
        raise InvalidRequest(f"A voice has up to {_MAX_LANGUAGES} languages, none of them empty.", field=field)
    return tuple(dict.fromkeys(language(value, field) for value in values))


def labels(values: Mapping[str, str], field: str = "voice.labels") -> dict[str, str]:
    if len(values) > _MAX_LABELS:
        raise InvalidRequest(f"A voice has up to {_MAX_LABELS} labels.", field=field)
    for key, value in values.items():
        if not _LABEL.fullmatch(key):
            raise InvalidRequest(
                f"{key[:80]!r} is not a label's key.", field=field, hint="Use 1 to 63 of a-z, 0-9, '_', '-' and '.'."
            )
        text(value, field, 256)
    return dict(sorted(values.items()))


def model(value: str, field: str = "voice.model") -> str:
    if not value:
        raise InvalidRequest("A voice needs a model.", field=field, hint="`voiceclone models list` shows them.")
    return text(value, field, 200)


def sample_ids(names: Sequence[str], field: str = "voice.samples") -> tuple[str, ...]:
    if not 1 <= len(names) <= MAX_SAMPLES:
        raise InvalidRequest(f"A voice is made of 1 to {MAX_SAMPLES} samples, not {len(names)}.", field=field)
    found = tuple(resource_id(name, "samples", field) for name in names)
    if len(set(found)) < len(found):
        raise InvalidRequest("A sample is named twice.", field=field)
    return found


def new_consent(consent: Consent | None) -> Consent:
    """Return the consent a new voice may stand on. Raises ConsentRequired, ConsentRevoked, InvalidRequest."""
    if consent is None:
        raise ConsentRequired(
            "A voice is cloned only with the speaker's consent on record.",
            subject="voice.consent",
            hint="Set voice.consent: who speaks, and how they agreed (or that the speaker is synthetic).",
        )
    checked = _consent(consent)
    if checked.revoke_time is not None:
        raise ConsentRevoked("The consent has been revoked.", subject="voice.consent")
    if checked.expire_time is not None and checked.expire_time <= datetime.now(timezone.utc):
        raise ConsentRevoked("The consent has expired.", subject="voice.consent")
    return checked


def changed_consent(old: Consent, new: Consent) -> Consent:
    """Return the consent after an update; a revocation is final. Raises ConsentRevoked, InvalidRequest."""
    checked = _consent(new)
    if old.revoke_time is not None and checked != old:
        raise ConsentRevoked(
            "The consent was revoked; that is final.",
            subject="voice.consent",
            hint="Create a new voice with a new consent.",
        )
    if old.revoke_time is None and checked.revoke_time is not None:
        now = datetime.now(timezone.utc)
        if checked.revoke_time > now + _CLOCK_SKEW:
            raise InvalidRequest(
                "revoke_time lies in the future.", field="voice.consent.revoke_time", hint="Set expire_time instead."
            )
        checked = replace(checked, revoke_time=min(checked.revoke_time, now))
    return checked


def _consent(consent: Consent) -> Consent:
    if not consent.speaker.strip():
        raise InvalidRequest("A consent names its speaker.", field="voice.consent.speaker")
    text(consent.speaker, "voice.consent.speaker", 200)
    if not isinstance(consent.method, ConsentMethod):
        allowed = ", ".join(item.name for item in ConsentMethod)
        raise InvalidRequest(f"A consent says how it was given: {allowed}.", field="voice.consent.method")
    if consent.evidence_sha256 and not _SHA256.fullmatch(consent.evidence_sha256):
        raise InvalidRequest("Evidence is named by 64 lower-case hex digits.", field="voice.consent.evidence_sha256")
    if len(consent.permitted_uses) > 64:
        raise InvalidRequest("A consent lists up to 64 uses.", field="voice.consent.permitted_uses")
    for use in consent.permitted_uses:
        text(use, "voice.consent.permitted_uses", 200)
    return replace(
        consent,
        permitted_uses=tuple(consent.permitted_uses),
        expire_time=_utc(consent.expire_time, "voice.consent.expire_time"),
        revoke_time=_utc(consent.revoke_time, "voice.consent.revoke_time"),
    )


def _utc(value: datetime | None, field: str) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise InvalidRequest(f"{field} has no time zone.", field=field)
    return None if value is None else value.astimezone(timezone.utc)
