"""What every engine does: it takes lines to speak and gives back speech with exact phone times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Protocol

from voiceclone.text.phones import VOWELS
from voiceclone.training.synthetic.lexicon import demote_secondary
from voiceclone.training.synthetic.speech import Segment, Speech


@dataclass(frozen=True)
class Line:
    """A sentence and how to say it. `pitch` and `pitch_range` are 0..100 and `rate` words a minute: espeak-ng only."""

    text: str
    voice: str
    pitch: int = 50
    pitch_range: int = 50
    rate: int = 175


class Engine(Protocol):
    """A synthesizer. Engines hold native state: one object serves one thread."""

    def speak(self, lines: Sequence[Line]) -> list[Speech]:
        """Speech of every line, in order. Raises UnknownSymbol on a phone without a place in the inventory."""
        ...


@cache
def engine(name: str) -> Engine:
    """The engine `name` (espeak, flite or festival) of this process. Raises EngineMissing where it is not installed."""
    # Each engine is imported on demand: loading the library of one must not need the others.
    if name == "espeak":
        from voiceclone.training.synthetic.espeak import EspeakEngine

        return EspeakEngine()
    if name == "flite":
        from voiceclone.training.synthetic.flite import FliteEngine

        return FliteEngine()
    if name == "festival":
        from voiceclone.training.synthetic.festival import FestivalEngine

        return FestivalEngine()
    raise ValueError(f"no engine {name!r}; there are espeak, flite and festival")


def with_secondary_stress(segments: Sequence[Segment], words: Sequence[str]) -> list[Segment]:
    """Segments whose vowels carry secondary stress where the lexicon has it: flite and festival know only one."""
    result: list[Segment] = []
    for word, run in groupby(segments, key=lambda segment: segment.word):
        spoken = list(run)
        if word >= 0:
            vowels = [index for index, segment in enumerate(spoken) if segment.phone in VOWELS]
            stresses = demote_secondary(words[word], [spoken[index].stress for index in vowels])
            for index, stress in zip(vowels, stresses, strict=True):
                spoken[index] = replace(spoken[index], stress=stress)
        result.extend(spoken)
    return result


def join_coloured(segments: Sequence[Segment]) -> list[Segment]:
    """Segments without the `r` that an engine adds to an r-coloured sound of the same word (er r, or r r)."""
    joined: list[Segment] = []
    for segment in segments:
        before = joined[-1] if joined else None
        if before and segment.phone == "r" and before.phone in ("er", "r") and before.word == segment.word:
            joined[-1] = replace(before, end=segment.end)
        else:
            joined.append(segment)
    return joined
