"""What both clients need of gRPC: channel options and the stubs of the services."""

from __future__ import annotations

from typing import Any

from google.longrunning import operations_pb2_grpc
from grpc_health.v1 import health_pb2_grpc

from voiceclone._proto.v1 import model_service_pb2_grpc, speech_service_pb2_grpc, voice_service_pb2_grpc

DEFAULT_ADDRESS = "127.0.0.1:50051"
#: Seconds that a call about voices or models may take.
DEFAULT_TIMEOUT = 60.0
#: Seconds of one wait for an operation; a longer wait is made of several.
WAIT_SLICE = 20.0
#: Whole audio comes in one message: ten minutes of float samples at 24 kHz fit.
OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20))


class Stubs:
    """The services of one channel, blocking or not."""

    def __init__(self, channel: Any) -> None:
        self.speech = speech_service_pb2_grpc.SpeechServiceStub(channel)  # type: ignore[no-untyped-call]
        self.voices = voice_service_pb2_grpc.VoiceServiceStub(channel)  # type: ignore[no-untyped-call]
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)  # type: ignore[no-untyped-call]
        self.operations = operations_pb2_grpc.OperationsStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
