"""What a backend is: a factory that loads a model, and a model that turns utterances into audio in bounded steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from voiceclone.types import BackendInfo, Capabilities, Chunk, Reference, Utterance

#: Version of the protocol below; a plugin with another major number is listed as failed, never loaded.
API: tuple[int, int] = (1, 0)


class NoOptions(BaseModel):
    """The options of a model that has none; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Step:
    """What one bounded step brought for one session."""

    chunks: tuple[Chunk, ...] = ()
    done: bool = False
    #: True on the last step when a limit cut the utterance short.
    truncated: bool = False
    #: Why the session ended early; the other sessions of the batch go on.
    error: Exception | None = None


@runtime_checkable
class Model(Protocol):
    """A loaded model. The engine calls every method but ``encode_voice`` from one worker thread.

    ``open`` checks the utterance and raises an :class:`voiceclone.errors.InvalidRequest` before any work; ``step`` does
    one bounded piece of work for a batch of sessions chosen by the engine and returns one :class:`Step` a session, in
    order; ``release`` frees a session, finished or not, and may be called at any point between steps. What a session
    yields must not depend on the others in its batch.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def options(self) -> type[BaseModel]:
        """Pydantic class of ``Utterance.options``; every field has a description."""
        ...

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        """Conditioning of a speaker as safetensors bytes, computed once at enrolment. Raises SampleRejected."""
        ...

    def open(self, utterance: Utterance) -> Any: ...

    def step(self, sessions: Sequence[Any]) -> Sequence[Step]: ...

    def release(self, session: Any) -> None: ...

    def warm_up(self) -> None:
        """Run what the first request would otherwise pay for."""
        ...

    def memory_bytes(self) -> int: ...

    def close(self) -> None:
        """Free everything; no other method is called afterwards."""
        ...


class GeneratorModel:
    """Base of simple models: write ``synthesize`` as a generator of chunks, get the stepped form from here.

    Each ``next()`` on the generator is one step; ``release`` closes it, so a ``finally`` in it runs on cancel.
    """

    capabilities: Capabilities
    options: ClassVar[type[BaseModel]] = NoOptions

    def synthesize(self, utterance: Utterance) -> Iterator[Chunk]:
        """Yield the utterance's audio in order. Check the utterance before the first yield."""
        raise NotImplementedError(f"{type(self).__name__} must define synthesize()")

    def encode_voice(self, references: Sequence[Reference]) -> bytes:
        raise NotImplementedError(f"{type(self).__name__} must define encode_voice()")

    def check(self, utterance: Utterance) -> None:
        """Raise InvalidRequest where the utterance cannot be spoken; called by ``open`` before any work."""

    def open(self, utterance: Utterance) -> Iterator[Chunk]:
        self.check(utterance)
        return self.synthesize(utterance)

    def step(self, sessions: Sequence[Iterator[Chunk]]) -> list[Step]:
        return [self._next(session) for session in sessions]

    @staticmethod
    def _next(session: Iterator[Chunk]) -> Step:
        try:
            chunk = next(session, None)
        except Exception as error:  # one caller's failure must not end the batch
            return Step(done=True, error=error)
        return Step(done=True) if chunk is None else Step((chunk,))

    def release(self, session: Iterator[Chunk]) -> None:
        close = getattr(session, "close", None)
        if close is not None:
            close()

    def warm_up(self) -> None:
        """Nothing to warm up."""

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to free."""


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """A backend found, or the reason why a plugin brought none; ``info`` is None where nothing could be read."""

    info: BackendInfo | None
    plugin: str
    error: str | None = None


def judge(info: Any, plugin: str, owners: dict[str, str]) -> BackendStatus:
    """Say whether ``info`` can be used beside the backends in ``owners`` (backend name -> plugin), then enter it."""
    if not isinstance(info, BackendInfo):
        return BackendStatus(None, plugin, f"voiceclone_backends gave a {type(info).__name__}, not a BackendInfo.")
    if info.api[0] != API[0]:
        wants = f"written for backend API {info.api[0]}.{info.api[1]}, this voiceclone has {API[0]}.{API[1]}."
        return BackendStatus(info, plugin, wants)
    if ":" not in info.factory:
        return BackendStatus(info, plugin, f"factory {info.factory!r} is not of the form 'package.module:callable'.")
    if info.name in owners:
        taken = f"backend name {info.name!r} is taken by plugin {owners[info.name]!r}, which keeps it."
        return BackendStatus(info, plugin, taken)
    owners[info.name] = plugin
    return BackendStatus(info, plugin)
