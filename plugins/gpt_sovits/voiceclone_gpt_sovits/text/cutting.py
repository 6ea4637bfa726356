"""Cuts a text into the pieces that are spoken one by one, in upstream's six ways, and gathers pieces of like length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

Method = Literal["cut0", "cut1", "cut2", "cut3", "cut4", "cut5"]

#: Marks that end a clause.
ENDS = frozenset("，。？！,.?!~:：—…")  # noqa: RUF001
#: A piece of these alone says nothing.
_SILENT = frozenset("!?…,.- ")
_SILENT_ANYWHERE = frozenset(",.;?!、，。？！：…")  # noqa: RUF001
#: Of a piece: most letters (the text features know no more), and fewest before it is joined to the next.
MOST_LETTERS, FEWEST_LETTERS = 510, 5


def pieces(text: str, language: str, method: Method = "cut5") -> list[str]:
    """The pieces of ``text`` in order, each with a mark at its end; a text without words has none."""
    text = text.strip("\n")
    if not text:
        return []
    stop = "." if language == "en" else "。"
    if text[0] not in ENDS and len(_first_clause(text)) < 4:
        text = stop + text
    lines = [line for line in cut(text, method).split("\n") if line not in ("", " ")]
    found = []
    for piece in joined(lines, FEWEST_LETTERS):
        if not piece.strip() or not re.sub(r"\W+", "", piece):
            continue
        piece = piece if piece[-1] in ENDS else piece + stop
        found.extend(split_long(piece) if len(piece) > MOST_LETTERS else [piece])
    return found


def cut(text: str, method: Method) -> str:
    """``text`` with a line break at every cut. Raises ValueError for a method that is none."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    return _METHODS[method](text)


def single_marks(text: str) -> str:
    """Of a row of punctuation marks the first alone stays."""
    marks = "".join(re.escape(mark) for mark in ("!", "?", "…", ",", ".", "-"))
    return re.sub(f"([{marks}])([{marks}])+", r"\1", text)


def split_long(text: str, most: int = MOST_LETTERS) -> list[str]:
    """Parts of at most ``most`` letters, where there are marks to cut at."""
    found, part = [], ""
    for segment in re.split("([" + "".join(ENDS) + "])", text):
        if len(part + segment) > most:
            found.append(part)
            part = segment
        else:
            part += segment
    return [*found, part] if part else found


def joined(parts: Sequence[str], fewest: int) -> list[str]:
    """``parts`` with each of under ``fewest`` letters joined to the next, the last one to the one before."""
    if len(parts) < 2:
        return list(parts)
    found, held = [], ""
    for part in parts:
        held += part
        if len(held) >= fewest:
            found.append(held)
            held = ""
    if held and found:
        found[-1] += held
    elif held:
        found.append(held)
    return found


def batches(lengths: Sequence[int], size: int, *, threshold: float = 0.75, buckets: bool = True) -> list[list[int]]:
    """Numbers of pieces with these ``lengths`` in batches of at most ``size``.

    With ``buckets`` they go by length, and a batch shrinks until its median is ``threshold`` of its mean.
    """
    order = sorted(range(len(lengths)), key=lambda number: lengths[number]) if buckets else list(range(len(lengths)))
    found, begin = [], 0
    while begin < len(order):
        end = min(begin + size, len(order))
        while buckets and end - begin > 1 and not _even([lengths[number] for number in order[begin:end]], threshold):
            end -= 1
        found.append(order[begin:end])
        begin = end
    return found


def _even(lengths: Sequence[int], threshold: float) -> bool:
    # In single precision, as upstream: a batch at the very threshold is decided by rounding.
    row = np.asarray(lengths, np.float32)
    return bool(row[len(row) // 2] / (row.mean() + 1e-8) >= threshold)


def _first_clause(text: str) -> str:
    return re.split("[" + "".join(map(re.escape, ENDS)) + "]", text)[0].strip()


def _clauses(text: str) -> list[str]:
    """Each with the mark that ends it."""
    text = text.replace("……", "。").replace("——", "，")  # noqa: RUF001
    if text[-1] not in ENDS:
        text += "。"
    found, begin = [], 0
    for index, letter in enumerate(text):
        if letter in ENDS:
            found.append(text[begin : index + 1])
            begin = index + 1
    return found


def _whole(text: str) -> str:
    return "\n" if set(text) <= _SILENT else text


def _by_four(text: str) -> str:
    text = text.strip("\n")
    clauses = _clauses(text)
    starts = list(range(0, len(clauses), 4))
    if len(starts) < 2:
        return _lines([text])
    # The rest after the last whole four goes along with them.
    ends = [*starts[1:-1], None]
    return _lines("".join(clauses[begin:end]) for begin, end in zip(starts[:-1], ends, strict=True))


def _by_fifty(text: str) -> str:
    text = text.strip("\n")
    clauses = _clauses(text)
    if len(clauses) < 2:
        return text
    found, held = [], ""
    for clause in clauses:
        held += clause
        if len(held) > 50:
            found.append(held)
            held = ""
    if held:
        found.append(held)
    if len(found) > 1 and len(found[-1]) < 50:
        found[-2:] = [found[-2] + found[-1]]
    return _lines(found)


def _by_chinese_stop(text: str) -> str:
    return _lines(text.strip("\n").strip("。").split("。"))


def _by_stop(text: str) -> str:
    return _lines(re.split(r"(?<!\d)\.(?!\d)", text.strip("\n").strip(".")))


def _by_mark(text: str) -> str:
    text = text.strip("\n")
    found, held = [], ""
    for index, letter in enumerate(text):
        held += letter
        inside = letter == "." and text[index - 1 : index].isdigit() and text[index + 1 : index + 2].isdigit()
        if letter in _SILENT_ANYWHERE and not inside:
            found.append(held)
            held = ""
    if held:
        found.append(held)
    return "\n".join(piece for piece in found if not set(piece) <= _SILENT_ANYWHERE)


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if not set(part) <= _SILENT)


_METHODS: dict[str, Callable[[str], str]] = {
    "cut0": _whole, "cut1": _by_four, "cut2": _by_fifty, "cut3": _by_chinese_stop, "cut4": _by_stop, "cut5": _by_mark,
}  # fmt: skip
