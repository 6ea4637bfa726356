"""The Python client: ``Client`` blocks, ``AsyncClient`` is awaited; both speak to a running server over gRPC."""

from voiceclone.client.aio import AsyncClient
from voiceclone.client.failures import ServerUnreachable
from voiceclone.client.options import SpeechOptions
from voiceclone.client.records import Consent, Model, Sample, Voice
from voiceclone.client.speech import Audio, Event, Header, SegmentStart, Speech, Summary
from voiceclone.client.sync import Client

__all__ = [
    "AsyncClient",
    "Audio",
    "Client",
    "Consent",
    "Event",
    "Header",
    "Model",
    "Sample",
    "SegmentStart",
    "ServerUnreachable",
    "Speech",
    "SpeechOptions",
    "Summary",
    "Voice",
]
