"""Discovery: what is loaded, in which order, and how faults are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from voiceclone import BackendInfo, hookimpl
from voiceclone.plugins import Plugins, load_plugins


class Bringing:
    """A plugin with the given backends."""

    def __init__(self, *infos: BackendInfo) -> None:
        self.infos = infos

    @hookimpl
    def voiceclone_backends(self) -> Iterable[BackendInfo]:
        return self.infos


def info(name: str, **more: Any) -> BackendInfo:
    return BackendInfo(name, "1", "A backend.", "pkg.mod:load", **more)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICECLONE_PLUGINS", raising=False)
    monkeypatch.delenv("VOICECLONE_TRACE_PLUGINS", raising=False)


def names(plugins: Plugins) -> set[str]:
    return {status.name for status in plugins.plugins()}


def test_installed_plugins_are_found_with_version_and_hooks() -> None:
    (tone,) = [status for status in load_plugins().plugins() if status.name == "tone"]
    assert tone.version
    assert tone.hooks == ("voiceclone_backends",)
    assert tone.errors == []


def test_only_and_disable_choose() -> None:
    assert names(load_plugins(only=["tone"])) == {"tone"}
    assert "tone" not in names(load_plugins(disable=["tone"]))
    assert names(load_plugins(entry_points=False)) == set()


def test_the_environment_chooses_where_the_caller_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_PLUGINS", " tone ,")
    assert names(load_plugins()) == {"tone"}
    assert names(load_plugins(only=[])) == set()
    monkeypatch.setenv("VOICECLONE_PLUGINS", "-tone")
    assert "tone" not in names(load_plugins())
    assert names(load_plugins(only=["tone"])) == set()


def test_a_plugin_asked_for_but_not_installed_is_said_so() -> None:
    plugins = load_plugins(only=["tone", "no-such"])
    assert "not installed" in plugins.errors["no-such"][0]
    (status,) = [status for status in plugins.backends() if status.plugin == "no-such"]
    assert status.info is None
    assert "pip install" in (status.error or "")


def test_a_backend_name_belongs_to_the_first_that_brings_it() -> None:
    plugins = load_plugins(entry_points=False)
    plugins.register(Bringing(info("a"), info("b")), "first")
    plugins.register(Bringing(info("b"), info("c")), "second")
    rows = [(status.info and status.info.name, status.plugin, status.error is None) for status in plugins.backends()]
    assert rows == [("a", "first", True), ("b", "first", True), ("b", "second", False), ("c", "second", True)]


def test_a_backend_that_cannot_be_used_does_not_keep_its_name() -> None:
    plugins = load_plugins(entry_points=False)
    plugins.register(Bringing(info("a", api=(2, 0))), "ahead")
    plugins.register(Bringing(info("a", api=(1, 7))), "fits")
    assert [status.error is None for status in plugins.backends()] == [False, True]


def test_a_plugin_name_belongs_to_the_first() -> None:
    plugins = load_plugins(entry_points=False)
    plugins.register(Bringing(info("a")), "same")
    plugins.register(Bringing(info("b")), "same")
    assert [status.info and status.info.name for status in plugins.backends()] == ["a"]
    assert "the first one keeps it" in plugins.errors["same"][0]


def test_one_failing_hook_does_not_silence_the_next_plugin() -> None:
    class Failing:
        @hookimpl
        def voiceclone_backends(self) -> Iterable[BackendInfo]:
            raise OSError(2, "No such file or directory", "/home/somebody/secret/config.toml")

    plugins = load_plugins(entry_points=False)
    plugins.register(Failing(), "failing")
    plugins.register(Bringing(info("a")), "working")
    rows = {status.plugin: status for status in plugins.backends()}
    assert rows["working"].error is None
    assert "config.toml" in (rows["failing"].error or "")
    assert "somebody" not in (rows["failing"].error or "")


def test_tracing_prints_each_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plugins = load_plugins(entry_points=False)
    plugins.register(Bringing(info("a")), "mine")
    plugins.backends()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("VOICECLONE_TRACE_PLUGINS", "1")
    plugins.register(Bringing(), "more")
    plugins.backends()
    assert "mine.voiceclone_backends()" in capsys.readouterr().err
