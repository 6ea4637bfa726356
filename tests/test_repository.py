"""Rules for every file: it speaks of the project alone, opens with what it is for, and is not long."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_LINES = 400
CODE = {".py", ".cpp", ".cu", ".cuh", ".h", ".proto", ".sh"}
BINARY = {".wav", ".flac", ".ogg", ".mp3", ".safetensors", ".pth", ".pt", ".ckpt", ".png", ".pb"}
#: Written in two halves, so that this file passes its own test.
FORBIDDEN = {
    "a machine's path": re.compile(
        r"(?<![\w.$}])/(?:wor" + r"k|roo" + r"t|tm" + r"p|op" + r"t/(?:wheels|pyp" + r"i))/\w"
    ),
    "a registry's host": re.compile(
        r"\b(?:pyp" + r"i\.org|pythonhoste" + r"d\.org|--inde" + r"x-url|extra-inde" + r"x)\b"
    ),
    "unfinished work": re.compile(r"\b(?:TOD" + r"O|FIXM" + r"E|XX" + r"X)\b"),
}


@cache
def files() -> list[Path]:
    """Everything that is committed or would be: ignored files are not ours."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    return [(path, path.read_text("utf-8")) for path in files() if path.suffix not in BINARY]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
        for path, text in texts()
        for hit in FORBIDDEN[what].finditer(text)
    ]
    assert not found, "\n".join(found)


def test_no_file_is_long() -> None:
    long = [f"{path.relative_to(ROOT)}: {lines}" for path, text in texts()
            if path.suffix in CODE and (lines := len(text.splitlines())) > MOST_LINES]  # fmt: skip
    assert not long, f"over {MOST_LINES} lines; is each one idea?\n" + "\n".join(long)


def test_no_file_is_heavy() -> None:
    heavy = {str(path.relative_to(ROOT)): size for path in files() if (size := path.stat().st_size) > 25_000_000}
    assert not heavy


def opening(path: Path, text: str) -> str:
    """The sentence a file opens with; "" where there is none."""
    if path.suffix == ".py":
        doc = ast.get_docstring(ast.parse(text)) or ""
        return doc.split("\n\n")[0]
    first = next((line for line in text.splitlines() if not line.startswith("#!")), "")
    comment = re.match(r"(?://|#|/\*)\s*(.*)", first)
    return comment.group(1) if comment else ""


def test_each_source_file_says_what_it_is_for() -> None:
    silent = []
    for path, text in texts():
        if path.suffix not in CODE or not text.strip():
            continue
        sentence = opening(path, text)
        if len(sentence.split()) < 3 or (path.suffix == ".py" and sentence.rstrip("`'\")")[-1] not in ".:!?"):
            silent.append(f"{path.relative_to(ROOT)}: {sentence!r}")
    assert not silent, "\n".join(silent)


def test_text_ends_with_one_newline_and_no_stray_blanks() -> None:
    bad = [str(path.relative_to(ROOT)) for path, text in texts()
           if text and (not text.endswith("\n") or re.search(r"[ \t]+$", text, re.MULTILINE))]  # fmt: skip
    assert not bad


def test_a_licence_and_its_notice_are_here() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")[:200]
    assert "Apache License, Version 2.0" in (ROOT / "NOTICE").read_text("utf-8")
