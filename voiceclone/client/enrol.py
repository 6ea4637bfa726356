"""Recordings to upload messages, and a voice's fields to the requests that make and change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voiceclone._proto.v1 import audio_pb2, voice_service_pb2
from voiceclone.client.records import Consent, consent_message, resource_name
from voiceclone.errors import ConsentRequired, InvalidRequest, SampleUndecodable

#: A file, the bytes of one, or samples ``[T]`` or ``[T, C]`` (float -1..1 or int16) with their rate in Hz.
Recording: TypeAlias = str | Path | bytes | tuple[NDArray[Any], int]

_PIECE = 1 << 18


def upload(
    recording: Recording, transcript: str = "", language: str = ""
) -> list[voice_service_pb2.UploadSampleRequest]:
    """The messages that bring one recording. Raises SampleUndecodable where a file cannot be read."""
    config = voice_service_pb2.UploadSampleRequest.Config(transcript=transcript, language_code=language)
    if isinstance(recording, tuple):
        samples, rate = recording
        data, config_format = _raw(samples, rate)
        config.audio_format.CopyFrom(config_format)
    else:
        data = recording if isinstance(recording, bytes) else _read(Path(recording))
    config.size_bytes = len(data)
    return list(_messages(config, data))


def _messages(
    config: voice_service_pb2.UploadSampleRequest.Config, data: bytes
) -> Iterator[voice_service_pb2.UploadSampleRequest]:
    yield voice_service_pb2.UploadSampleRequest(config=config)
    for start in range(0, len(data), _PIECE):
        yield voice_service_pb2.UploadSampleRequest(data=data[start : start + _PIECE])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SampleUndecodable(f"{path} cannot be read: {error.strerror}.", field="recordings") from None


def _raw(samples: NDArray[Any], rate: int) -> tuple[bytes, audio_pb2.AudioFormat]:
    if samples.ndim not in (1, 2):
        raise InvalidRequest(f"samples are [T] or [T, C], not of {samples.ndim} dimensions.", field="recordings")
    whole = samples.dtype == np.int16
    encoding = audio_pb2.AUDIO_ENCODING_PCM_S16LE if whole else audio_pb2.AUDIO_ENCODING_PCM_F32LE
    layout = audio_pb2.AudioFormat(
        encoding=encoding, sample_rate_hertz=rate, channel_count=1 if samples.ndim == 1 else samples.shape[1]
    )
    return np.ascontiguousarray(samples, "<i2" if whole else "<f4").tobytes(), layout


def as_recordings(recordings: Recording | Sequence[Recording]) -> list[Recording]:
    """One recording or several, as a list. Raises InvalidRequest for none."""
    if isinstance(recordings, str | Path | bytes) or _is_samples(recordings):
        return [recordings]  # type: ignore[list-item]
    if not recordings:
        raise InvalidRequest("a voice needs at least one recording.", field="recordings")
    return list(recordings)  # type: ignore[arg-type]


def _is_samples(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], np.ndarray)


def create_request(
    voice_id: str, samples: list[str], consent: Consent | None, speaker: str, fields: Mapping[str, Any]
) -> voice_service_pb2.CreateVoiceRequest:
    """``speaker`` alone means that whoever calls vouches for the consent. Raises ConsentRequired without either."""
    if consent is None and not speaker:
        raise ConsentRequired(
            "A voice is cloned only with its speaker's consent on record.",
            subject="voice.consent",
            hint="Pass speaker='their name' if you vouch for it, or a Consent.",
        )
    voice = voice_service_pb2.Voice(
        samples=samples,
        consent=consent_message(consent or Consent(speaker)),
        model=resource_name("models", fields["model"]) if fields["model"] else "",
        display_name=fields["display_name"],
        language_codes=fields["languages"],
        labels=dict(fields["labels"]),
    )
    request_id = fields["request_id"]
    return voice_service_pb2.CreateVoiceRequest(voice=voice, voice_id=voice_id, request_id=request_id)


def update_request(name: str, etag: str, changes: Mapping[str, Any]) -> voice_service_pb2.UpdateVoiceRequest:
    """The request that changes exactly ``changes``. Raises InvalidRequest for a field that cannot be changed."""
    request = voice_service_pb2.UpdateVoiceRequest()
    voice = request.voice
    voice.name, voice.etag = resource_name("voices", name), etag
    for field, value in changes.items():
        if field == "display_name":
            voice.display_name = value
        elif field == "languages":
            voice.language_codes.extend(value)
        elif field == "labels":
            voice.labels.update(value)
        elif field == "consent":
            voice.consent.CopyFrom(consent_message(value))
        else:
            known = "display_name, languages, labels, consent"
            raise InvalidRequest(f"{field!r} of a voice cannot be changed; {known} can.", field=field)
        request.update_mask.paths.append("language_codes" if field == "languages" else field)
    return request
