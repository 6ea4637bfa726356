"""A small `grpcurl`: knows the contract through server reflection alone, as the tool of that name does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def documents(text: str) -> Iterator[Any]:
    """The JSON values in ``text``, one after another."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


def main(arguments: list[str]) -> None:
    arguments.remove("-plaintext")
    data = ""
    if arguments[0] == "-d":
        data = sys.stdin.read() if arguments[1] == "@" else arguments[1]
        arguments = arguments[2:]
    with grpc.insecure_channel(arguments[0]) as channel:
        contract = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(contract)
        if arguments[1] == "list":
            print("\n".join(contract.get_services()))
        elif arguments[1] == "describe":
            for method in pool.FindServiceByName(arguments[2]).methods:
                print(f"rpc {method.name} ( {method.input_type.full_name} ) returns ( {method.output_type.full_name} )")
        else:
            service, name = arguments[1].split("/")
            for answer in call(channel, pool.FindServiceByName(service).methods_by_name[name], pool, data):
                print(json_format.MessageToJson(answer, descriptor_pool=pool))


def call(channel: grpc.Channel, method: Any, pool: DescriptorPool, data: str) -> Iterator[Any]:
    request, response = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    messages = [json_format.ParseDict(value, request(), descriptor_pool=pool) for value in documents(data)]
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    send = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    answer = send(iter(messages) if method.client_streaming else messages[0], timeout=60)
    yield from answer if method.server_streaming else [answer]


if __name__ == "__main__":
    main(sys.argv[1:])
