"""Prose of people, without a download: plain sentences out of the docstrings of Python's standard library."""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from voiceclone.training.synthetic.lexicon import is_word

#: Folders without prose, or whose presence depends on how Python was packaged.
_SKIPPED: Final = frozenset(("test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3", "turtledemo"))
_PLAIN: Final = re.compile(r"[A-Z][a-z']*(?:,? [A-Za-z][a-z']*)*[.?!]")
_SENTENCE_END: Final = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
_WORD: Final = re.compile(r"[A-Za-z']+")


@lru_cache(maxsize=1)
def prose_sentences() -> tuple[str, ...]:
    """Every plain sentence of 4 to 16 words, once, sorted; the set depends on the Python version."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        if not _SKIPPED & set(path.relative_to(root).parts):
            for docstring in _docstrings(path):
                found.update(_plain_sentences(docstring))
    return tuple(sorted(found))


def _docstrings(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # templates and deliberately broken files are not prose
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring


def _plain_sentences(docstring: str) -> Iterator[str]:
    for paragraph in docstring.split("\n\n"):
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            words = _WORD.findall(sentence)
            if 4 <= len(words) <= 16 and _PLAIN.fullmatch(sentence) and all(map(_speakable, words)):
                yield sentence


def _speakable(word: str) -> bool:
    """Whether `word` is English rather than a name out of code: known, and with a vowel unless it is a contraction."""
    return is_word(word) and (any(letter in "aeiouy" for letter in word.lower()) or "'" in word)
