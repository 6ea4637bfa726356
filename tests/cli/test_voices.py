"""``voiceclone voices``: from enrolment to deletion, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest


def clone(run: Any, name: str, recording: Path, *more: object) -> Any:
    return run("voices", "clone", name, recording, "--consent-speaker", "Bea", "--model", "tone", *more)


def test_a_voice_from_its_recording_to_its_end(run: Any, recording: Path, tmp_path: Path) -> None:
    evidence = tmp_path / "signed.pdf"
    evidence.write_bytes(b"I agree. Bea")
    made = clone(
        run, "bea", recording, "--language", "en", "--label", "mood=wild", "--display-name", "Bea B.", "--transcript",
        "la la", "--consent-method", "signed_document", "--consent-evidence", evidence, "--consent-use", "game",
        "--consent-expires", "2100-01-02", "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    voice = json.loads(made.stdout)
    assert (voice["name"], voice["model"], voice["state"]) == ("voices/bea", "models/tone", "active")
    assert voice["consent"]["speaker"] == "Bea"
    assert voice["consent"]["evidence_sha256"] == hashlib.sha256(b"I agree. Bea").hexdigest()
    assert voice["consent"]["expire_time"].startswith("2100-01-02 00:00:00")
    listed = run("voices", "list", "--filter", "labels.mood = wild")
    assert "voices/bea" in listed.stdout
    assert "voices/ann" not in listed.stdout
    assert {item["name"] for item in json.loads(run("voices", "list", "--json").stdout)} >= {"voices/ann", "voices/bea"}
    shown = run("voices", "show", "bea").stdout
    assert "signed document" in shown
    assert "Bea B." in shown
    changed = run("voices", "update", "bea", "--label", "a=1", "--unlabel", "mood", "--display-name", "B", "--json")
    assert json.loads(changed.stdout)["labels"] == {"a": "1"}
    assert json.loads(changed.stdout)["display_name"] == "B"
    declined = run("voices", "revoke", "bea", text="n\n")
    assert declined.exit_code == 1
    assert json.loads(run("voices", "show", "bea", "--json").stdout)["state"] == "active"
    revoked = run("voices", "revoke", "bea", text="y\n")
    assert revoked.exit_code == 0
    assert "suspended" in revoked.stdout
    refused = run("say", "hello", "--voice", "bea", "-o", tmp_path / "x.wav")
    assert refused.exit_code == 1
    assert "revoked" in refused.stderr
    assert not (tmp_path / "x.wav").exists()
    assert run("voices", "delete", "bea", "--yes").exit_code == 0
    assert run("voices", "show", "bea").exit_code == 1


def test_no_consent_no_voice(run: Any, recording: Path) -> None:
    result = run("voices", "clone", "eve", recording)
    assert result.exit_code == 1
    assert "--consent-speaker" in result.stderr
    assert run("voices", "show", "eve").exit_code == 1


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"\x89PNG\r\n\x1a\n0000", "PNG image"), (b"RIFF\0\0\0\0WAVEfmt ", "no audio")]
)
def test_a_bad_recording_is_refused_in_one_line(run: Any, tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    result = clone(run, "bad", path)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("voices", "clone", "bea"),
        ("voices", "clone", "bea", "/no/such/file.wav", "--i-have-consent"),
        ("voices", "update", "ann"),
        ("voices", "update", "ann", "--label", "nonsense"),
        ("voices", "sing"),
    ],
)
def test_wrong_usage_exits_with_2(run: Any, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_a_taken_name_and_a_bad_filter_are_errors(run: Any, recording: Path) -> None:
    taken = clone(run, "ann", recording)
    assert taken.exit_code == 1
    assert "exists already" in taken.stderr
    assert run("voices", "list", "--filter", "colour = red").exit_code == 1
