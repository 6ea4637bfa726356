"""The error table: code, reason and detail types of every mistake, and nothing on the wire that names the machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.longrunning.operations_pb2 import GetOperationRequest
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from voiceclone._proto.v1 import audio_pb2 as audio
from voiceclone._proto.v1 import errors_pb2
from voiceclone._proto.v1 import model_service_pb2 as model
from voiceclone._proto.v1 import speech_service_pb2 as speech
from voiceclone._proto.v1 import voice_service_pb2 as voice
from voiceclone.client.channel import Stubs
from voiceclone.client.options import duration
from voiceclone.errors import VoicecloneError
from voiceclone.server.status import to_status

LEAKS = re.compile(
    r"Traceback|File \"|/usr/|/tmp/|/home/|/opt/|\.py\b|site-packages|voiceclone\.(server|engine|voices)|0x[0-9a-f]{6}"
)
DETAILS = {kind.DESCRIPTOR.full_name: kind for kind in (
    details.ErrorInfo, details.BadRequest, details.ResourceInfo, details.PreconditionFailure, details.RetryInfo,
    details.Help, details.RequestInfo,
)}  # fmt: skip


def say(text: str = "Hello.", voice: str = "voices/ann", model: str = "", **options: Any) -> speech.SynthesizeRequest:
    source = speech.SynthesisInput(text=text, language_code="fr" if text[:3] in ("Bon", "mot") else "en")
    return speech.SynthesizeRequest(voice=voice, model=model, input=source, options=speech.SpeechOptions(**options))


def rate(hertz: int, encoding: str = "PCM_S16LE", **more: int) -> audio.AudioFormat:
    return audio.AudioFormat(encoding=f"AUDIO_ENCODING_{encoding}", sample_rate_hertz=hertz, **more)


def upload(data: bytes, *, size: int | None = None, config_first: bool = True) -> list[voice.UploadSampleRequest]:
    config = voice.UploadSampleRequest.Config(size_bytes=len(data) if size is None else size)
    messages = [voice.UploadSampleRequest(config=config), voice.UploadSampleRequest(data=data)]
    return messages if config_first else messages[::-1]


def new_voice(**fields: Any) -> voice.CreateVoiceRequest:
    consent = voice.Consent(speaker="Nobody", method="METHOD_SYNTHETIC_SPEAKER")
    made = voice.Voice(**{"samples": ["samples/none"], "consent": consent, "model": "models/tone", **fields})
    return voice.CreateVoiceRequest(voice=made, voice_id="new")


Send = Callable[[Stubs], Any]


def speak(request: speech.SynthesizeRequest) -> Send:
    return lambda stubs: stubs.speech.Synthesize(request)


def stream(request: speech.SynthesizeRequest) -> Send:
    twin = speech.StreamSynthesizeRequest(
        voice=request.voice, model=request.model, input=request.input, options=request.options
    )
    return lambda stubs: list(stubs.speech.StreamSynthesize(twin))


def send(messages: list[voice.UploadSampleRequest]) -> Send:
    return lambda stubs: stubs.voices.UploadSample(iter(messages))


def twice(act: Send) -> Send:
    def act_twice(stubs: Stubs) -> Any:
        with pytest.raises(grpc.RpcError):
            act(stubs)
        return act(stubs)

    return act_twice


INVALID = "INVALID_ARGUMENT", "BadRequest"
MISSING = "NOT_FOUND", "ResourceInfo"
PRECONDITION = "FAILED_PRECONDITION", "PreconditionFailure"
ROWS: dict[str, tuple[Send, tuple[str, str], str]] = {
    "empty text": (speak(say("  ")), INVALID, "TEXT_EMPTY"),
    "text without words": (speak(say("?!")), INVALID, "TEXT_EMPTY"),
    "no source": (speak(speech.SynthesizeRequest(voice="voices/ann")), INVALID, "FIELD_INVALID"),
    "text too long whole": (speak(say("word " * 500)), INVALID, "TEXT_TOO_LONG"),
    "text too long streamed": (stream(say("word " * 1500)), INVALID, "TEXT_TOO_LONG"),
    "text too long for the model": (speak(say("mot " * 50, model="models/crash")), INVALID, "TEXT_TOO_LONG"),
    "bad voice name": (speak(say(voice="../etc/passwd")), INVALID, "FIELD_INVALID"),
    "bad model name": (speak(say(model="tone")), INVALID, "FIELD_INVALID"),
    "speed out of range": (stream(say(speaking_rate=9)), INVALID, "FIELD_INVALID"),
    "speed not a number": (speak(say(speaking_rate=float("nan"))), INVALID, "FIELD_INVALID"),
    "negative seed": (speak(say(seed=-1)), INVALID, "FIELD_INVALID"),
    "bad rate": (speak(say(audio_format=rate(7999))), INVALID, "FORMAT_UNSUPPORTED"),
    "stereo": (speak(say(audio_format=rate(16000, channel_count=2))), INVALID, "FORMAT_UNSUPPORTED"),
    "unknown encoding": (speak(say(audio_format=audio.AudioFormat(encoding=77))), INVALID, "FORMAT_UNSUPPORTED"),
    "streamed file": (stream(say(audio_format=rate(24000, "FLAC"))), INVALID, "FORMAT_UNSUPPORTED"),
    "rate that Opus lacks": (speak(say(audio_format=rate(44100, "OGG_OPUS"))), INVALID, "FORMAT_UNSUPPORTED"),
    "lead of a whole answer": (speak(say(max_lead=duration(3))), INVALID, "FIELD_INVALID"),
    "unknown timing": (speak(say(timings=[99])), INVALID, "FIELD_INVALID"),
    "unknown viseme set": (speak(say(viseme_set=99)), INVALID, "FIELD_INVALID"),
    "unknown option": (speak(say(backend_options={"speed": "1"})), INVALID, "OPTION_UNKNOWN"),
    "bad option": (speak(say(backend_options={"gap": "wide"})), INVALID, "OPTION_UNKNOWN"),
    "unsupported style": (speak(say(style="sad")), INVALID, "FIELD_INVALID"),
    "unsupported speed": (speak(say(model="models/endless", speaking_rate=2)), INVALID, "FIELD_INVALID"),
    "unknown voice": (speak(say(voice="voices/nobody")), MISSING, "VOICE_NOT_FOUND"),
    "unknown model": (stream(say(model="models/none")), MISSING, "MODEL_NOT_FOUND"),
    "unknown model again": (lambda stubs: stubs.models.GetModel(model.GetModelRequest(name="models/none")), MISSING,
                            "MODEL_NOT_FOUND"),
    "unknown sample": (lambda stubs: stubs.voices.CreateVoice(new_voice()), MISSING, "SAMPLE_NOT_FOUND"),
    "unknown language": (speak(say(model="models/crash", voice="voices/ann")), PRECONDITION, "LANGUAGE_UNSUPPORTED"),
    "timing it lacks": (speak(say(timings=["TIMING_KIND_SENTENCE"])), PRECONDITION, "TIMING_UNSUPPORTED"),
    "voice it cannot take": (speak(say(model="models/fixed")), PRECONDITION, "VOICE_INCOMPATIBLE"),
    "no consent": (lambda stubs: stubs.voices.CreateVoice(new_voice(consent=None)), PRECONDITION, "CONSENT_REQUIRED"),
    "model that fails to load": (speak(say(model="models/broken")), PRECONDITION, "MODEL_FILES_INVALID"),
    "model that failed to load": (twice(speak(say(model="models/broken-too"))), ("UNAVAILABLE", "RetryInfo"),
                                  "MODEL_NOT_LOADED"),
    "not audio": (send(upload(b"hello " * 100)), INVALID, "SAMPLE_UNDECODABLE"),
    "announced too large": (send(upload(b"x", size=1 << 30)), INVALID, "SAMPLE_TOO_LONG"),
    "announced nothing": (send(upload(b"x", size=0)), INVALID, "FIELD_INVALID"),
    "more than announced": (send(upload(b"x" * 10, size=9)), INVALID, "FIELD_INVALID"),
    "less than announced": (send(upload(b"x" * 10, size=11)), INVALID, "FIELD_INVALID"),
    "data before config": (send(upload(b"x" * 10, config_first=False)), INVALID, "FIELD_INVALID"),
    "config twice": (send(upload(b"x")[:1] * 2), INVALID, "FIELD_INVALID"),
    "nothing uploaded": (send([]), INVALID, "FIELD_INVALID"),
    "piece too large": (send(upload(b"x" * (3 << 19))), INVALID, "FIELD_INVALID"),
    "backend bug": (speak(say("Bonjour.", model="models/crash", backend_options={"after": "0"})),
                    ("UNAVAILABLE", "RetryInfo"), "BACKEND_CRASHED"),
    "backend bug after audio": (stream(say("Bonjour.", model="models/crash", backend_options={"after": "3"})),
                                ("ABORTED", ""), "BACKEND_CRASHED"),
    "no memory": (speak(say("Bonjour.", model="models/crash", backend_options={"kind": "memory"})),
                  ("RESOURCE_EXHAUSTED", "RetryInfo"), "DEVICE_OUT_OF_MEMORY"),
    "bad page token": (lambda stubs: stubs.models.ListModels(model.ListModelsRequest(page_token="\u20ac")), INVALID,
                       "FIELD_INVALID"),
    "negative page": (lambda stubs: stubs.voices.ListVoices(voice.ListVoicesRequest(page_size=-1)), INVALID,
                      "FIELD_INVALID"),
    "unknown operation": (lambda stubs: stubs.operations.GetOperation(GetOperationRequest(name="operations/0")),
                          MISSING, "OPERATION_NOT_FOUND"),
}  # fmt: skip


def failure(act: Send, stubs: Stubs) -> tuple[grpc.RpcError, Status, dict[str, Any]]:
    """The error of a call, its rich status, and the details by name."""
    with pytest.raises(grpc.RpcError) as caught:
        act(stubs)
    trailers = dict(caught.value.trailing_metadata() or ())
    status = Status.FromString(trailers["grpc-status-details-bin"])
    found = {}
    for packed in status.details:
        kind = DETAILS[packed.type_url.rpartition("/")[2]]
        packed.Unpack(message := kind())
        found[kind.__name__] = message
    return caught.value, status, found


@pytest.mark.parametrize("row", ROWS)
def test_error_table(stubs: Stubs, row: str) -> None:
    act, (code, detail), reason = ROWS[row]
    error, status, found = failure(act, stubs)
    assert error.code().name == code
    assert status.message == error.details()
    assert found["ErrorInfo"].reason == reason
    assert found["ErrorInfo"].domain == "voiceclone.dev"
    assert errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert found["RequestInfo"].request_id
    assert not detail or detail in found
    assert not LEAKS.search(str(status)), str(status)
    assert len(status.SerializeToString()) < 6000
    if detail == "BadRequest":
        violations = found["BadRequest"].field_violations
        assert violations
        assert all(violation.field and violation.description and violation.reason for violation in violations)
    if detail == "PreconditionFailure":
        assert found["PreconditionFailure"].violations[0].type == reason
        assert ("Help" in found) == reason.startswith("CONSENT")


def test_all_violations_are_told_at_once(stubs: Stubs) -> None:
    request = say(" ", voice="ann", speaking_rate=9, gain_db=99, audio_format=rate(1))
    _, _, found = failure(speak(request), stubs)
    fields = {violation.field: violation.reason for violation in found["BadRequest"].field_violations}
    assert fields == {
        "voice": "FIELD_INVALID",
        "input.text": "TEXT_EMPTY",
        "options.speaking_rate": "FIELD_INVALID",
        "options.gain_db": "FIELD_INVALID",
        "options.audio_format.sample_rate_hertz": "FORMAT_UNSUPPORTED",
    }


def test_unknown_option_lists_the_allowed_ones(stubs: Stubs) -> None:
    error, _, _ = failure(speak(say(backend_options={"speed": "1"})), stubs)
    assert "frequency, gap" in error.details()


def test_unsupported_timing_names_no_model_that_lacks_it(stubs: Stubs) -> None:
    error, _, _ = failure(speak(say(model="models/endless", timings=["TIMING_KIND_WORD"])), stubs)
    assert "tone" in error.details()


def test_the_callers_request_id_comes_back(stubs: Stubs) -> None:
    metadata = (("x-request-id", "line-42"),)
    _, _, found = failure(lambda stubs: stubs.speech.Synthesize(say(" "), metadata=metadata), stubs)
    assert found["RequestInfo"].request_id == "line-42"
    header = stubs.speech.Synthesize(say(), metadata=metadata).header
    assert header.request_id == "line-42"


def test_a_message_that_is_too_big_is_refused(stubs: Stubs) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.speech.Synthesize(say("x" * (5 << 20)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_bug_reaches_the_caller_without_its_text() -> None:
    status = to_status(KeyError("/secret/place"), "id7")
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in str(status)
    assert "id7" in status.message


@pytest.mark.parametrize("path", ["/etc/x/y.db", "~/voices/a.wav", "file:///opt/m/w.bin", "C:\\models\\w.bin"])
def test_paths_are_taken_out_of_messages(path: str) -> None:
    status = to_status(VoicecloneError(f"cannot read '{path}' now, and 24 kHz/s or and/or stay"), "id")
    assert path not in status.message
    assert status.message.endswith("now, and 24 kHz/s or and/or stay")
