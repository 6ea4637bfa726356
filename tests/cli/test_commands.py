"""The other commands, how errors look, and that starting the command line costs little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from voiceclone.cli import console, demo, train
from voiceclone.errors import StoreError

COMMANDS = (
    (), ("serve",), ("say",), ("voices",), ("voices", "clone"), ("voices", "list"), ("voices", "show"),
    ("voices", "update"), ("voices", "revoke"), ("voices", "delete"), ("models",), ("models", "list"),
    ("models", "show"), ("models", "load"), ("models", "unload"), ("models", "add"), ("models", "verify"),
    ("models", "remove"), ("backends",), ("plugins",), ("train",), ("demo",), ("doctor",),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(voiceclone: Any, command: tuple[str, ...]) -> None:
    result = voiceclone(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "grpc", "google.protobuf", "sqlalchemy", "soundfile", "soxr", "uvloop")
    code = f"import sys, voiceclone.cli.main; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_models_are_listed_shown_loaded_and_unloaded(run: Any) -> None:
    assert "models/tone" in run("models", "list").stdout
    assert run("models", "load", "tone").stdout.startswith("models/tone is ready on cpu")
    shown = run("models", "show", "tone").stdout
    assert "24000 Hz" in shown
    assert "option gap: Silence after each word" in shown
    assert json.loads(run("models", "show", "models/tone", "--json").stdout)["state"] == "ready"
    assert run("models", "unload", "tone").stdout == "models/tone is unloaded\n"
    assert "voiceclone models load tone" in run("models", "show", "tone").stderr
    unknown = run("models", "show", "nothing")
    assert unknown.exit_code == 1
    assert "tone" in unknown.stderr


def test_models_are_added_verified_and_removed(voiceclone: Any, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"weights")
    assert voiceclone("models", "add", weights, "--backend", "nothing").exit_code == 1
    assert "no backend knows" in voiceclone("models", "add", weights).stderr
    assert voiceclone("models", "add", tmp_path / "elsewhere", "--backend", "tone").exit_code == 1
    added = voiceclone("models", "add", weights, "--name", "mine", "--backend", "tone", "--set", "size=small")
    assert added.exit_code == 0, added.output
    assert "1 files" in added.stdout
    assert voiceclone("models", "verify", "mine").exit_code == 0
    (weights / "model.safetensors").write_bytes(b"others!")
    changed = voiceclone("models", "verify", "mine")
    assert changed.exit_code == 1
    assert "changed" in changed.stderr
    assert voiceclone("models", "remove", "mine").exit_code == 0
    assert voiceclone("models", "remove", "mine").exit_code == 1


def test_backends_show_where_they_come_from_and_what_they_take(voiceclone: Any) -> None:
    result = voiceclone("backends", "--options")
    assert result.exit_code == 0, result.output
    assert "Apache-2.0" in result.stdout
    assert "gap (default 0.04): Silence after each word, in seconds." in result.stdout
    data = json.loads(voiceclone("backends", "--json", "--options").stdout)
    assert data[0]["name"] == data[0]["plugin"] == "tone"
    assert set(data[0]["options"]["tone"]["properties"]) == {"frequency", "gap"}


def test_a_plugin_that_is_missing_is_listed_with_its_reason(voiceclone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_PLUGINS", "tone,phantom")
    assert "not installed" in voiceclone("backends").stdout
    found = {item["name"]: item for item in json.loads(voiceclone("plugins", "--json").stdout)}
    assert found["tone"]["errors"] == []
    assert "voiceclone_backends" in found["tone"]["hooks"]
    assert "not installed" in found["phantom"]["errors"][0]


def test_the_doctor_finds_nothing_to_mend_here(voiceclone: Any) -> None:
    result = voiceclone("doctor", "--json", "--port", "0")
    findings = json.loads(result.stdout)
    assert [item for item in findings if item["state"] == "fail"] == []
    assert result.exit_code == 0
    checks = {item["check"] for item in findings}
    assert {"python", "packages", "torch", "native kernels", "audio", "voices", "backends", "port"} <= checks
    assert all(item["mend"] for item in findings if item["state"] != "ok")


def test_the_doctor_names_what_is_broken_and_how_to_mend_it(
    voiceclone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("VOICECLONE_PLUGINS", "phantom")
    result = voiceclone("doctor", "--port", address.split(":")[1])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("fail voices") for line in lines)
    assert any(line.startswith("fail backends") for line in lines)
    assert any("a voiceclone server with" in line for line in lines)
    assert any("VOICECLONE_HOME" in line for line in lines)


def test_train_explains_itself_when_no_plugin_fills_it() -> None:
    result = CliRunner().invoke(train.group(), [])
    assert result.exit_code == 0
    assert "No installed plugin" in result.stdout


def test_serve_refuses_settings_that_do_not_fit(voiceclone: Any) -> None:
    public = voiceclone("serve", "--host", "0.0.0.0", "--load", "none")
    assert public.exit_code == 2
    assert "--insecure" in public.stderr
    unknown = voiceclone("serve", "--set", "colour=red", "--load", "none")
    assert unknown.exit_code == 2
    assert "colour" in unknown.stderr
    assert "drain_grace" in voiceclone("serve", "--settings").stdout


@pytest.mark.parametrize(
    "error", [StoreError("The disk is full.", hint="Free some."), ValueError("odd"), OSError(28, "Full")]
)
def test_an_error_is_one_line_and_a_trace_only_with_debug(
    voiceclone: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(demo, "local_server", fail)
    arguments = ("demo", "--reference", __file__, "--i-have-consent")
    result = voiceclone(*arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert voiceclone("--debug", *arguments).exception is error
    assert voiceclone(*arguments).exception is not error


def test_interrupting_is_not_an_error(voiceclone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "local_server", interrupt)
    result = voiceclone("demo", "--reference", __file__, "--i-have-consent")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_key_values_are_read_or_are_wrong_usage() -> None:
    assert console.key_values(["a=1", "b=x=y", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(typer.BadParameter):
        console.key_values(["=1"], "--set")
