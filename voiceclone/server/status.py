"""Turns exceptions into ``google.rpc.Status``: code, reason, and the detail messages that the contract promises."""

from __future__ import annotations

import re
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from voiceclone import errors
from voiceclone.errors import VoicecloneError

DOMAIN = "voiceclone.dev"
#: Where a caller reads what a consent record is.
CONSENT_HELP = "docs/protocol.md#consent"

#: Trailers share one small budget (8 KiB in most gRPC libraries), so what goes into them is cut.
_MAX_MESSAGE = 600
_MAX_VIOLATIONS = 10
_MAX_DESCRIPTION = 240

_PATH = re.compile(r"(?:(?<=[\s'\"(=:])|^)(?:~|file://)?/(?:[^\s/'\"():]+/)+[^\s'\"():]*|\b[A-Za-z]:\\[^\s'\"]+")


def to_status(error: BaseException, request_id: str) -> Status:
    """Describe ``error`` for the caller; anything but a :class:`VoicecloneError` becomes INTERNAL without its text."""
    if not isinstance(error, VoicecloneError):
        hint = f"Its log has the reason under {request_id}."
        error = VoicecloneError("The server failed on this request.", hint=hint)
    code: grpc.StatusCode = getattr(grpc.StatusCode, error.status)
    status = Status(code=code.value[0], message=scrub(str(error)))
    info = details.ErrorInfo(reason=error.reason, domain=DOMAIN)
    info.metadata.update({key: scrub(value, _MAX_DESCRIPTION) for key, value in error.metadata.items()})
    for detail in (info, *_details(error, code), details.RequestInfo(request_id=request_id)):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


async def abort(context: grpc.aio.ServicerContext, status: Status) -> NoReturn:
    """End the call with ``status`` and its details; raises ``grpc.aio.AbortError``."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    trailer = (("grpc-status-details-bin", status.SerializeToString()),)
    raise await context.abort(code, status.message, trailer)  # raises by itself; mypy cannot know


def _details(error: VoicecloneError, code: grpc.StatusCode) -> list[Message]:
    """The detail messages, besides ErrorInfo, that callers find under each code."""
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return [_bad_request(error)]
    if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS):
        kind, name = getattr(error, "resource_type", ""), getattr(error, "name", "")
        return [details.ResourceInfo(resource_type=kind, resource_name=scrub(name, _MAX_DESCRIPTION))]
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return _precondition(error)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        retry = details.RetryInfo()
        retry.retry_delay.FromMicroseconds(int(getattr(error, "retry_after", 1.0) * 1e6))
        return [retry]
    return []


def _bad_request(error: VoicecloneError) -> details.BadRequest:
    bad = details.BadRequest()
    for violation in getattr(error, "violations", ())[:_MAX_VIOLATIONS]:
        bad.field_violations.add(
            field=scrub(violation.field, _MAX_DESCRIPTION),
            description=scrub(violation.description, _MAX_DESCRIPTION),
            reason=violation.reason or error.reason,
        )
    return bad


def _precondition(error: VoicecloneError) -> list[Message]:
    failure = details.PreconditionFailure()
    failure.violations.add(
        type=error.reason,
        subject=scrub(getattr(error, "subject", ""), _MAX_DESCRIPTION),
        description=scrub(error.message, _MAX_DESCRIPTION),
    )
    link = getattr(error, "link", "")
    if not link and isinstance(error, errors.ConsentRequired | errors.ConsentRevoked):
        link = CONSENT_HELP
    if not link:
        return [failure]
    return [failure, details.Help(links=[details.Help.Link(description=error.hint or "What this needs.", url=link)])]


def scrub(text: str, limit: int = _MAX_MESSAGE) -> str:
    """Cut ``text`` to ``limit`` characters, and take out what looks like a path on this machine."""
    text = _PATH.sub("[file]", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
