"""ModelService: which models there are, and loading and unloading them."""

from __future__ import annotations

import asyncio

from google.longrunning import operations_pb2

from voiceclone._proto.v1 import model_service_pb2, model_service_pb2_grpc
from voiceclone.server.catalogue import Catalogue
from voiceclone.server.interceptor import Context
from voiceclone.server.operations import Operations
from voiceclone.server.pages import page
from voiceclone.server.request import Violations
from voiceclone.server.translate import model_message


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Serves the registry; loads and unloads are operations."""

    def __init__(self, catalogue: Catalogue, operations: Operations) -> None:
        self.catalogue = catalogue
        self.registry = catalogue.registry
        self.operations = operations

    async def GetModel(self, request: model_service_pb2.GetModelRequest, context: Context) -> model_service_pb2.Model:
        return await self._message(_model_id(request.name))

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: Context
    ) -> model_service_pb2.ListModelsResponse:
        statuses = {status.info.name: status for status in await asyncio.to_thread(self.registry.models)}
        names, token = page(statuses, request.page_size, request.page_token)
        models = [model_message(statuses[name]) for name in names]
        return model_service_pb2.ListModelsResponse(models=models, next_page_token=token)

    async def LoadModel(
        self, request: model_service_pb2.LoadModelRequest, context: Context
    ) -> operations_pb2.Operation:
        name = _model_id(request.name)
        self.registry.status(name)

        async def load() -> model_service_pb2.Model:
            # A load that has begun cannot be stopped half-way; a cancelled operation leaves it to finish.
            await asyncio.shield(self.catalogue.load(name, request.device))
            return await self._message(name)

        return self.operations.start(name, load)

    async def UnloadModel(
        self, request: model_service_pb2.UnloadModelRequest, context: Context
    ) -> operations_pb2.Operation:
        name = _model_id(request.name)
        self.registry.status(name)
        grace = 0.0 if request.force else self.catalogue.settings.stream_deadline

        async def unload() -> model_service_pb2.Model:
            await self.catalogue.unload(name, grace)
            return await self._message(name)

        return self.operations.start(name, unload)

    async def _message(self, name: str) -> model_service_pb2.Model:
        return model_message(await asyncio.to_thread(self.registry.status, name))


def _model_id(name: str) -> str:
    wrong = Violations()
    found = wrong.resource("name", name, "models")
    wrong.raise_any()
    return found
