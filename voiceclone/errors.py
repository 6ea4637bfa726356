"""The exceptions of voiceclone: each knows its reason, its gRPC status and what the reader can do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request; ``field`` is its path in the wire contract."""

    field: str
    description: str
    #: Reason of the error this would be alone; empty: that of the error which carries it.
    reason: str = ""


class VoicecloneError(Exception):
    """Base of every error a caller is meant to see.

    ``reason`` becomes ``google.rpc.ErrorInfo.reason``, ``status`` the name of a gRPC status code. The message must hold
    no path, no stack trace and no name of an internal object: it travels to callers as it is.
    """

    reason: ClassVar[str] = "INTERNAL"
    status: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, hint: str = "", metadata: dict[str, str] | None = None) -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.metadata = dict(metadata or {})


# -- what the caller sent -------------------------------------------------------------------------------------------


class InvalidRequest(VoicecloneError):
    """One or more fields of the request are wrong; ``violations`` names each."""

    reason = "FIELD_INVALID"
    status = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, *, field: str = "", violations: tuple[FieldViolation, ...] = (), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.violations = violations or ((FieldViolation(field, message),) if field else ())


class TextEmpty(InvalidRequest):
    """Nothing in the text can be spoken."""

    reason = "TEXT_EMPTY"


class TextTooLong(InvalidRequest):
    """The text is over the model's or the server's limit."""

    reason = "TEXT_TOO_LONG"


class FormatUnsupported(InvalidRequest):
    """The audio format asked for cannot be made here."""

    reason = "FORMAT_UNSUPPORTED"


class OptionUnknown(InvalidRequest):
    """A backend option is unknown or has a bad value; the message lists the allowed ones."""

    reason = "OPTION_UNKNOWN"


class PhonemesInvalid(InvalidRequest):
    """A pronunciation or phoneme text holds a symbol outside its alphabet."""

    reason = "PHONEMES_INVALID"


class SampleRejected(InvalidRequest):
    """A reference recording cannot be used; subclasses say why."""

    reason = "SAMPLE_UNDECODABLE"


class SampleUndecodable(SampleRejected):
    """Not audio, truncated, or a format that is not read here."""


class SampleTooShort(SampleRejected):
    reason = "SAMPLE_TOO_SHORT"


class SampleTooLong(SampleRejected):
    reason = "SAMPLE_TOO_LONG"


class SampleSilent(SampleRejected):
    reason = "SAMPLE_SILENT"


class SampleClipped(SampleRejected):
    reason = "SAMPLE_CLIPPED"


class SampleNotFinite(SampleRejected):
    """NaN or infinite samples."""

    reason = "SAMPLE_NOT_FINITE"


class SampleFormat(SampleRejected):
    """Sample rate or channel count out of range."""

    reason = "SAMPLE_FORMAT"


# -- what is not there, or there already ------------------------------------------------------------------------------


class NotFound(VoicecloneError):
    """A named resource does not exist."""

    reason = "RESOURCE_NOT_FOUND"
    status = "NOT_FOUND"
    resource_type: ClassVar[str] = ""

    def __init__(self, name: str, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or f"{self.resource_type or 'resource'} {name!r} does not exist.", hint=hint)
        self.name = name


class VoiceNotFound(NotFound):
    reason = "VOICE_NOT_FOUND"
    resource_type = "voice"


class ModelNotFound(NotFound):
    reason = "MODEL_NOT_FOUND"
    resource_type = "model"


class SampleNotFound(NotFound):
    reason = "SAMPLE_NOT_FOUND"
    resource_type = "sample"


class OperationNotFound(NotFound):
    reason = "OPERATION_NOT_FOUND"
    resource_type = "operation"


class AlreadyExists(VoicecloneError):
    """The name is taken by something else."""

    reason = "VOICE_EXISTS"
    status = "ALREADY_EXISTS"

    def __init__(self, resource_type: str, name: str, *, hint: str = "") -> None:
        super().__init__(f"{resource_type} {name!r} exists already.", hint=hint)
        self.resource_type = resource_type
        self.name = name


class EtagMismatch(VoicecloneError):
    """Somebody changed the resource since it was read."""

    reason = "ETAG_MISMATCH"
    status = "ABORTED"


# -- what cannot be done as things stand ------------------------------------------------------------------------------


class PreconditionFailed(VoicecloneError):
    """The request is well formed but the state of ``subject`` forbids it."""

    reason = "PRECONDITION_FAILED"
    status = "FAILED_PRECONDITION"

    def __init__(self, message: str, *, subject: str = "", hint: str = "", link: str = "") -> None:
        super().__init__(message, hint=hint)
        self.subject = subject
        self.link = link


class LanguageUnsupported(PreconditionFailed):
    reason = "LANGUAGE_UNSUPPORTED"


class TimingUnsupported(PreconditionFailed):
    reason = "TIMING_UNSUPPORTED"


class ConsentRequired(PreconditionFailed):
    reason = "CONSENT_REQUIRED"


class ConsentRevoked(PreconditionFailed):
    reason = "CONSENT_REVOKED"


class VoiceIncompatible(PreconditionFailed):
    """The voice was made for a model that cannot be replaced by the one asked for."""

    reason = "VOICE_INCOMPATIBLE"


# -- what may work later ----------------------------------------------------------------------------------------------


class Retryable(VoicecloneError):
    """Worth another try after ``retry_after`` seconds."""

    status = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: float = 1.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class QueueFull(Retryable):
    """Admitting the request would make it, or others, late."""

    reason = "QUEUE_FULL"
    status = "RESOURCE_EXHAUSTED"


class DeviceOutOfMemory(Retryable):
    reason = "DEVICE_OUT_OF_MEMORY"
    status = "RESOURCE_EXHAUSTED"


class ModelNotLoaded(Retryable):
    """The model is loading, draining, or failed to load."""

    reason = "MODEL_NOT_LOADED"


class Draining(Retryable):
    """The server is shutting down; another replica, or this one later, will answer."""

    reason = "DRAINING"


class BackendCrashed(Retryable):
    """The backend died under this request before any audio left."""

    reason = "BACKEND_CRASHED"


class StreamAborted(VoicecloneError):
    """The backend died after audio had left: the line must be started again from its beginning."""

    reason = "BACKEND_CRASHED"
    status = "ABORTED"


class DeadlineExceeded(VoicecloneError):
    reason = "DEADLINE_EXCEEDED"
    status = "DEADLINE_EXCEEDED"


# -- what the operator or a plugin author sees ------------------------------------------------------------------------


class PluginError(VoicecloneError):
    """A plugin cannot be used; discovery records it and goes on."""

    reason = "PLUGIN_BROKEN"
    status = "FAILED_PRECONDITION"


class ModelFilesInvalid(VoicecloneError):
    """Weights or configuration are missing, damaged or not what the backend reads."""

    reason = "MODEL_FILES_INVALID"
    status = "FAILED_PRECONDITION"


class InvalidManifest(VoicecloneError, ValueError):
    """A training manifest has a line that cannot be used; the message names file, line and field."""

    reason = "MANIFEST_INVALID"
    status = "INVALID_ARGUMENT"


class StoreError(VoicecloneError):
    """The voice store cannot be read or written."""

    reason = "STORE_FAILED"
    status = "UNAVAILABLE"


def describe(error: BaseException) -> str:
    """One line about ``error`` that may be shown to anybody: file paths are cut down to the file's name."""
    if isinstance(error, VoicecloneError):
        return str(error)
    text = " ".join(str(error).split())
    text = re.sub(r"(?:[A-Za-z]:)?(?:[\\/][^\s\\/:'\"()]+)+[\\/]([^\s\\/:'\"()]+)", r"\1", text)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """True for MemoryError and for what torch raises when a device is full; torch is not imported to know it."""
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in ("out of memory", "allocate memory"))
