"""VoiceService: enrolment, the whole life of a voice, and the promises about repeats, conflicts and pages."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone._proto.v1 import voice_service_pb2 as voice
from voiceclone.client import Client, Consent
from voiceclone.client.channel import Stubs
from voiceclone.errors import (
    AlreadyExists,
    ConsentRequired,
    ConsentRevoked,
    EtagMismatch,
    InvalidRequest,
    SampleNotFinite,
    SampleSilent,
    SampleTooShort,
    VoiceNotFound,
)

from .conftest import CONSENT, recording


def test_a_voice_from_enrolment_to_deletion(client: Client, tmp_path: Path) -> None:
    samples, rate = recording(130)
    soundfile.write(tmp_path / "one.flac", samples, rate)
    made = client.clone(
        "life",
        [tmp_path / "one.flac", recording(135)],
        consent=Consent("Eve", "spoken_statement", evidence_sha256="ab" * 32, permitted_uses=("game",)),
        transcripts=("one",),
        model="tone",
        display_name="Eve's",
        languages=("en-GB",),
        labels={"mood": "stern"},
    )
    assert made == client.voice("life") == client.voice("voices/life")
    assert (made.name, made.model, made.state, made.languages) == ("voices/life", "models/tone", "active", ("en-GB",))
    assert made.consent.evidence_sha256 == "ab" * 32
    assert len(made.samples) == 2
    assert made in client.voices()
    assert client.voices("labels.mood = stern") == [made]

    changed = client.update_voice("life", etag=made.etag, display_name="New", labels={})
    assert (changed.display_name, changed.labels, changed.languages) == ("New", {}, ("en-GB",))
    assert changed.etag != made.etag
    with pytest.raises(EtagMismatch):
        client.update_voice("life", etag=made.etag, display_name="Lost")
    with pytest.raises(EtagMismatch):
        client.delete_voice("life", etag=made.etag)
    client.delete_voice("life", etag=changed.etag)
    with pytest.raises(VoiceNotFound):
        client.voice("life")
    with pytest.raises(VoiceNotFound):
        client.say("Gone.", "life")


def test_repeating_a_request_id_gives_the_first_result(client: Client) -> None:
    fields = {"consent": CONSENT, "model": "tone", "request_id": "attempt-1"}
    first = client.clone("once", recording(140), **fields)
    assert client.clone("once", recording(140), **fields) == first
    with pytest.raises(AlreadyExists):
        client.clone("once", recording(140), consent=CONSENT, model="tone")


def test_a_revoked_voice_falls_silent_for_good(client: Client) -> None:
    made = client.clone("silenced", recording(140), consent=CONSENT, model="tone")
    client.say("Hello.", "silenced")
    revoked = client.update_voice("silenced", consent=replace(CONSENT, revoke_time=datetime.now(timezone.utc)))
    assert revoked.state == "suspended"
    with pytest.raises(ConsentRevoked) as refused:
        client.say("Hello.", "silenced")
    assert refused.value.subject == "voices/silenced"
    assert refused.value.link
    with pytest.raises(ConsentRevoked):
        client.update_voice("silenced", consent=made.consent)


def test_changing_the_samples_of_a_name_changes_what_it_says(client: Client) -> None:
    client.clone("again", recording(120), consent=CONSENT, model="tone")
    before = client.say("Hello.", "again", seed=1)
    client.delete_voice("again")
    client.clone("again", recording(260), consent=CONSENT, model="tone")
    after = client.say("Hello.", "again", seed=1)
    assert before.data != after.data
    assert before.header.content_key != after.header.content_key


def test_pages_cover_all_voices_once(stubs: Stubs, client: Client) -> None:
    names, token = [], ""
    while True:
        page = stubs.voices.ListVoices(voice.ListVoicesRequest(page_size=3, page_token=token))
        assert len(page.voices) <= 3
        names += [item.name for item in page.voices]
        token = page.next_page_token
        if not token:
            break
    assert names == [item.name for item in client.voices()]
    assert len(set(names)) == len(names) >= 4


def test_the_same_recording_is_the_same_sample(client: Client) -> None:
    assert client.upload(recording(111)) == client.upload(recording(111))


@pytest.mark.parametrize(
    ("samples", "error"),
    [
        (np.zeros(32_000, np.float32), SampleSilent),
        (recording(100)[0][:4000], SampleTooShort),
        (np.full(32_000, np.nan, np.float32), SampleNotFinite),
    ],
)
def test_unusable_recordings_are_refused_by_kind(client: Client, samples: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        client.clone("never", (samples, 16_000), consent=CONSENT)
    with pytest.raises(VoiceNotFound):
        client.voice("never")


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_raw_and_stereo_recordings_are_taken(client: Client, dtype: type[np.generic]) -> None:
    mono = recording(125)[0] * (32_767 if dtype is np.int16 else 1)
    sample = client.upload((np.stack([mono, mono], axis=1).astype(dtype), 16_000))
    assert sample.duration == pytest.approx(1.5)
    assert sample.sample_rate == 16_000


def test_a_file_given_as_bytes_is_taken(client: Client) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, *recording(127), format="WAV")
    assert client.upload(buffer.getvalue(), transcript="hm").transcript == "hm"


def test_the_client_asks_for_consent_before_it_sends_anything(client: Client) -> None:
    with pytest.raises(ConsentRequired):
        client.clone("none", recording(100))


def test_fields_that_cannot_change_are_refused(stubs: Stubs, client: Client) -> None:
    with pytest.raises(InvalidRequest):
        client.update_voice("ann", samples=("samples/x",))
    request = voice.UpdateVoiceRequest(voice=voice.Voice(name="voices/ann", display_name="Ann"))
    assert stubs.voices.UpdateVoice(request).display_name == "Ann"
    assert client.voice("ann").model == "models/tone"
