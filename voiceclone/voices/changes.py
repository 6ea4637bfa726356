"""What an update of a voice writes: field paths to columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voiceclone.errors import InvalidRequest
from voiceclone.voices import checks
from voiceclone.voices.records import Consent, Voice, VoiceState
from voiceclone.voices.rows import consent_columns

_CONSENT = "consent."
_CONSENT_FIELDS = ("speaker", "method", "evidence_sha256", "permitted_uses", "expire_time", "revoke_time")
#: What an update may change; ``consent.x`` changes one field of the consent, ``consent`` all of it.
CHANGEABLE = ("display_name", "languages", "labels", "model", "consent", *(_CONSENT + name for name in _CONSENT_FIELDS))


def columns(voice: Voice, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that ``changes`` gives new values. Raises InvalidRequest, ConsentRevoked."""
    unknown = sorted(set(changes) - set(CHANGEABLE))
    if unknown:
        raise InvalidRequest(
            f"{unknown[0]!r} of a voice cannot be changed.",
            field=f"voice.{unknown[0]}",
            hint=f"These can: {', '.join(CHANGEABLE)}.",
        )
    found: dict[str, Any] = {}
    if "display_name" in changes:
        found["display_name"] = checks.text(changes["display_name"], "voice.display_name", 200)
    if "languages" in changes:
        found["languages"] = list(checks.languages(changes["languages"]))
    if "labels" in changes:
        found["labels"] = checks.labels(changes["labels"])
    if "model" in changes:
        found["model"] = checks.model(changes["model"])
    consent = _consent(voice.consent, changes)
    if consent is not None:
        found |= consent_columns(consent)
        if consent.revoke_time is not None:
            found["state"] = VoiceState.SUSPENDED.value
    return found


def _consent(old: Consent, changes: Mapping[str, Any]) -> Consent | None:
    new = changes.get("consent", old)
    if not isinstance(new, Consent):
        raise InvalidRequest("A voice cannot be without its consent.", field="voice.consent", hint="Delete the voice.")
    parts = {key.removeprefix(_CONSENT): value for key, value in changes.items() if key.startswith(_CONSENT)}
    new = replace(new, **parts)
    return None if new == old else checks.changed_consent(old, new)
