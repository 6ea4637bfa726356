"""The phone inventory every English frontend and corpus of this project speaks: ARPABET symbols with their IPA labels.

A phone is a stress-free ARPABET symbol; stress travels beside it as an integer (0 none, 1 primary, 2 secondary).
``pau`` is a pause and carries the punctuation that made it through its own stress value (see :data:`PAUSE_STRESS`).
"""

from __future__ import annotations

from typing import Final

#: Padding; id 0, so that zero-filled batches are padded batches.
PAD: Final = "pad"
#: Silence between phrases and at both ends of an utterance.
PAUSE: Final = "pau"

#: ARPABET symbol -> IPA label, as it leaves in timing events.
ARPABET_TO_IPA: Final[dict[str, str]] = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "b": "b", "ch": "tʃ", "d": "d",
    "dh": "ð", "eh": "ɛ", "er": "ɝ", "ey": "eɪ", "f": "f", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ",
    "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s",
    "sh": "ʃ", "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip

#: Every phone a model may see; the index is its id.
PHONES: Final[tuple[str, ...]] = (PAD, PAUSE, *ARPABET_TO_IPA)
PHONE_IDS: Final[dict[str, int]] = {phone: index for index, phone in enumerate(PHONES)}

VOWELS: Final[frozenset[str]] = frozenset(
    ("aa", "ae", "ah", "ao", "aw", "ax", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw")
)

#: What the stress value of a pause says: the kind of boundary it stands for.
PAUSE_STRESS: Final[dict[str, int]] = {"": 0, ",": 1, ";": 1, ":": 1, "-": 1, ".": 2, "!": 3, "?": 4}

#: Stress values a model may see (0..4): three of vowels, five of pauses.
STRESS_COUNT: Final = 5


def ipa_label(phone: str) -> str:
    """IPA label of an ARPABET ``phone``; the empty string for silence. Raises KeyError on an unknown phone."""
    return "" if phone in (PAD, PAUSE) else ARPABET_TO_IPA[phone]
