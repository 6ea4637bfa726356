"""Long-running operations: work that outlives the call that started it, followed by name."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status

from voiceclone._proto.v1 import model_service_pb2
from voiceclone.errors import InvalidRequest, OperationNotFound, PreconditionFailed, QueueFull
from voiceclone.server.interceptor import CALL, Context
from voiceclone.server.pages import page
from voiceclone.server.settings import Settings
from voiceclone.server.status import to_status

_CANCELLED = 1
#: Operations that may run at once.
_MAX_RUNNING = 64


@dataclass(slots=True)
class _Operation:
    message: operations_pb2.Operation
    metadata: model_service_pb2.ModelOperationMetadata
    task: asyncio.Task[None] | None = None


class Operations(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
    """Runs operations and serves ``google.longrunning.Operations``; the oldest finished ones are forgotten."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.max_operations
        self._operations: OrderedDict[str, _Operation] = OrderedDict()

    def start(self, model: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> operations_pb2.Operation:
        """Run ``work`` about ``model`` in the background; what it returns becomes the response. Raises QueueFull."""
        running = sum(not operation.message.done for operation in self._operations.values())
        if running >= _MAX_RUNNING:
            raise QueueFull(f"{running} operations are running already.", retry_after=5.0)
        name = f"operations/{secrets.token_hex(8)}"
        metadata = model_service_pb2.ModelOperationMetadata(model=f"models/{model}")
        metadata.create_time.GetCurrentTime()
        operation = _Operation(operations_pb2.Operation(name=name), metadata)
        operation.message.metadata.Pack(metadata)
        self._operations[name] = operation
        self._forget_old()
        operation.task = asyncio.create_task(self._run(operation, work, CALL.get().request_id))
        return operation.message

    async def _run(self, operation: _Operation, work: Callable[[], Coroutine[Any, Any, Any]], request_id: str) -> None:
        message = operation.message
        try:
            message.response.Pack(await work())
        except asyncio.CancelledError:
            message.error.CopyFrom(Status(code=_CANCELLED, message="The operation was cancelled."))
        except Exception as error:
            message.error.CopyFrom(to_status(error, request_id))
        operation.metadata.end_time.GetCurrentTime()
        message.metadata.Pack(operation.metadata)
        message.done = True

    def _forget_old(self) -> None:
        excess = len(self._operations) - self._limit
        done = [name for name, operation in self._operations.items() if operation.message.done]
        for name in done[: max(excess, 0)]:
            del self._operations[name]

    def _find(self, name: str) -> _Operation:
        operation = self._operations.get(name)
        if operation is None:
            raise OperationNotFound(name[:80], hint="It may be of an earlier run of the server, or long finished.")
        return operation

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        return self._find(request.name).message

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        if request.filter:
            raise InvalidRequest("operations cannot be filtered.", field="filter")
        names, token = page(list(self._operations), request.page_size, request.page_token)
        found = [self._operations[name].message for name in names]
        return operations_pb2.ListOperationsResponse(operations=found, next_page_token=token)

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """Answer when the operation is done, or with its state when ``timeout`` is over."""
        operation = self._find(request.name)
        # A little less than the call may last, so that an answer and not an error comes back.
        timeout = CALL.get().remaining * 0.9
        if request.HasField("timeout"):
            timeout = min(timeout, request.timeout.ToNanoseconds() * 1e-9)
        if operation.task is not None:
            await asyncio.wait([operation.task], timeout=max(timeout, 0.0))
        return operation.message

    async def CancelOperation(self, request: operations_pb2.CancelOperationRequest, context: Context) -> Empty:
        """Ask the operation to end; a finished one stays as it is."""
        operation = self._find(request.name)
        if operation.task is not None:
            operation.task.cancel()
        return Empty()

    async def DeleteOperation(self, request: operations_pb2.DeleteOperationRequest, context: Context) -> Empty:
        """Forget a finished operation."""
        if not self._find(request.name).message.done:
            raise PreconditionFailed("the operation is still running.", subject=request.name, hint="Cancel it first.")
        del self._operations[request.name]
        return Empty()

    async def stop(self) -> None:
        """Cancel what runs."""
        tasks = [operation.task for operation in self._operations.values() if operation.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
