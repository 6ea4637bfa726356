"""The pages keep their word: Python blocks run against a live server, links lead somewhere, named commands exist."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from voiceclone.client import AsyncClient, Client
from voiceclone.plugins import load_plugins
from voiceclone.testing.server import ServerFixture, running_server

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "plugins").glob("*/*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: "title=FILE" makes a block part of a file that another test builds; "fragment" marks one that cannot stand alone.
NOT_RUN = ("title=", "fragment")
#: How pages write the default address of a server.
ADDRESS = re.compile(r"\b(?:127\.0\.0\.1|localhost):50051\b")
#: File names that a page may use as its reader's recording.
RECORDINGS = ("reference.wav", "ann.wav")


def blocks(page: Path, *languages: str) -> Iterator[tuple[str, str]]:
    """(rest of the fence line, text) of each block in these languages."""
    for language, rest, text in FENCE.findall(page.read_text("utf-8")):
        if language in languages:
            yield rest.strip(), text


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerFixture]:
    """Without the trained model: a page's example must not depend on what a model says."""
    with running_server(tmp_path / "server", plugins=load_plugins(only=["tone"])) as server:
        yield server


def runs(page: Path) -> list[str]:
    return [text for rest, text in blocks(page, "python") if not rest.startswith(NOT_RUN)]


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name_of)
def test_python_blocks_run(page: Path, server: ServerFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one namespace, in a folder that holds a recording, with a server of their own."""
    for recording in RECORDINGS:
        shutil.copy(ROOT / "examples" / "reference.wav", tmp_path / recording)
    monkeypatch.chdir(tmp_path)
    for client in (Client, AsyncClient):
        monkeypatch.setattr(client.__init__, "__defaults__", (server.address,))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, text in enumerate(runs(page)):
        text = ADDRESS.sub(server.address, text)
        code = compile(text, f"{name_of(page)}, block {number + 1}", "exec")
        exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_fragments_are_python(page: Path) -> None:
    for _, text in blocks(page, "python"):
        ast.parse(text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{name_of(page)} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{name_of(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    """Anchors as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- commands ---------------------------------------------------------------------------------------------------------


def shell_lines(page: Path) -> Iterator[str]:
    for _, text in blocks(page, "sh", "bash", "console", "shell"):
        for line in text.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ").strip()
    yield from re.findall(r"`((?:voiceclone|make) [^`]+)`", FENCE.sub("", page.read_text("utf-8")))


def resolve(words: list[str]) -> str | None:
    """What is wrong with the arguments of `voiceclone`; None where the commands and options exist."""
    from voiceclone.cli.main import build

    command: Any = typer.main.get_command(build())  # `app` may have been built while a test hid the plugins
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.isupper():  # stands for something
            return None
        if word.startswith("-"):
            if word.split("=")[0] not in {*known, "--help", "-h"}:
                return f"{command.name} has no option {word}"
        elif hasattr(command, "commands"):
            child = command.commands.get(word)
            if child is None:
                return f"{command.name} has no command {word}"
            command = child
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in shell_lines(page):
        if not line.startswith(("voiceclone ", "make ")):
            continue
        words = shlex.split(line, comments=True)
        if words[:1] == ["voiceclone"]:
            arguments = [word for word in words[1:] if word not in ("&", "|", "...")]
            assert (trouble := resolve(arguments)) is None, f"{name_of(page)}: `{line}`: {trouble}"
        else:
            wanted = {word for word in words[1:] if re.fullmatch(r"[a-z]+", word)}
            assert wanted <= targets, f"{name_of(page)}: `{line}`"
