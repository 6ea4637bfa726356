"""Statuses back to the exceptions of ``voiceclone.errors``: a caller never sees gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from voiceclone import errors
from voiceclone.errors import FieldViolation, Retryable, VoicecloneError

_DOMAIN = "voiceclone.dev"


class ServerUnreachable(Retryable):
    """No server answers at the address."""

    reason = "SERVER_UNREACHABLE"


def _kinds() -> dict[tuple[str, str], type[VoicecloneError]]:
    """(reason, status) -> the exception that has both; where two do, the more special one."""
    found: dict[tuple[str, str], type[VoicecloneError]] = {}
    waiting: list[type[VoicecloneError]] = [VoicecloneError]
    while waiting:
        kind = waiting.pop(0)
        if kind.__module__ == errors.__name__:
            found[kind.reason, kind.status] = kind
            waiting += kind.__subclasses__()
    return {**found, ("INTERNAL", "INTERNAL"): VoicecloneError}


_KINDS = _kinds()


@contextmanager
def typed_errors(address: str) -> Iterator[None]:
    """Turn an RPC's failure inside the block into the exception it stands for."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc(error, address) from None


def from_rpc(error: Any, address: str) -> VoicecloneError:
    """The exception that the failed call ``error`` stands for."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return from_status(Status.FromString(value))
    code, message = error.code(), error.details() or "The call failed."
    if code is grpc.StatusCode.UNAVAILABLE:
        return ServerUnreachable(f"No server answers at {address}.", hint="Start one: voiceclone serve")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded("The call took longer than its timeout.")
    return from_status(Status(code=code.value[0], message=message))


def from_status(status: Status) -> VoicecloneError:
    """The exception in ``status``; one without a known reason is a VoicecloneError with the status's code."""
    found: dict[str, Any] = {}
    for packed in status.details:
        for kind in (details.ErrorInfo, details.BadRequest, details.ResourceInfo, details.PreconditionFailure,
                     details.RetryInfo, details.Help):  # fmt: skip
            if packed.Is(kind.DESCRIPTOR):
                found[kind.__name__] = message = kind()
                packed.Unpack(message)
    info = found.get("ErrorInfo")
    code = next((code.name for code in grpc.StatusCode if code.value[0] == status.code), "UNKNOWN")
    reason = info.reason if info is not None and info.domain == _DOMAIN else ""
    kind = _KINDS.get((reason, code), VoicecloneError)
    # Each class has a constructor of its own; what they all set is set here.
    error = kind.__new__(kind)
    Exception.__init__(error, status.message)
    error.message, error.hint, error.metadata = status.message, "", dict(info.metadata) if info is not None else {}
    if kind is VoicecloneError:
        error.reason, error.status = reason or "INTERNAL", code  # type: ignore[misc]
    for name, value in _attributes(found).items():
        setattr(error, name, value)
    return error


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    """What the details tell beyond the message, under the names that the exceptions use."""
    told: dict[str, Any] = {}
    if "BadRequest" in found:
        told["violations"] = tuple(
            FieldViolation(violation.field, violation.description, violation.reason)
            for violation in found["BadRequest"].field_violations
        )
    if "ResourceInfo" in found:
        resource = found["ResourceInfo"]
        told |= {"resource_type": resource.resource_type, "name": resource.resource_name}
    if "PreconditionFailure" in found:
        violations = found["PreconditionFailure"].violations
        links = found["Help"].links if "Help" in found else ()
        told |= {"subject": violations[0].subject if violations else "", "link": links[0].url if links else ""}
    if "RetryInfo" in found:
        told["retry_after"] = found["RetryInfo"].retry_delay.ToNanoseconds() * 1e-9
    return told
