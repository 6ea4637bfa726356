"""Every hook does what it says; has a test here named after it; and is documented with its exact signature."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from voiceclone import BackendInfo, Recognised, hookimpl, hookspecs
from voiceclone.errors import ModelFilesInvalid
from voiceclone.plugins import Plugins, load_plugins

HOOKS = sorted(name for name, value in vars(hookspecs).items() if name.startswith("voiceclone_") and callable(value))
GUIDE = Path(__file__).parent.parent / "docs" / "writing-a-backend.md"


@pytest.fixture
def plugins() -> Plugins:
    return load_plugins(entry_points=False)


def test_voiceclone_backends(plugins: Plugins) -> None:
    class Plugin:
        @hookimpl
        def voiceclone_backends(self) -> Iterable[BackendInfo]:
            yield BackendInfo("mine", "1", "A backend.", "pkg.mod:load")

    plugins.register(Plugin(), "mine")
    (status,) = plugins.backends()
    assert status.error is None
    assert status.plugin == "mine"
    assert status.info is not None
    assert status.info.name == "mine"


def test_voiceclone_recognise(plugins: Plugins, tmp_path: Path) -> None:
    class Failing:
        @hookimpl
        def voiceclone_recognise(self, path: Path) -> Recognised | None:
            raise RuntimeError("no idea")

    class Plugin:
        @hookimpl
        def voiceclone_recognise(self, path: Path) -> Recognised | None:
            if path.suffix == ".broken":
                raise ModelFilesInvalid("it is cut short.")
            return Recognised("mine", ("a.bin",), "A model.") if path.suffix == ".mine" else None

    plugins.register(Failing(), "failing")
    plugins.register(Plugin(), "mine")
    assert plugins.recognise(tmp_path / "x.mine") == Recognised("mine", ("a.bin",), "A model.")
    assert plugins.recognise(tmp_path / "x.other") is None
    assert plugins.errors["failing"][0] == "voiceclone_recognise failed: RuntimeError: no idea"
    with pytest.raises(ModelFilesInvalid, match="cut short"):
        plugins.recognise(tmp_path / "x.broken")


def test_voiceclone_register_cli(plugins: Plugins) -> None:
    class Failing:
        @hookimpl
        def voiceclone_register_cli(self, cli: typer.Typer) -> None:
            raise RuntimeError("no command")

    class Plugin:
        @hookimpl
        def voiceclone_register_cli(self, cli: typer.Typer) -> None:
            @cli.command()
            def shout(text: str) -> None:
                typer.echo(text.upper())

    cli = typer.Typer()
    cli.callback()(lambda: None)
    plugins.register(Failing(), "failing")
    plugins.register(Plugin(), "mine")
    plugins.register_cli(cli)
    assert CliRunner().invoke(cli, ["shout", "hello"]).stdout == "HELLO\n"
    assert plugins.errors == {"failing": ["voiceclone_register_cli failed: RuntimeError: no command"]}


def test_voiceclone_viseme_map(plugins: Plugins) -> None:
    def mapping(result: Any) -> object:
        class Plugin:
            @hookimpl
            def voiceclone_viseme_map(self, viseme_set: str) -> Mapping[str, Any]:
                return result if viseme_set == "ovr15" else {}  # type: ignore[no-any-return]

        return Plugin()

    for name, result in [("one", {"ɬ": "SS"}), ("two", {"ɬ": "TH", "ʘ": "PP"}), ("bad", 3), ("none", None)]:
        plugins.register(mapping(result), name)
    assert plugins.viseme_map("ovr15") == {"ɬ": "SS", "ʘ": "PP"}
    assert plugins.viseme_map("azure22") == {}
    assert list(plugins.errors) == ["bad"]


def test_a_hook_may_take_fewer_arguments_than_it_is_given(plugins: Plugins) -> None:
    class Plugin:
        @hookimpl
        def voiceclone_viseme_map(self) -> Mapping[str, Any]:
            return {"x": "SS"}

    plugins.register(Plugin(), "modest")
    assert plugins.viseme_map("ovr15") == {"x": "SS"}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_of_its_name(hook: str) -> None:
    assert isinstance(getattr(sys.modules[__name__], f"test_{hook}", None), FunctionType)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_with_its_signature(hook: str) -> None:
    signature = inspect.signature(getattr(hookspecs, hook))
    text = re.sub(r"['\"]", "", f"{hook}{signature}")
    headings = [line.lstrip("# ").strip("`") for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("#")]
    assert text in headings, f"docs/{GUIDE.name} needs the heading ### `{text}`"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_what_it_is_for(hook: str) -> None:
    assert (getattr(hookspecs, hook).__doc__ or "").strip().endswith(".")
