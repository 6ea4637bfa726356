"""Sets of English words that decide how the words beside them are read."""

from __future__ import annotations

from typing import Final


def word_set(words: str) -> frozenset[str]:
    """The blank-separated ``words`` as a set."""
    return frozenset(words.split())


#: Acronyms spelled although the lexicon holds a word that looks the same.
SPELLED: Final = word_set(
    """
    AD AI AM BC BCE CA CD CE DA DC ER GI HR ID IP IQ IRA IT MD MS OS PC PE PHD PM PR RN TV UN US UV
    """
)

#: Acronyms said as words although the lexicon may not hold them.
SAID: Final = word_set(
    """
    AIDS COVID GIF JPEG JSON LAN LASER NAFTA NASA NATO OPEC PIN RADAR RAM ROM SCUBA SIM SWAT UNESCO UNICEF WAN YOLO
    """
)

#: A Roman numeral after one of these is an ordinal: "Henry VIII".
REGNAL: Final = word_set(
    """
    albert alexander alfonso benedict boniface carl catherine charles christian clement constantine edward elizabeth
    ferdinand francis frederick george gregory gustav haakon henry innocent ivan james john king leo leopold louis mary
    napoleon nicholas olav otto paul peter philip pius pope ptolemy queen ramses richard stephen umberto victor william
    """
)

#: A Roman numeral after one of these is a count: "Chapter IV".
NUMBERED: Final = word_set(
    """
    act apollo appendix article book bowl category chapter class division episode factor fantasy figure grade level mark
    part phase rocky scene season section stage table tier title type volume war world
    """
)

#: Figures after one of these are said one by one: "PIN 1234".
CODED: Final = word_set("code extension password pin zip")

#: Three figures after one of these are said as two numbers: "room 101", "flight 370".
PAIRED: Final = word_set("apartment boeing bus error flight highway interstate room suite")

#: Four figures after one of these are a year even where they are seldom one: "in 1066".
DATING: Final = word_set("after around before by circa during from in since until year")

#: A capital A after one of these is the letter: "vitamin A".
LETTERED: Final = word_set("appendix class exhibit grade group hepatitis option plan section team type vitamin")

#: Words that begin with an apostrophe.
APOSTROPHE_FIRST: Final = word_set("'bout 'cause 'em 'n 'til 'tis 'twas")

#: The word after one of these is a verb, whatever it looks like: "to record", "they will object".
VERB_FOLLOWS: Final = word_set(
    """
    can can't cannot could couldn't didn't doesn't don't let's may might must should shouldn't to will won't would
    wouldn't
    """
)
