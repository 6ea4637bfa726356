"""The two digests in every header: what a cache keeps a line under, and what promises equal samples."""

from __future__ import annotations

import hashlib
import json
import platform

from voiceclone import __version__
from voiceclone.server.prepare import Prepared

#: Part of both keys; raised when gain, resampling, encoding or visemes change what leaves for the same request.
PIPELINE_VERSION = 1


_MACHINE = platform.machine()


def keys_of(prepared: Prepared) -> tuple[str, str]:
    """(content key, reproduction key).

    The first is over what was asked for, with defaults filled in; a drawn seed is not part of it. The second is over
    all that decides the samples, so that sending the drawn seed gives the key of the first time again.
    """
    request, utterance, loaded = prepared.request, prepared.utterance, prepared.loaded
    base = json.dumps(
        [
            PIPELINE_VERSION,
            loaded.key,
            prepared.voice_digest,
            [utterance.text, utterance.alphabet, utterance.language],
            [utterance.preceding_text, utterance.following_text],
            [[item.phrase, item.alphabet, item.value] for item in utterance.pronunciations],
            [request.speaking_rate, request.pitch_semitones, request.temperature, request.style, request.gain_db],
            utterance.options.model_dump(mode="json"),
            [request.encoding.value, prepared.sample_rate, request.timings, request.viseme_set],
        ]
    )
    device = loaded.device.partition(":")[0]
    return (
        hashlib.sha256(f"{base} {request.seed}".encode()).hexdigest(),
        hashlib.sha256(f"{base} {utterance.seed} {__version__} {device} {_MACHINE}".encode()).hexdigest(),
    )
