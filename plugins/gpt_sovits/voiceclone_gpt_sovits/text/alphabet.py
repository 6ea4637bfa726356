"""The two alphabets of phonemes: that of v1, and that of all later versions, which knows more languages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from voiceclone.errors import InvalidRequest


class Alphabet:
    """Phonemes as upstream spells them, and their numbers."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._numbers

    def encode(self, phonemes: Sequence[str]) -> list[int]:
        """Numbers of ``phonemes``. Raises InvalidRequest naming one that is not known."""
        unknown = next((phoneme for phoneme in phonemes if phoneme not in self._numbers), None)
        if unknown is not None:
            raise InvalidRequest(f"the model knows no phoneme {unknown!r}.", field="text")
        return [self._numbers[phoneme] for phoneme in phonemes]


@lru_cache(2)
def alphabet(size: int = 732) -> Alphabet:
    """By the number of rows a model's embedding has: 322 is v1's. Raises ValueError for any other."""
    listed = json.loads(files(__package__).joinpath("symbols.json").read_text("utf-8"))
    found = next((symbols for symbols in listed.values() if len(symbols) == size), None)
    if found is None:
        raise ValueError(f"no alphabet has {size} phonemes")
    return Alphabet(found)
