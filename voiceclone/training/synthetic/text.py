"""The sentences of a corpus: prose, grammar and dictionary words mixed, the same for the same seed."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterable
from typing import Final

from voiceclone.training.synthetic.grammar import grammar_sentence
from voiceclone.training.synthetic.harvard import HARVARD_SENTENCES
from voiceclone.training.synthetic.lexicon import plain_words
from voiceclone.training.synthetic.prose import prose_sentences

#: Shares of the sources.
_PROSE_SHARE: Final = 0.25
_DICTIONARY_SHARE: Final = 0.33
#: One prose sentence in so many is kept back for validation and for test references.
_HELD_OUT_ONE_IN: Final = 12

_CARRIERS: Final[tuple[str, ...]] = (
    "The {} {} stood near a {}.",
    "Please say {}, {} and {}.",
    "Did {} mean {} or {}?",
    "I wrote {} on the {} {}.",
    "Between {} and {} lies the {} {}.",
    "Not {}, but {} and {}!",
    "They call it {} or sometimes {} {}.",
    "First {}, then {}, and at last {}.",
    "Every {} has a {} of {}.",
    "She spelled {} after {} and {}.",
    "Why would a {} {} need {}?",
    "His {} was {}, her {} was {}.",
    "{}, {} and {} are words you may not know.",
    "Take the {} from the {} in the {} room.",
    "Is {} {} worth more than {}?",
    "We heard {} {} about {} all night long.",
)


def normalised(sentence: str) -> str:
    """`sentence` as bare lower-case words, to compare texts."""
    return " ".join(re.findall(r"[a-z']+", sentence.lower()))


def dictionary_sentence(random_source: random.Random) -> str:
    """A carrier sentence with random words of the lexicon, for the phones and clusters that prose is short of."""
    carrier = random_source.choice(_CARRIERS)
    words = plain_words()
    sentence = carrier.format(*(random_source.choice(words) for _ in range(carrier.count("{}"))))
    return sentence[0].upper() + sentence[1:]


def _held_out(sentence: str) -> bool:
    return zlib.crc32(sentence.encode()) % _HELD_OUT_ONE_IN == 0


class TextSource:
    """An endless stream of distinct sentences of 4 to 16 words, the same for the same seed.

    `held_out` streams read the prose that training streams never see. `excluded` sentences, and the Harvard
    sentences always, are left out. Prose starts again from its beginning when it is used up.
    """

    def __init__(self, seed: int, *, held_out: bool = False, excluded: Iterable[str] = ()) -> None:
        self._random = random.Random(f"text {seed} {held_out}")
        self._prose = [sentence for sentence in prose_sentences() if _held_out(sentence) == held_out]
        self._random.shuffle(self._prose)
        self._position = 0
        self._excluded = {normalised(sentence) for sentence in (*excluded, *HARVARD_SENTENCES)}
        self._drawn: set[str] = set()

    def prose(self) -> str:
        """The next sentence of prose."""
        sentence = self._prose[self._position % len(self._prose)]
        self._position += 1
        return self.prose() if normalised(sentence) in self._excluded else sentence

    def sentence(self) -> str:
        """The next sentence of the mix."""
        draw = self._random.random()
        if draw < _PROSE_SHARE:
            return self.prose()
        maker = dictionary_sentence if draw < _PROSE_SHARE + _DICTIONARY_SHARE else grammar_sentence
        while True:
            sentence = maker(self._random)
            key = normalised(sentence)
            if 4 <= len(key.split()) <= 16 and key not in self._drawn and key not in self._excluded:
                self._drawn.add(key)
                return sentence
