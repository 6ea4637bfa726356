"""The voice store: what goes in comes out, what is refused leaves nothing behind."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
import soundfile

from voiceclone.audio import Encoding, RawFormat
from voiceclone.errors import (
    AlreadyExists,
    ConsentRequired,
    ConsentRevoked,
    EtagMismatch,
    InvalidRequest,
    SampleNotFound,
    SampleRejected,
    VoiceNotFound,
)
from voiceclone.voices import Consent, ConsentMethod, VoiceState, VoiceStore

from .made import files, make

# -- samples ----------------------------------------------------------------------------------------------------------


def test_a_recording_is_kept_as_it_came_and_as_it_decodes(store: VoiceStore, record: Any, consent: Consent) -> None:
    data = record(rate=22050)
    sample = store.add_sample(data, transcript="hello", language="en-GB")
    assert store.get_sample(sample.name) == sample
    assert store.recording(sample.name) == data
    assert sample.duration == 2.0
    voice = store.create_voice("ann", model="models/m", samples=[sample.name], consent=consent)
    reference = store.references(voice)[0]
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(reference.samples, expected)
    assert (reference.sample_rate, reference.transcript, reference.language) == (22050, "hello", "en-GB")


def test_the_same_recording_is_the_same_sample(store: VoiceStore, record: Any) -> None:
    first = store.add_sample(record())
    assert store.add_sample(record()) == first
    with_text = store.add_sample(record(), transcript="other words")
    assert with_text.name != first.name
    assert with_text.sha256 == first.sha256
    assert len(files(store)) == 2


def test_a_sample_id_is_kept_and_not_given_twice(store: VoiceStore, record: Any) -> None:
    sample = store.add_sample(record(), sample_id="take-1")
    assert sample.name == "samples/take-1"
    assert store.add_sample(record(), sample_id="take-1") == sample
    with pytest.raises(AlreadyExists):
        store.add_sample(record(1), sample_id="take-1")


def test_raw_samples_are_the_wav_file_they_would_be(store: VoiceStore, record: Any) -> None:
    data = record()
    sample = store.add_sample(data[44:], raw=RawFormat(Encoding.PCM_S16LE, 16000))
    assert store.recording(sample.name) == data


def test_a_refused_recording_leaves_nothing(store: VoiceStore, record: Any) -> None:
    for data in (b"", b"not audio", record(seconds=0.5), record()[:1000]):
        with pytest.raises(SampleRejected):
            store.add_sample(data)
    assert files(store) == set()


@pytest.mark.parametrize(
    "fields",
    [{"sample_id": "Up"}, {"sample_id": "../x"}, {"language": "english!"}, {"transcript": "x" * 5001},
     {"transcript": "a\u202eb"}, {"transcript": "\ud800"}],
)  # fmt: skip
def test_bad_fields_of_a_sample_are_named(store: VoiceStore, record: Any, fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.add_sample(record(), **fields)
    assert caught.value.violations


@pytest.mark.parametrize("name", ["samples/nobody", "samples/" + "a" * 63])
def test_an_unknown_sample_is_not_found(store: VoiceStore, consent: Consent, name: str) -> None:
    with pytest.raises(SampleNotFound):
        store.get_sample(name)
    with pytest.raises(SampleNotFound):
        store.create_voice("ann", model="models/m", samples=[name], consent=consent)
    assert store.list_voices() == ([], "")


# -- voices -----------------------------------------------------------------------------------------------------------


def test_a_voice_comes_back_as_it_was_made(store: VoiceStore, record: Any, consent: Consent) -> None:
    samples = [store.add_sample(record(seed)).name for seed in (3, 1, 2)]
    full = Consent("B", ConsentMethod.SIGNED_DOCUMENT, "ab" * 32, ("game",), datetime(2100, 1, 2, tzinfo=timezone.utc))
    voice = store.create_voice(
        "ann", model="models/m", samples=samples, consent=full, display_name="Änn", languages=["en", "de-AT", "en"],
        labels={"mood": "calm", "a.b": ""}, conditioning={("m", "r1"): b"one", ("n", "r2"): b"two"},
    )  # fmt: skip
    assert voice == store.get_voice("voices/ann") == VoiceStore(directory=store.directory).get_voice("voices/ann")
    assert voice.samples == tuple(samples)
    assert voice.consent == full
    assert voice.state is VoiceState.ACTIVE
    assert (voice.display_name, voice.languages) == ("Änn", ("en", "de-AT"))
    assert dict(voice.labels) == {"mood": "calm", "a.b": ""}
    assert voice.create_time == voice.update_time
    assert abs(voice.create_time - datetime.now(timezone.utc)) < timedelta(minutes=10)
    assert store.get_conditioning(voice, "m", "r1") == b"one"
    assert store.get_conditioning(voice, "m", "r2") is None
    store.put_conditioning(voice, "m", "r2", b"first")
    store.put_conditioning(voice, "m", "r2", b"newer")
    assert store.get_conditioning(voice, "m", "r2") == b"newer"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"voice_id": "Ann"}, "voice_id"),
        ({"voice_id": "-ann"}, "voice_id"),
        ({"voice_id": "a" * 64}, "voice_id"),
        ({"model": ""}, "voice.model"),
        ({"samples": []}, "voice.samples"),
        ({"samples": ["samples/a"] * 2}, "voice.samples"),
        ({"samples": ["voices/a"]}, "voice.samples"),
        ({"samples": [f"samples/s{i}" for i in range(33)]}, "voice.samples"),
        ({"languages": ["??"]}, "voice.language_codes"),
        ({"labels": {"Bad Key": ""}}, "voice.labels"),
        ({"labels": {"a": "x" * 257}}, "voice.labels"),
        ({"display_name": "x" * 201}, "voice.display_name"),
        ({"request_id": "a b"}, "request_id"),
        ({"consent": Consent(" ", ConsentMethod.SYNTHETIC_SPEAKER)}, "voice.consent.speaker"),
        ({"consent": Consent("A", "told me")}, "voice.consent.method"),  # type: ignore[arg-type]
        ({"consent": Consent("A", ConsentMethod.SIGNED_DOCUMENT, "AB" * 32)}, "voice.consent.evidence_sha256"),
    ],
)
def test_bad_fields_of_a_voice_are_named(
    store: VoiceStore, record: Any, consent: Consent, fields: dict[str, Any], field: str
) -> None:
    good = {"voice_id": "ann", "model": "m", "samples": [store.add_sample(record()).name], "consent": consent}
    with pytest.raises(InvalidRequest) as caught:
        store.create_voice(**{**good, **fields})
    assert caught.value.violations[0].field == field
    assert store.list_voices() == ([], "")


def test_a_name_is_taken_once(store: VoiceStore, record: Any, consent: Consent) -> None:
    first = make(store, record, consent)
    with pytest.raises(AlreadyExists):
        make(store, record, consent, seed=1)
    assert store.get_voice("voices/ann") == first


def test_the_same_request_gives_the_first_result(store: VoiceStore, record: Any, consent: Consent) -> None:
    first = make(store, record, consent, request_id="r-1", conditioning={("m", "1"): b"x"})
    assert make(store, record, consent, request_id="r-1") == first
    with pytest.raises(InvalidRequest, match="another request"):
        make(store, record, consent, "bob", request_id="r-1")
    with pytest.raises(AlreadyExists):
        make(store, record, consent, request_id="r-2")


@pytest.mark.parametrize("name", ["voices/nobody", "ann", "voices/", "voices/../x", "models/ann", ""])
def test_unknown_and_malformed_names(store: VoiceStore, name: str) -> None:
    kind = VoiceNotFound if name == "voices/nobody" else InvalidRequest
    with pytest.raises(kind):
        store.get_voice(name)
    with pytest.raises(kind):
        store.update_voice(name, {"display_name": "x"})
    with pytest.raises(kind):
        store.delete_voice(name)


def test_an_update_changes_what_it_names_and_the_etag(store: VoiceStore, record: Any, consent: Consent) -> None:
    voice = make(store, record, consent, labels={"a": "1"}, conditioning={("m", "1"): b"x"})
    new = store.update_voice("voices/ann", {"display_name": "Ann", "languages": ["fr"], "labels": {"b": "2"}})
    assert (new.display_name, new.languages, dict(new.labels)) == ("Ann", ("fr",), {"b": "2"})
    assert (new.model, new.samples, new.consent, new.uid) == (voice.model, voice.samples, voice.consent, voice.uid)
    assert new.etag != voice.etag
    assert new.update_time > new.create_time == voice.create_time
    assert store.get_conditioning(new, "m", "1") == b"x"
    assert store.list_voices(filter="labels.a = 1") == ([], "")
    assert store.list_voices(filter="labels.b = 2 AND language = fr") == ([new], "")


def test_a_stale_etag_changes_nothing(store: VoiceStore, record: Any, consent: Consent) -> None:
    old = make(store, record, consent)
    new = store.update_voice("voices/ann", {"display_name": "x"}, old.etag)
    with pytest.raises(EtagMismatch):
        store.update_voice("voices/ann", {"display_name": "y"}, old.etag)
    with pytest.raises(EtagMismatch):
        store.delete_voice("voices/ann", old.etag)
    assert store.get_voice("voices/ann") == new
    store.delete_voice("voices/ann", new.etag)


@pytest.mark.parametrize("field", ["name", "state", "samples", "etag", "create_time", "consent.name"])
def test_what_an_update_may_not_change_is_refused(store: VoiceStore, record: Any, consent: Consent, field: str) -> None:
    voice = make(store, record, consent)
    with pytest.raises(InvalidRequest, match="cannot be changed"):
        store.update_voice("voices/ann", {"display_name": "x", field: "x"})
    assert store.get_voice("voices/ann") == voice


def test_deleting_a_voice_deletes_its_own_recordings_only(store: VoiceStore, record: Any, consent: Consent) -> None:
    shared, own = store.add_sample(record(0)), store.add_sample(record(1))
    first = store.create_voice("ann", model="m", samples=[shared.name, own.name], consent=consent)
    second = store.create_voice("bob", model="m", samples=[shared.name], consent=consent)
    store.delete_voice("voices/ann")
    with pytest.raises(VoiceNotFound):
        store.get_voice("voices/ann")
    with pytest.raises(SampleNotFound):
        store.get_sample(own.name)
    assert {path.stem for path in files(store)} == {shared.sha256}
    assert len(store.references(second)) == 1
    with pytest.raises(VoiceNotFound):
        store.put_conditioning(first, "m", "1", b"late")
    again = store.create_voice("ann", model="m", samples=[shared.name], consent=consent)
    assert again.etag != first.etag
    assert store.get_conditioning(again, "m", "1") is None


# -- consent ----------------------------------------------------------------------------------------------------------

PAST = datetime.now(timezone.utc) - timedelta(seconds=1)


def test_no_voice_without_consent(store: VoiceStore, record: Any) -> None:
    with pytest.raises(ConsentRequired):
        make(store, record, None)  # type: ignore[arg-type]
    assert store.list_voices() == ([], "")


@pytest.mark.parametrize("field", ["expire_time", "revoke_time"])
def test_no_voice_on_a_consent_that_is_over(store: VoiceStore, record: Any, field: str) -> None:
    over = Consent("A", ConsentMethod.SPOKEN_STATEMENT, **{field: PAST})  # type: ignore[arg-type]
    with pytest.raises(ConsentRevoked):
        make(store, record, over)


@pytest.mark.parametrize("whole", [True, False])
def test_revoking_suspends_for_good_and_purges(store: VoiceStore, record: Any, consent: Consent, whole: bool) -> None:
    voice = make(store, record, consent, conditioning={("m", "1"): b"fingerprint of a person"})
    store.require_usable(voice)
    revoked = Consent(consent.speaker, consent.method, revoke_time=PAST)
    changes = {"consent": revoked} if whole else {"consent.revoke_time": PAST}
    after = store.update_voice("voices/ann", changes)
    assert after.state is VoiceState.SUSPENDED
    assert after.consent.revoke_time == PAST
    assert store.get_conditioning(after, "m", "1") is None
    with pytest.raises(ConsentRevoked):
        store.require_usable(after)
    with pytest.raises(ConsentRevoked):  # computed while the consent was being revoked
        store.put_conditioning(voice, "m", "1", b"late")
    with pytest.raises(ConsentRevoked):
        store.update_voice("voices/ann", {"consent": consent})
    assert store.update_voice("voices/ann", {"display_name": "x"}).state is VoiceState.SUSPENDED
    store.close()
    assert not any(b"fingerprint of a person" in path.read_bytes() for path in store.directory.glob("voices.db"))


def test_an_expired_consent_suspends_without_a_write(store: VoiceStore, record: Any, consent: Consent) -> None:
    voice = make(store, record, consent, conditioning={("m", "1"): b"x"})
    voice = store.update_voice("voices/ann", {"consent.expire_time": PAST})
    assert voice.state is VoiceState.SUSPENDED
    with pytest.raises(ConsentRevoked, match="expired"):
        store.require_usable(voice)
    assert store.list_voices(filter="state=SUSPENDED") == ([voice], "")
    assert store.list_voices(filter="state=ACTIVE") == ([], "")
    store.collect_garbage()
    assert store.get_conditioning(voice, "m", "1") is None
    renewed = store.update_voice("voices/ann", {"consent.expire_time": PAST + timedelta(days=1)})
    store.require_usable(renewed)
    assert renewed.state is VoiceState.ACTIVE


def test_a_consent_is_not_revoked_in_advance_nor_taken_away(store: VoiceStore, record: Any, consent: Consent) -> None:
    make(store, record, consent)
    with pytest.raises(InvalidRequest, match="future"):
        store.update_voice("voices/ann", {"consent.revoke_time": PAST + timedelta(days=1)})
    with pytest.raises(InvalidRequest):
        store.update_voice("voices/ann", {"consent": None})
    with pytest.raises(InvalidRequest, match="time zone"):
        store.update_voice("voices/ann", {"consent.revoke_time": datetime(2020, 1, 1)})
