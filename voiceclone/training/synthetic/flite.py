"""The flite engine: libflite in this process, whose utterance structure holds phones, times, stress and words."""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceclone.training.synthetic.engines import Line, with_secondary_stress
from voiceclone.training.synthetic.speech import SAMPLE_RATE, EngineMissing, Segment, Speech, assemble
from voiceclone.training.synthetic.symbols import FLITE, lookup

_INSTALL: Final = "flite is missing or incomplete ({error}); install it with: apt-get install flite"
#: The 16 kHz voices. `kal` is left out: it speaks at 8 kHz.
VOICES: Final = ("slt", "rms", "awb", "kal16")


class _Wave(ctypes.Structure):
    """cst_wave of flite's cst_wave.h."""

    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


def _library(name: str) -> ctypes.CDLL:
    try:
        # The voices look their lexicon up among the global symbols.
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise EngineMissing(_INSTALL.format(error=error)) from error


def _declare(library: ctypes.CDLL) -> None:
    pointer, string = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "flite_synth_text": (pointer, [string, pointer]),
        "delete_utterance": (None, [pointer]),
        "utt_relation": (pointer, [pointer, string]),
        "utt_wave": (pointer, [pointer]),
        "relation_head": (pointer, [pointer]),
        "item_next": (pointer, [pointer]),
        "item_as": (pointer, [pointer, string]),
        "item_parent": (pointer, [pointer]),
        "item_feat_string": (string, [pointer, string]),
        "ffeature_string": (string, [pointer, string]),
        "ffeature_float": (ctypes.c_float, [pointer, string]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


class FliteEngine:
    """Speaks with flite's voices slt, rms, awb and kal16 at their natural pitch and rate."""

    def __init__(self) -> None:
        self._flite = _library("libflite.so.1")
        _library("libflite_usenglish.so.1")
        _library("libflite_cmulex.so.1")
        _declare(self._flite)
        self._flite.flite_init()
        self._c = ctypes.CDLL(None)
        self._voices: dict[str, int] = {}

    def _voice(self, name: str) -> int:
        if name not in VOICES:
            raise ValueError(f"no flite voice {name!r}; there are {', '.join(VOICES)}")
        if name not in self._voices:
            register = getattr(_library(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
            self._voices[name] = register(None)
        return self._voices[name]

    def speak(self, lines: Sequence[Line]) -> list[Speech]:
        """Speech of every line, in order. Raises UnknownSymbol on a phone without a place in the inventory."""
        return [self._speak(line) for line in lines]

    def _speak(self, line: Line) -> Speech:
        # flite's breath noise comes from rand(): seeded, a line sounds the same whatever was said before it.
        self._c.srand(zlib.crc32(line.text.encode()))
        utterance = self._flite.flite_synth_text(line.text.encode("ascii"), self._voice(line.voice))
        try:
            segments, words = self._segments(utterance)
            samples = self._samples(utterance)
        finally:
            self._flite.delete_utterance(utterance)
        return assemble(samples, with_secondary_stress(segments, words), words, line.text)

    def _samples(self, utterance: int) -> NDArray[np.float32]:
        wave = ctypes.cast(self._flite.utt_wave(utterance), ctypes.POINTER(_Wave)).contents
        if wave.sample_rate != SAMPLE_RATE:
            raise ValueError(f"flite spoke at {wave.sample_rate} Hz where {SAMPLE_RATE} Hz was expected")
        raw: NDArray[np.int16] = np.ctypeslib.as_array(wave.samples, (wave.num_samples,))
        samples = raw.astype(np.float32)
        samples /= 32768
        return samples

    def _segments(self, utterance: int) -> tuple[list[Segment], list[str]]:
        segments: list[Segment] = []
        words: list[str] = []
        last_word = 0
        item = self._flite.relation_head(self._flite.utt_relation(utterance, b"Segment"))
        while item:
            word = self._word(item)
            if word and word != last_word:
                name = self._flite.item_feat_string(word, b"name").decode("ascii")
                if name.startswith("'") and words:
                    words[-1] += name  # flite takes "it's" for two words
                else:
                    words.append(name)
                last_word = word
            symbol = self._flite.item_feat_string(item, b"name").decode("ascii")
            segments.append(
                Segment(
                    phone=lookup(FLITE, symbol, "flite"),
                    end=float(self._flite.ffeature_float(item, b"end")),
                    stress=int(self._flite.ffeature_string(item, b"R:SylStructure.parent.stress")),
                    word=len(words) - 1 if word else -1,
                )
            )
            item = self._flite.item_next(item)
        return segments, words

    def _word(self, segment: int) -> int:
        """Address of the word that speaks `segment`, 0 for a pause."""
        node = self._flite.item_as(segment, b"SylStructure")
        for _ in range(2):
            node = self._flite.item_parent(node) if node else None
        return node or 0
