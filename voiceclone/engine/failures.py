"""What a caller is told when a backend fails: every exception of a step becomes a typed error."""

from __future__ import annotations

from voiceclone.errors import BackendCrashed, DeviceOutOfMemory, StreamAborted, VoicecloneError, is_out_of_memory


def typed(error: BaseException, *, audio_left: bool) -> VoicecloneError:
    """``error`` as the caller may see it; ``audio_left``: audio of this utterance was given out already."""
    if isinstance(error, VoicecloneError):
        return error
    if is_out_of_memory(error):
        return DeviceOutOfMemory("the device has no memory left for this request.", hint="Try again in a moment.")
    if audio_left:
        return StreamAborted("the backend failed in the middle of the utterance.", hint="Start the line again.")
    return BackendCrashed("the backend failed on this request.", hint="Try again; the server's log has the cause.")


def copy_of(error: VoicecloneError) -> VoicecloneError:
    """A fresh exception like ``error``: raised to several callers, one object would gather all their tracebacks."""
    twin = type(error).__new__(type(error))
    twin.__dict__.update(error.__dict__)
    twin.args = error.args
    twin.__cause__ = error.__cause__
    return twin
