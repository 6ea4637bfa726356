"""The contract against the code: reasons, RPCs, comments and shapes stay in step."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shutil
from pathlib import Path

import grpc
import pytest
from google.api import field_behavior_pb2
from google.longrunning import operations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from voiceclone import errors
from voiceclone._proto.v1 import (
    audio_pb2,
    errors_pb2,
    model_service_pb2,
    speech_service_pb2,
    voice_service_pb2,
)
from voiceclone.client import AsyncClient, Client
from voiceclone.testing.server import ServerFixture

ROOT = Path(__file__).parents[2]
FILES = (audio_pb2, errors_pb2, model_service_pb2, speech_service_pb2, voice_service_pb2)
METHODS: list[MethodDescriptor] = [
    method
    for file in (*FILES, operations_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def messages() -> list[Descriptor]:
    found = [message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()]
    return [
        *found,
        *(nested for message in found for nested in message.nested_types if not nested.GetOptions().map_entry),
    ]


def test_every_error_has_its_reason_in_the_contract() -> None:
    kinds = [
        kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.VoicecloneError)
    ]
    reasons = {f"ERROR_REASON_{kind.reason}" for kind in kinds}
    assert reasons == set(errors_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_has_a_server_test(method: MethodDescriptor) -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    client = "\n".join(path.read_text() for path in (ROOT / "voiceclone" / "client").glob("*.py"))
    direct = re.search(rf"\.{method.name}\b|\"{method.name}\"", tests)
    through_client = re.search(rf"def (\w+)\([^)]*\)[^\n]*:\n(?:(?!    def ).*\n)*?.*\.{method.name}\b", client)
    assert direct or (through_client and f".{through_client[1]}(" in tests)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_rpc_is_served(method: MethodDescriptor, server: ServerFixture) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    with grpc.insecure_channel(server.address) as channel:
        call = getattr(channel, kind)(path)
        request = iter([b""]) if method.client_streaming else b""
        outcome = call(request, timeout=30) if method.server_streaming else call.future(request, timeout=30)
        assert outcome.code() not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)


def test_numbers_have_presence() -> None:
    """Every number of SpeechOptions whose zero means something can be told from one that was left out."""
    for field in speech_service_pb2.SpeechOptions.DESCRIPTOR.fields:
        if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32):
            assert field.has_presence, field.name


def test_resources_have_names_and_lists_have_pages() -> None:
    for message in messages():
        fields = {field.name: field for field in message.fields}
        if message.name in ("Voice", "Sample", "Model"):
            behavior = fields["name"].GetOptions().Extensions[field_behavior_pb2.field_behavior]
            assert list(behavior) == [field_behavior_pb2.IDENTIFIER]
        if re.fullmatch(r"List\w+Request", message.name):
            assert {"page_size", "page_token"} <= set(fields)
        if re.fullmatch(r"List\w+Response", message.name):
            assert "next_page_token" in fields


def test_request_messages_say_which_fields_are_required() -> None:
    for message in messages():
        if not message.name.endswith("Request") or message.oneofs:
            continue
        for field in message.fields:
            if field.name in ("name", "input", "voice_id") or (message.name, field.name) == (
                "CreateVoiceRequest",
                "voice",
            ):
                behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
                assert field_behavior_pb2.REQUIRED in behavior, f"{message.name}.{field.name}"


def test_both_clients_offer_the_same() -> None:
    def public(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in methods if name[0] != "_"}

    assert public(Client) == public(AsyncClient)


def test_generation_is_idempotent_and_notices_changes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate_protos", ROOT / "scripts" / "generate_protos.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    made = tmp_path / "voiceclone" / "_proto" / "v1" / "audio_pb2.py"
    script.generate(tmp_path)
    first = made.stat().st_mtime_ns
    script.generate(tmp_path)
    assert made.stat().st_mtime_ns == first
    source = tmp_path / "protos" / "voiceclone" / "v1" / "audio.proto"
    source.write_text(source.read_text().replace("message TextSpan {", "message Mouth {}\n\nmessage TextSpan {"))
    script.generate(tmp_path)
    assert "_MOUTH" in made.read_text()
    stubs = (tmp_path / "voiceclone" / "_proto" / "v1" / "speech_service_pb2.pyi").read_text()
    assert "from voiceclone._proto.v1 import audio_pb2" in stubs
    source.write_text("nonsense")
    with pytest.raises(RuntimeError):
        script.generate(tmp_path)
    assert made.exists(), "what worked before is still there"
