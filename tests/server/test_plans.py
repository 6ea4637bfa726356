"""What is checked once for lines of one kind: it must not outlive a change, nor let a bad line through."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from voiceclone._proto.v1 import speech_service_pb2 as speech
from voiceclone.client import Client
from voiceclone.client.channel import Stubs
from voiceclone.errors import ConsentRevoked, InvalidRequest, TextEmpty, TextTooLong, VoiceNotFound

from .conftest import CONSENT, recording


def test_later_lines_say_their_own_text_with_their_own_seed(client: Client) -> None:
    client.say("Once.", "ann", seed=1)
    later = [client.say(text, "ann", seed=seed) for text, seed in (("Two words.", 1), ("Two words.", 2), ("Once.", 1))]
    fresh = [  # a gain of another hair's breadth each is checked anew
        client.say(text, "ann", seed=seed, gain_db=gain)
        for text, seed, gain in (("Two words.", 1, 1e-6), ("Two words.", 2, 2e-6), ("Once.", 1, 3e-6))
    ]
    for known, new in zip(later, fresh, strict=True):
        np.testing.assert_allclose(known.samples, new.samples, atol=1)
        assert known.header.seed == new.header.seed
    assert len({said.header.content_key for said in later}) == 3
    drawn = {client.say("Once.", "ann").header.seed for _ in range(3)}
    assert len(drawn) == 3


@pytest.mark.parametrize(
    ("text", "seed", "error"),
    [("", 1, InvalidRequest), (" \n", 1, TextEmpty), ("a" * 2001, 1, TextTooLong), ("Fine.", -1, InvalidRequest)],
)
def test_a_known_kind_of_line_is_still_checked(client: Client, text: str, seed: int, error: type[Exception]) -> None:
    client.say("Fine.", "ann", seed=1)
    with pytest.raises(error):
        client.say(text, "ann", seed=seed)


def test_options_phonemes_and_kind_of_call_are_told_apart(stubs: Stubs) -> None:
    def request(**options: object) -> speech.SynthesizeRequest:
        source = speech.SynthesisInput(text="Hi there.")
        return speech.SynthesizeRequest(voice="voices/ann", input=source, options=speech.SpeechOptions(**options))

    plain = stubs.speech.Synthesize(request(seed=1))
    assert len(stubs.speech.Synthesize(request(seed=1, speaking_rate=2.0)).audio) < len(plain.audio)
    assert len(stubs.speech.Synthesize(request(seed=1)).audio) == len(plain.audio)
    streamed = stubs.speech.StreamSynthesize(
        speech.StreamSynthesizeRequest(voice="voices/ann", input=request().input, options=request(seed=1).options)
    )
    assert b"".join(event.audio.data for event in streamed) == plain.audio


def test_a_changed_voice_is_checked_anew(client: Client) -> None:
    client.clone("plan", recording(120), consent=CONSENT, model="tone")
    low = client.say("Hello.", "plan", seed=1)
    client.delete_voice("plan")
    with pytest.raises(VoiceNotFound):
        client.say("Hello.", "plan", seed=1)
    client.clone("plan", recording(240), consent=CONSENT, model="tone")
    high = client.say("Hello.", "plan", seed=1)
    assert low.header.content_key != high.header.content_key
    assert not np.array_equal(low.samples, high.samples)
    client.update_voice("plan", consent=replace(CONSENT, revoke_time=datetime.now(timezone.utc)))
    with pytest.raises(ConsentRevoked):
        client.say("Hello.", "plan", seed=1)


def test_a_model_loaded_anew_is_used(client: Client) -> None:
    before = client.say("Hello.", "bob", seed=1)
    client.unload_model("tone")
    client.load_model("tone")
    assert np.array_equal(client.say("Hello.", "bob", seed=1).samples, before.samples)


def test_a_model_with_a_voice_of_its_own_needs_none(client: Client) -> None:
    for text in ("Hi.", "Hello."):  # the second is of a kind known by then
        said = client.say(text, "", model="fixed")
        assert len(said.samples) == 1600 * len(text)
        assert (said.header.voice, said.header.model) == ("", "models/fixed@1")
    with pytest.raises(InvalidRequest, match="voice"):
        client.say("Hi.", "", model="tone")
    with pytest.raises(InvalidRequest, match="voice"):
        client.say("Hi.", "")
