"""Where the store keeps things, and what it does with a folder or database it cannot use."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from voiceclone.errors import (
    StoreError,
)
from voiceclone.voices import Consent, VoiceStore
from voiceclone.voices.tables import SCHEMA_VERSION

from .made import make


@pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")
def test_everything_is_for_its_owner_only(tmp_path: Path, record: Any, consent: Consent) -> None:
    old = os.umask(0)
    try:
        store = VoiceStore(directory=tmp_path / "a" / "store")
        make(store, record, consent)
    finally:
        os.umask(old)
    for path in (tmp_path / "a", *(tmp_path / "a").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_default_store_is_under_voiceclone_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Any, consent: Consent
) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    store = VoiceStore()
    make(store, record, consent)
    assert store.directory == tmp_path / "home" / "voices"
    assert (store.directory / "voices.db").exists()


def test_a_url_chooses_another_database(tmp_path: Path, record: Any, consent: Consent) -> None:
    store = VoiceStore(f"sqlite:///{tmp_path}/other.db", tmp_path / "store")
    make(store, record, consent)
    assert not (tmp_path / "store" / "voices.db").exists()
    assert VoiceStore(f"sqlite:///{tmp_path}/other.db", tmp_path / "store").get_voice("voices/ann")


@pytest.mark.parametrize("url", ["sqlite://", "no such url", "nodb://x/y", "sqlite:////no/such/folder/x.db"])
def test_a_database_that_cannot_be_used_is_a_store_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError) as caught:
        VoiceStore(url, tmp_path)
    assert caught.value.hint
    assert "/no/such" not in str(caught.value)


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    VoiceStore(directory=tmp_path).close()
    with sqlite3.connect(tmp_path / "voices.db") as connection:
        connection.execute("UPDATE voiceclone_schema SET version = ?", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(StoreError, match=f"schema {SCHEMA_VERSION + 1}"):
        VoiceStore(directory=tmp_path)


def test_a_damaged_database_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "voices.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        VoiceStore(directory=tmp_path)


def test_a_file_where_the_folder_should_be_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        VoiceStore(directory=tmp_path / "file" / "store")


def test_garbage_is_what_no_row_names_and_old_enough(store: VoiceStore, record: Any) -> None:
    sample = store.add_sample(record())
    shelf = store.directory / "samples" / "ab"
    shelf.mkdir(exist_ok=True)
    orphan, unfinished = shelf / ("ab" * 32 + ".bin"), shelf / ".part-xyz"
    for path in (orphan, unfinished):
        path.write_bytes(b"x")
    assert store.collect_garbage() == 0
    assert store.collect_garbage(older_than=-1) == 2
    assert not orphan.exists()
    assert not unfinished.exists()
    assert store.recording(sample.name) == record()
