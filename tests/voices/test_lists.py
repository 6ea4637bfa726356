"""Lists of voices: pages, filters, tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ColumnElement

from voiceclone.errors import (
    InvalidRequest,
)
from voiceclone.voices import Consent, VoiceStore, filters

from .made import make


def test_pages_hold_every_voice_once_whatever_happens_between(store: VoiceStore, record: Any, consent: Consent) -> None:
    for index in range(7):
        make(store, record, consent, f"v{index}")
    first, token = store.list_voices(3)
    store.delete_voice("voices/v2")
    make(store, record, consent, "v0a")
    second, token = store.list_voices(3, token)
    third, end = store.list_voices(3, token)
    assert [voice.name[-2:] for voice in first + second + third] == ["v0", "v1", "v2", "v3", "v4", "v5", "v6"]
    assert end == ""


def test_a_token_belongs_to_its_filter(store: VoiceStore, record: Any, consent: Consent) -> None:
    make(store, record, consent, "a")
    make(store, record, consent, "b")
    _, token = store.list_voices(1)
    for bad, text in ((token, "model = m"), (token[:-2], ""), ("AAAA", ""), ("\x00é", ""), ("bnVsbA", "")):
        with pytest.raises(InvalidRequest) as caught:
            store.list_voices(1, bad, text)
        assert caught.value.violations[0].field == "page_token"
    with pytest.raises(InvalidRequest):
        store.list_voices(-1)


def test_filters_select(store: VoiceStore, record: Any, consent: Consent) -> None:
    make(store, record, consent, "a", labels={"mood": "calm"}, languages=["en"])
    make(store, record, consent, "b", labels={"mood": 'so "calm"'}, languages=["en", "de"])
    names = {
        "": "ab",
        'labels.mood = "calm"': "a",
        "label.mood=calm": "a",
        r'labels.mood = "so \"calm\""': "b",
        "language = de": "b",
        "language=en AND labels.mood=calm": "a",
        "language=en state=ACTIVE": "ab",
        'model = "models/m" AND state = STATE_ACTIVE': "ab",
        "model=models/x": "",
        "labels.nothing=calm": "",
        "labels." + "x" * 200 + "=1": "",
    }
    for text, expected in names.items():
        assert "".join(voice.name[-1] for voice in store.list_voices(filter=text)[0]) == expected, text


@pytest.mark.parametrize(
    "text",
    ["model", "model=", "= x", "name = a", "model != m", "model=a OR model=b", "AND model=a", "model=a AND",
     "state=GONE", 'model="a', "(model=a)", "labels.=x", "model=a,state=b=c", "x" * 1001],
)  # fmt: skip
def test_what_a_filter_cannot_say_is_refused(store: VoiceStore, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.list_voices(filter=text)
    assert caught.value.violations[0].field == "filter"


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        found = filters.conditions(text, 0)
    except InvalidRequest:
        return
    assert all(isinstance(item, ColumnElement) for item in found)
