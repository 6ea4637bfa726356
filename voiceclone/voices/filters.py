"""List filters and page tokens: ``model = "models/x" AND labels.mood = calm`` becomes SQL; anything else is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, or_

from voiceclone.errors import InvalidRequest
from voiceclone.voices.records import VoiceState
from voiceclone.voices.tables import voice_tags, voices

_TERM = re.compile(r"""\s*(?P<key>[A-Za-z_][\w.-]*)\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s"=]+)(?=\s|$)""")
_AND = re.compile(r"\s+AND(?=\s)")
_HELP = 'Write terms such as model = "models/x" AND state = ACTIVE AND language = en AND labels.mood = calm.'
_MAX_CHARS = 1000
_KEYS = "model, state, language, labels.<key>"


def conditions(text: str, now: int) -> list[ColumnElement[bool]]:
    """Return the SQL conditions, all of which must hold; ``now`` in microseconds. Raises InvalidRequest."""
    if len(text) > _MAX_CHARS:
        raise _refuse(f"The filter is longer than {_MAX_CHARS} characters.")
    found: list[ColumnElement[bool]] = []
    position = 0
    while text[position:].strip():
        joined = _AND.match(text, position) if found else None
        term = _TERM.match(text, joined.end() if joined else position)
        if term is None:
            raise _refuse(f"The filter cannot be read from {text[position:].strip()[:40]!r} on.")
        found.append(_condition(term["key"], _unquoted(term["value"]), now))
        position = term.end()
    return found


def read_token(token: str, text: str) -> str:
    """Return the id after which a page begins. Raises InvalidRequest where the token is not ours or of this filter."""
    if not token:
        return ""
    try:
        padded = token + "=" * (-len(token) % 4)
        value: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        after, digest = value
    except (binascii.Error, ValueError, TypeError):
        after = digest = None
    if not isinstance(after, str) or digest != _digest(text):
        raise InvalidRequest(
            "The page token is not one that this list with this filter gave out.",
            field="page_token",
            hint="Start again without a token.",
        )
    return after


def make_token(after: str, text: str) -> str:
    """Return the opaque token of the page that begins after this id."""
    raw = json.dumps([after, _digest(text)]).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _condition(key: str, value: str, now: int) -> ColumnElement[bool]:
    if key == "model":
        return voices.c.model == value
    if key == "state":
        return _state(value, now)
    if key == "language":
        return _tagged("language", value)
    prefix, _, label = key.partition(".")
    if prefix in ("label", "labels") and label:
        return _tagged(f"label.{label}", value)
    raise _refuse(f"Voices cannot be filtered by {key[:40]!r}; by {_KEYS} they can.")


def _state(value: str, now: int) -> ColumnElement[bool]:
    try:
        state = VoiceState(value.lower().removeprefix("state_"))
    except ValueError:
        allowed = ", ".join(item.name for item in VoiceState)
        raise _refuse(f"{value[:40]!r} is no state of a voice; {allowed} are.") from None
    expire = voices.c.consent_expire_time
    if state is VoiceState.SUSPENDED:  # a voice whose consent ran out has not been written since
        return or_(voices.c.state == state.value, and_(expire.is_not(None), expire <= now))
    return and_(voices.c.state == state.value, or_(expire.is_(None), expire > now))


def _tagged(key: str, value: str) -> ColumnElement[bool]:
    if len(key) > 80 or len(value) > 256:
        return false()
    tag = voice_tags.c
    return exists().where(tag.voice_uid == voices.c.uid, tag.key == key, tag.value == value)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _refuse(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="filter", hint=_HELP)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
