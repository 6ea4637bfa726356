"""The two digests in every header: what a cache keeps a line under, and what promises equal samples."""

from __future__ import annotations

import hashlib
import json
import platform
from typing import Any

from voiceclone import __version__
from voiceclone.server.prepare import Prepared

#: Part of both keys; raised when gain, resampling, encoding or visemes change what leaves for the same request.
PIPELINE_VERSION = 1


def content_key(prepared: Prepared) -> str:
    """Digest of what was asked for, with defaults filled in; a drawn seed is not part of it."""
    return _digest(_content(prepared))


def reproduction_key(prepared: Prepared) -> str:
    """Digest of all that decides the samples, the seed in use and the class of device among it."""
    return _digest(
        {
            **_content(prepared),
            "seed": prepared.utterance.seed,
            "server": __version__,
            "device": [prepared.loaded.device.partition(":")[0], platform.machine()],
        }
    )


def _content(prepared: Prepared) -> dict[str, Any]:
    request, utterance = prepared.request, prepared.utterance
    return {
        "pipeline": PIPELINE_VERSION,
        "model": prepared.loaded.key,
        "voice": prepared.voice_digest,
        "text": utterance.text,
        "alphabet": utterance.alphabet,
        "language": utterance.language,
        "around": [utterance.preceding_text, utterance.following_text],
        "pronunciations": [[item.phrase, item.alphabet, item.value] for item in utterance.pronunciations],
        "prosody": [request.speaking_rate, request.pitch_semitones, request.temperature, request.style],
        "gain": request.gain_db,
        "seed": request.seed,
        "options": utterance.options.model_dump(mode="json"),
        "format": [request.encoding.value, prepared.sample_rate],
        "timings": request.timings,
        "viseme_set": request.viseme_set,
    }


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
