"""Voices: recordings, the consent they stand on, and the conditioning computed from them."""

from voiceclone.voices.records import Consent, ConsentMethod, Sample, SampleQuality, Voice, VoiceState
from voiceclone.voices.store import VoiceStore, default_directory

__all__ = [
    "Consent",
    "ConsentMethod",
    "Sample",
    "SampleQuality",
    "Voice",
    "VoiceState",
    "VoiceStore",
    "default_directory",
]
