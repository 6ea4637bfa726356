"""What each engine calls a phone, mapped to the phone inventory."""

from __future__ import annotations

from typing import Final, TypeVar

from voiceclone.text.phones import ARPABET_TO_IPA, PAUSE
from voiceclone.training.synthetic.speech import UnknownSymbol

Phones = TypeVar("Phones")

#: flite's US English phone set; `axr` is what its phone set declares beside the symbols that it shares with us.
FLITE: Final[dict[str, str]] = {**{phone: phone for phone in ARPABET_TO_IPA}, "pau": PAUSE, "axr": "er", "ssil": PAUSE}

#: festival's radio phone set, which voice_ked_diphone speaks; syllabic and reduced symbols fold into their neighbours.
FESTIVAL: Final[dict[str, str]] = {
    **{phone: phone for phone in ARPABET_TO_IPA},
    "pau": PAUSE, "h#": PAUSE, "brth": PAUSE, "axr": "er", "dx": "t", "nx": "n", "hv": "hh", "el": "l", "em": "m",
    "en": "n",
}  # fmt: skip

#: espeak-ng's mnemonics of en-us to one or two of our phones; an empty tuple joins the phone before it.
ESPEAK: Final[dict[str, tuple[str, ...]]] = {
    # Pauses; `_!` is the catch in the breath before a stressed word, too short to be one.
    "_": (PAUSE,), "_:": (PAUSE,), "_::": (PAUSE,), "__": (PAUSE,), "_^": (PAUSE,), "_!": (), "_|": (), "|": (),
    # Vowels
    "a": ("ae",), "aa": ("ae",), "A:": ("aa",), "A": ("aa",), "A~": ("aa",), "0": ("aa",), "0#": ("aa",),
    "O": ("ao",), "O:": ("ao",), "O2": ("ao",), "O~": ("ao",), "V": ("ah",), "V#": ("ah",),
    "@": ("ax",), "@2": ("ax",), "@5": ("ax",), "@-": ("ax",), "a#": ("ax",), "E": ("eh",), "E2": ("eh",),
    "E#": ("eh",), "I": ("ih",), "I2": ("ih",), "I#": ("ih",), "i": ("iy",), "i:": ("iy",), "U": ("uh",),
    "u": ("uw",), "u:": ("uw",), "3": ("er",), "3:": ("er",),
    "aI": ("ay",), "aU": ("aw",), "eI": ("ey",), "OI": ("oy",), "o": ("ow",), "oU": ("ow",), "oU#": ("ow",),
    # A vowel and what it glides into, one sound to espeak-ng
    "A@": ("aa", "r"), "O@": ("ao", "r"), "o@": ("ao", "r"), "e@": ("eh", "r"), "U@": ("uh", "r"),
    "i@3": ("ih", "r"), "i@": ("iy", "ax"), "aI@": ("ay", "ax"), "aI3": ("ay", "er"), "aU@": ("aw", "er"),
    "@L": ("ax", "l"),
    # The palatal glide at the end of `i` before another vowel
    ";": (),
    # Consonants
    "p": ("p",), "b": ("b",), "t": ("t",), "t2": ("t",), "t#": ("t",), "?": ("t",), "d": ("d",), "d#": ("d",),
    "k": ("k",), "g": ("g",), "f": ("f",), "v": ("v",), "T": ("th",), "D": ("dh",), "s": ("s",), "z": ("z",),
    "z#": ("z",), "S": ("sh",), "Z": ("zh",), "h": ("hh",), "x": ("k",), "tS": ("ch",), "dZ": ("jh",),
    "m": ("m",), "n": ("n",), "n-": ("ax", "n"), "N": ("ng",), "l": ("l",), "l#": ("l",), "r": ("r",),
    "r-": ("r",), "w": ("w",), "j": ("y",),
}  # fmt: skip

#: Share of a two-phone sound that its first phone takes, where the engine gives one duration for both.
FIRST_SHARE: Final = 0.6


def lookup(table: dict[str, Phones], symbol: str, engine: str) -> Phones:
    """What `symbol` stands for. Raises UnknownSymbol, naming the engine, on a symbol that the table lacks."""
    try:
        return table[symbol]
    except KeyError:
        raise UnknownSymbol(f"{engine} spoke {symbol!r}, which its symbol table does not map to a phone") from None
