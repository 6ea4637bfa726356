"""The two digests in every header: what a cache keeps a line under, and what promises equal samples."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voiceclone import __version__

if TYPE_CHECKING:
    from voiceclone.registry import LoadedModel
    from voiceclone.server.request import SpeechRequest

#: Part of both keys; raised when gain, resampling, encoding or visemes change what leaves for the same request.
PIPELINE_VERSION = 1


_MACHINE = platform.machine()


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes the keys of lines that differ in text and seed alone."""

    #: Digest of all that is asked for but text and seed.
    asked: bytes
    #: Digest of that and of what else decides the samples.
    made: bytes

    def content(self, text: str, seed: int | None) -> str:
        """Over what was asked for, with defaults filled in; ``seed`` is None where it was left to the server."""
        return _digest(self.asked, f"{seed} {text}").hexdigest()

    def reproduction(self, text: str, seed: int) -> str:
        """Over all that decides the samples: sending the seed that was drawn gives the key of the first time again."""
        return _digest(self.made, f"{seed} {text}").hexdigest()


def keys_of(
    request: SpeechRequest, utterance: Mapping[str, Any], loaded: LoadedModel, voice_digest: str, sample_rate: int
) -> Keys:
    """The keys of every line like this one; ``utterance`` holds Utterance's arguments but for text and seed."""
    base = json.dumps(
        [
            PIPELINE_VERSION,
            loaded.key,
            voice_digest,
            [utterance["alphabet"], utterance["language"]],
            [utterance["preceding_text"], utterance["following_text"]],
            [[item.phrase, item.alphabet, item.value] for item in utterance["pronunciations"]],
            [request.speaking_rate, request.pitch_semitones, request.temperature, request.style, request.gain_db],
            utterance["options"].model_dump(mode="json"),
            [request.encoding.value, sample_rate, request.timings, request.viseme_set],
        ]
    )
    device = loaded.device.partition(":")[0]
    return Keys(
        _digest(b"", base).digest(),
        _digest(b"", f"{base} {__version__} {device} {_MACHINE}").digest(),
    )


def _digest(prefix: bytes, text: str) -> hashlib.blake2b:
    # Not SHA-256: OpenSSL takes ten times as long to begin one.
    return hashlib.blake2b(prefix + text.encode(), digest_size=32)
