"""What an operator can set on the server, with safe defaults."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Limits hold for one call unless they say otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=50051, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    insecure: bool = Field(default=False, description="Allow an address that other machines can reach, without TLS.")
    reflection: bool = Field(default=True, description="Let tools such as grpcurl read the contract from the server.")

    load: tuple[str, ...] = Field(default=(), description="Models to load before the server calls itself healthy.")
    load_wait: Seconds = Field(default=30.0, description="How long a request waits for a model that is loading.")

    unary_deadline: Seconds = Field(default=60.0, description="Longest a call with one answer may take.")
    stream_deadline: Seconds = Field(default=300.0, description="Longest a stream may take.")
    drain_grace: Seconds = Field(default=30.0, description="How long running calls may go on after SIGTERM.")

    max_text_chars: int = Field(default=5000, ge=1, description="Unicode code points of a streamed text.")
    max_unary_text_chars: int = Field(default=2000, ge=1, description="Code points of a text whose audio comes whole.")
    max_message_bytes: int = Field(default=4 << 20, ge=1 << 16, description="Size of one message from a client.")
    max_sample_bytes: int = Field(default=32 << 20, ge=1 << 10, description="Size of one uploaded recording.")
    max_sample_message_bytes: int = Field(default=1 << 20, ge=1 << 10, description="Size of one piece of an upload.")
    min_chunk: float = Field(
        default=0.08, ge=0, le=2, description="Seconds of audio in a chunk, unless the request says."
    )

    voice_cache: int = Field(default=1024, ge=1, description="Voices and conditionings kept in memory.")
    voice_cache_seconds: Seconds = Field(default=1.0, description="After this long a cached voice is read again.")
    max_operations: int = Field(default=1000, ge=1, description="Finished operations that can still be looked up.")

    @model_validator(mode="after")
    def _refuse_public_bind(self) -> Settings:
        if not self.insecure and not _is_local(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines and this server speaks without TLS or credentials. "
                "Listen on 127.0.0.1 behind a proxy that has both, or pass --insecure."
            )
        return self

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
