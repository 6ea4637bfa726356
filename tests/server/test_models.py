"""ModelService and its operations."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path

import awkward
import grpc
import pytest
from google.longrunning import operations_pb2

from voiceclone._proto.v1 import model_service_pb2 as model
from voiceclone.client import Audio, Client
from voiceclone.client.channel import Stubs
from voiceclone.errors import ModelFilesInvalid, ModelNotFound, VoicecloneError
from voiceclone.testing.server import running_server
from voiceclone.types import TimingKind

from .conftest import CONSENT, plugins, recording


def test_models_are_listed_with_what_they_can_do(client: Client, stubs: Stubs) -> None:
    found = {item.name: item for item in client.models()}
    assert set(found) == {f"models/{name}" for name in ("tone", "endless", "crash", "fixed", "broken", "broken-too")}
    tone = found["models/tone"]
    assert (tone.state, tone.backend, tone.device) == ("ready", "tone", "cpu")
    assert tone.capabilities is not None
    assert TimingKind.VISEME in tone.capabilities.timings
    assert set(tone.option_schema["properties"]) == {"frequency", "gap"}
    assert all(field["description"] for field in tone.option_schema["properties"].values())
    assert client.model("tone") == tone
    first = stubs.models.ListModels(model.ListModelsRequest(page_size=4))
    rest = stubs.models.ListModels(model.ListModelsRequest(page_size=4, page_token=first.next_page_token))
    assert [item.name for item in (*first.models, *rest.models)] == sorted(found)
    assert not rest.next_page_token


def test_loading_and_unloading(tmp_path: Path) -> None:
    with running_server(tmp_path, plugins=plugins()) as server, Client(server.address) as client:
        client.clone("ann", recording(150), consent=CONSENT, model="tone")
        before = client.say("Hello.", "ann", seed=1)
        assert client.load_model("tone").state == "ready"
        assert client.unload_model("tone").state == "unloaded"
        assert client.model("tone").capabilities is None
        assert client.say("Hello.", "ann", seed=1).data == before.data, "a request loads what it needs"
        assert client.model("tone").state == "ready"


def test_unloading_lets_speech_finish_unless_forced(tmp_path: Path) -> None:
    with running_server(tmp_path, load=("endless",), plugins=plugins()) as server, Client(server.address) as client:
        client.clone("ann", recording(150), consent=CONSENT, model="endless")
        events = client.stream("For ever.", "ann", max_lead=600)
        next(event for event in events if isinstance(event, Audio))
        patient = threading.Thread(target=client.unload_model, args=("endless",))
        patient.start()

        def speak_until_refused() -> None:
            while True:
                list(islice(client.stream("Me too.", "ann"), 3))

        with pytest.raises(VoicecloneError) as refused:
            speak_until_refused()
        assert refused.value.reason == "MODEL_NOT_LOADED"
        assert patient.is_alive()
        assert awkward.EndlessModel.open_sessions == 1
        assert client.unload_model("endless", force=True).state == "unloaded"
        patient.join(60)
        assert not patient.is_alive()
        with pytest.raises(VoicecloneError):
            list(events)


def test_failures_of_a_load_are_told(client: Client) -> None:
    with pytest.raises(ModelFilesInvalid) as failed:
        client.load_model("broken")
    assert "secret" not in str(failed.value)
    status = client.model("broken")
    assert status.state == "failed"
    assert status.error
    assert "secret/" not in status.error
    with pytest.raises(ModelNotFound):
        client.load_model("none")


def test_operations_can_be_followed(stubs: Stubs) -> None:
    started = stubs.models.LoadModel(model.LoadModelRequest(name="models/tone"))
    operations = stubs.operations
    done = operations.WaitOperation(operations_pb2.WaitOperationRequest(name=started.name))
    assert done.done
    metadata = model.ModelOperationMetadata()
    assert done.metadata.Unpack(metadata)
    assert metadata.model == "models/tone"
    assert metadata.end_time.ToNanoseconds() >= metadata.create_time.ToNanoseconds() > 0
    answer = model.Model()
    assert done.response.Unpack(answer)
    assert answer.state == model.Model.STATE_READY
    assert operations.GetOperation(operations_pb2.GetOperationRequest(name=started.name)) == done
    listed = operations.ListOperations(operations_pb2.ListOperationsRequest(name="operations"))
    assert done in listed.operations
    operations.CancelOperation(operations_pb2.CancelOperationRequest(name=started.name))
    assert operations.GetOperation(operations_pb2.GetOperationRequest(name=started.name)) == done, "done stays done"
    operations.DeleteOperation(operations_pb2.DeleteOperationRequest(name=started.name))
    with pytest.raises(grpc.RpcError):
        operations.GetOperation(operations_pb2.GetOperationRequest(name=started.name))


def test_cancelling_an_unload_keeps_the_model(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, load=("endless",), plugins=plugins()) as server,
        Client(server.address) as client,
        grpc.insecure_channel(server.address) as channel,
    ):
        client.clone("ann", recording(150), consent=CONSENT, model="endless")
        events = client.stream("For ever.", "ann", max_lead=600)
        next(event for event in events if isinstance(event, Audio))
        stubs = Stubs(channel)
        started = stubs.models.UnloadModel(model.UnloadModelRequest(name="models/endless"))
        stubs.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=started.name))
        ended = stubs.operations.WaitOperation(operations_pb2.WaitOperationRequest(name=started.name))
        assert ended.error.code == grpc.StatusCode.CANCELLED.value[0]
        assert client.model("endless").state == "ready"
        again = client.stream("Still here.", "ann")
        next(event for event in again if isinstance(event, Audio))
        again.close()  # type: ignore[attr-defined]
        events.close()  # type: ignore[attr-defined]
