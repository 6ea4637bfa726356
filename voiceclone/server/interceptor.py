"""Stands around every call: its id, its deadline, its errors as statuses, one access log line, and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

import grpc
from grpc.aio import ServicerContext

from voiceclone.errors import DeadlineExceeded, Draining, VoicecloneError
from voiceclone.server.settings import Settings
from voiceclone.server.status import abort, to_status

access = logging.getLogger("voiceclone.access")
log = logging.getLogger("voiceclone.server")

#: What gRPC gives a handler to answer with.
Context: TypeAlias = ServicerContext
#: Calls of these services are left alone: they do no work, may last for ever, and are answered while draining.
_FREE = ("/grpc.health.", "/grpc.reflection.")
#: Ids of calls that bring none: the process's own part, and a number.
_PROCESS, _numbers = secrets.token_hex(4), itertools.count(1)
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of the call that the current task serves; times are seconds of ``time.monotonic``."""

    request_id: str
    started: float
    deadline: float

    @property
    def remaining(self) -> float:
        return self.deadline - time.monotonic()


CALL: ContextVar[Call] = ContextVar("voiceclone_call")


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps each method once; ``draining`` refuses new calls, ``idle`` is set while none runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = False
        self.idle = asyncio.Event()
        self.idle.set()
        self.running = 0
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith(_FREE):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        one = handler.unary_unary or handler.stream_unary
        if one is not None:
            limit = self.settings.unary_deadline

            async def answer(request: Any, context: Context) -> Any:
                async with _Guard(self, method, context, limit):
                    return await one(request, context)

            make = grpc.unary_unary_rpc_method_handler if handler.unary_unary else grpc.stream_unary_rpc_method_handler
            return make(answer, **codecs)
        many = handler.unary_stream

        async def stream(request: Any, context: Context) -> None:
            # Written as a coroutine: gRPC leaves a generator that is cancelled inside a write to the garbage
            # collector, and its ``finally`` would run late. Here the cancellation arrives in this task.
            async with (
                _Guard(self, method, context, self.settings.stream_deadline),
                contextlib.aclosing(many(request, context)) as messages,
            ):
                async for message in messages:
                    await context.write(message)

        return grpc.unary_stream_rpc_method_handler(stream, **codecs)


class _Guard:
    """The frame of one call."""

    def __init__(self, owner: CallInterceptor, method: str, context: Context, limit: float) -> None:
        self.owner = owner
        self.method = method
        self.context = context
        now = time.monotonic()
        remaining = context.time_remaining()
        #: gRPC itself ends a call at the client's deadline; the timer below is for the server's.
        self.own_limit = remaining is None or remaining > limit
        self.call = Call(_request_id(context), now, now + (limit if self.own_limit else remaining))
        self.timer: asyncio.TimerHandle | None = None
        self.expired = False

    async def __aenter__(self) -> None:
        owner = self.owner
        CALL.set(self.call)
        if owner.draining:
            await self._fail(Draining("The server is shutting down.", retry_after=2.0))
        owner.running += 1
        owner.idle.clear()
        if self.own_limit:
            task = asyncio.current_task()
            assert task is not None
            self.timer = asyncio.get_running_loop().call_later(self.call.remaining, self._expire, task)

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self.expired = True
        task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.owner.running -= 1
        if not self.owner.running:
            self.owner.idle.set()
        if error is None:
            self._log("OK")
        elif self.expired and isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and sys.version_info >= (3, 11):
                task.uncancel()
            await self._fail(DeadlineExceeded("The server's time limit for a call is over.", hint="Send less text."))
        elif isinstance(error, asyncio.CancelledError | GeneratorExit) or self.context.cancelled():
            # Includes what a write raises after the caller has gone.
            self._log("CANCELLED")
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        if not isinstance(error, VoicecloneError):
            log.error("request %s: %s failed", self.call.request_id, self.method, exc_info=error)
        elif error.reason == "INTERNAL" or error.__cause__ is not None:
            log.warning("request %s: %s: %s", self.call.request_id, self.method, error, exc_info=error.__cause__)
        status = to_status(error, self.call.request_id)
        self._log(error.status if isinstance(error, VoicecloneError) else "INTERNAL")
        await abort(self.context, status)

    def _log(self, code: str) -> None:
        if access.isEnabledFor(logging.INFO):
            took = (time.monotonic() - self.call.started) * 1e3
            peer = self.context.peer()
            access.info("%s %s %.1f ms id=%s peer=%s", self.method, code, took, self.call.request_id, peer)


def _request_id(context: Context) -> str:
    """The caller's ``x-request-id`` where it sent a plausible one, else a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == "x-request-id" and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return f"{_PROCESS}{next(_numbers):08x}"
