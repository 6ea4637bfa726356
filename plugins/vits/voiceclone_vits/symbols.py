"""The symbols a checkpoint was trained on, and how a sequence of them becomes token ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from voiceclone.errors import ModelFilesInvalid


class Alphabet(str, Enum):
    """What the symbols are: IPA as espeak writes it, the letters of a script, or something this project cannot tell."""

    IPA = "ipa"
    LETTERS = "letters"
    UNKNOWN = "unknown"


class Tokens(NamedTuple):
    """``ids`` for the model; ``owners`` says which unit of the text each of them belongs to."""

    ids: list[int]
    owners: list[int]


@dataclass(frozen=True)
class SymbolTable:
    """Symbols with their ids. A sequence is ``begin``, the symbols with ``blank`` around each, and ``end``."""

    ids: Mapping[str, tuple[int, ...]]
    alphabet: Alphabet = Alphabet.UNKNOWN
    blank: int | None = 0
    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    #: Symbols at which the sequence is cut: transformers puts no blank around its special tokens.
    cuts: tuple[str, ...] = ()
    #: Id of a symbol that is not in the table; None: it is left out.
    unknown: int | None = None
    #: Letters that stand for another: Romanian as MMS learned it.
    replaced: Mapping[str, str] = field(default_factory=dict)
    #: Only this table's letters are kept, in lower case, and blanks at both ends go.
    normalise: bool = False
    #: The text must be romanised first.
    romanise: bool = False

    def fold(self, text: str) -> str:
        """``text`` with each letter that the table lacks in lower case, where it has that; as long as before."""
        return "".join(
            letter.lower()
            if letter not in self.ids and letter.lower() in self.ids and len(letter.lower()) == 1
            else letter
            for letter in text
        )

    def encode(self, symbols: Sequence[tuple[str, int]]) -> Tokens:
        """Token ids of (symbol, owner) pairs; what the model cannot know is left out."""
        ids: list[int] = []
        owners: list[int] = []
        for run in self._runs(symbols):
            if run[0][0] in self.cuts:
                ids += self.ids[run[0][0]]
                owners += [run[0][1]] * len(self.ids[run[0][0]])
                continue
            for symbol, owner in run:
                known = self._of(symbol)
                blanks = [] if self.blank is None else [self.blank]
                ids += [*blanks, *known]
                owners += [owner] * (len(blanks) + len(known))
            if self.blank is not None:
                ids.append(self.blank)
                owners.append(run[-1][1])
        first, last = (owners[0], owners[-1]) if owners else (0, 0)
        return Tokens([*self.begin, *ids, *self.end], [first] * len(self.begin) + owners + [last] * len(self.end))

    def _of(self, symbol: str) -> tuple[int, ...]:
        known = self.ids.get(symbol)
        return known if known is not None else () if self.unknown is None else (self.unknown,)

    def _runs(self, symbols: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
        """``symbols`` that are known, cut before and after every one of ``cuts``."""
        runs: list[list[tuple[str, int]]] = []
        joined = False
        for symbol, owner in symbols:
            if symbol not in self.ids and self.unknown is None:
                continue
            cut = symbol in self.cuts
            if joined and not cut:
                runs[-1].append((symbol, owner))
            else:
                runs.append([(symbol, owner)])
            joined = not cut
        return runs

    def split(self, text: str) -> list[tuple[str, int]]:
        """``text`` as (symbol, index of its letter in ``text``), normalised where the table asks for it."""
        pieces = re.compile("|".join(re.escape(cut) for cut in sorted(self.cuts, key=len, reverse=True)) or "(?!)")
        letters: list[tuple[str, int]] = []
        for index, letter in enumerate(text):
            letter = self.replaced.get(letter, letter)
            if not self.normalise:
                letters.append((letter, index))
            else:
                letters += [(small, index) for small in self._normal(letter) if small in self.ids]
        if self.normalise:
            while letters and letters[0][0].isspace():
                letters.pop(0)
            while letters and letters[-1][0].isspace():
                letters.pop()
            return letters
        joined, symbols, at = "".join(letter for letter, _ in letters), [], 0
        for match in pieces.finditer(joined):
            symbols += letters[at : match.start()]
            symbols.append((match[0], letters[match.start()][1]))
            at = match.end()
        return [*symbols, *letters[at:]]

    def _normal(self, letter: str) -> str:
        return letter if letter in self.ids else letter.lower()

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "alphabet": self.alphabet.value}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SymbolTable:
        """Inverse of :meth:`as_data`. Raises ModelFilesInvalid."""
        try:
            values = dict(data)
            values["ids"] = {str(symbol): tuple(int(one) for one in ids) for symbol, ids in values["ids"].items()}
            values["alphabet"] = Alphabet(values["alphabet"])
            for name in ("begin", "end", "cuts"):
                values[name] = tuple(values.get(name, ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFilesInvalid(f"the table of symbols is not one of this project's: {error}.") from error


def numbered(symbols: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Symbols to ids in order; the last of equal ones wins, as in every original."""
    return {symbol: (index,) for index, symbol in enumerate(symbols)}


_PAD = "_"
_PUNCTUATION = ';:,.!?¡¿—…"«»“” '
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# fmt: off
_IPA = (
    "ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ"
)
# fmt: on
#: The 178 symbols of VITS and VITS2 as published.
VITS_SYMBOLS: tuple[str, ...] = (_PAD, *_PUNCTUATION, *_LETTERS, *_IPA)
