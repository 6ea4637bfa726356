"""The espeak-ng engine: libespeak-ng in this process, whose phoneme events are exact sample positions."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceclone.text.phones import PAUSE
from voiceclone.training.synthetic.engines import Line, join_coloured
from voiceclone.training.synthetic.speech import SAMPLE_RATE, EngineMissing, Segment, Speech, assemble, resample
from voiceclone.training.synthetic.symbols import ESPEAK, FIRST_SHARE, lookup

_INSTALL: Final = "apt-get install espeak-ng"
#: espeak-ng starts and stops at once; silence of the length that the other engines have, seconds.
_EDGE_SILENCE: Final = 0.2

# Constants of espeak-ng's speak_lib.h.
_SYNCHRONOUS: Final = 2
_PHONEME_EVENTS: Final = 1
_UTF8: Final = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_WORD, _PHONEME = 1, 7
_SEPARATOR: Final = "/"
_WORD_TEXT: Final = re.compile(r"[^\s,.;:!?\"]+")
_STRESS_MARKS: Final = {"'": 1, ",": 2}


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class _Phoneme:
    """A phoneme event: it starts at `sample`; `word` is the index of its word, -1 before the first."""

    symbol: str
    sample: int
    word: int


class EspeakEngine:
    """Speaks American English with any variant of espeak-ng, e.g. `f2`, at any pitch, range and rate."""

    def __init__(self) -> None:
        try:
            self._espeak = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise EngineMissing(f"espeak-ng is missing ({error}); install it with: {_INSTALL}") from error
        self._rate = self._espeak.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        if self._rate <= 0:
            raise EngineMissing(f"espeak-ng does not start; reinstall it with: {_INSTALL}")
        self._espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._espeak.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        self._espeak.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        self._chunks: list[NDArray[np.int16]] = []
        self._phonemes: list[_Phoneme] = []
        self._words: list[int] = []
        # Kept on the object: ctypes frees a callback that nothing refers to, and the library still calls it.
        self._callback = _Callback(self._receive)
        self._espeak.espeak_SetSynthCallback(self._callback)
        self._variants = frozenset(variants(self._data_folder()))

    def _data_folder(self) -> Path:
        path = ctypes.c_char_p()
        self._espeak.espeak_Info.restype = ctypes.c_char_p
        self._espeak.espeak_Info(ctypes.byref(path))
        return Path((path.value or b"").decode())

    def _receive(self, wave: object, count: int, events: object) -> int:
        if wave and count:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while (event := events[index]).type:  # type: ignore[index]
            if event.type == _WORD:
                self._words.append(event.text_position - 1)
            elif event.type == _PHONEME:
                self._phonemes.append(_Phoneme(event.id.string.decode(), event.sample, len(self._words) - 1))
            index += 1
        return 0

    def speak(self, lines: Sequence[Line]) -> list[Speech]:
        """Speech of every line, in order. Raises UnknownSymbol on a phone without a place in the inventory."""
        return [self._speak(line) for line in lines]

    def _speak(self, line: Line) -> Speech:
        # espeak-ng falls back to its default voice in silence.
        if line.voice not in self._variants:
            raise ValueError(f"no espeak-ng variant {line.voice!r}")
        self._espeak.espeak_SetVoiceByName(f"en-us+{line.voice}".encode())
        for parameter, value in ((_RATE, line.rate), (_PITCH, line.pitch), (_RANGE, line.pitch_range)):
            self._espeak.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        self._phonemes.clear()
        self._words.clear()
        text = line.text.encode()
        self._espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        if not self._phonemes:
            raise ValueError(f"nothing to speak in {line.text!r}")
        wave = np.concatenate(self._chunks).astype(np.float32) / np.float32(32768)
        samples = resample(wave, round(len(wave) * SAMPLE_RATE / self._rate))
        edge = np.zeros(round(_EDGE_SILENCE * SAMPLE_RATE), dtype=np.float32)
        # The event of "isn't" spans "isn" only.
        words = [match[0] if (match := _WORD_TEXT.match(line.text, start)) else "" for start in self._words]
        segments = join_coloured(self._segments(len(wave), self._stresses(line.text)))
        return assemble(np.concatenate([edge, samples, edge]), segments, words, line.text)

    def _segments(self, length: int, stresses: Sequence[int]) -> list[Segment]:
        """Segments of the utterance whose wave has `length` samples, edges included; `stresses` go by phoneme."""
        segments = [Segment(PAUSE, _EDGE_SILENCE + self._phonemes[0].sample / self._rate)]
        starts = [phoneme.sample for phoneme in self._phonemes] + [length]
        for index, phoneme in enumerate(self._phonemes):
            start, end = (_EDGE_SILENCE + sample / self._rate for sample in starts[index : index + 2])
            phones = lookup(ESPEAK, phoneme.symbol, "espeak-ng")
            if phoneme.symbol == "i@" and self._phonemes[index + 1].symbol == "r":
                phones = ("ih",)  # "period": the vowel glides into the r that follows
            if not phones:
                segments[-1] = Segment(segments[-1].phone, end, segments[-1].stress, segments[-1].word)
                continue
            word = -1 if phones[0] == PAUSE else phoneme.word
            if len(phones) == 2:
                middle = start + (end - start) * FIRST_SHARE
                segments.append(Segment(phones[0], middle, stresses[index], word))
                start = middle
            stress = stresses[index] if len(phones) == 1 else 0
            segments.append(Segment(phones[-1], end, stress, word))
        segments.append(Segment(PAUSE, 2 * _EDGE_SILENCE + length / self._rate))
        return segments

    def _stresses(self, text: str) -> list[int]:
        """Stress of every phoneme event: events carry none, so it comes from the phoneme string of the same text."""
        pointer = ctypes.pointer(ctypes.c_char_p(text.encode()))
        symbols: list[str] = []
        stresses: list[int] = []
        while pointer.contents.value is not None:
            clause = self._espeak.espeak_TextToPhonemes(pointer, _UTF8, ord(_SEPARATOR) << 8) or b""
            for token in clause.decode().replace(" ", _SEPARATOR).split(_SEPARATOR):
                symbol = token.lstrip("',%=")
                if symbol:
                    symbols.append(symbol)
                    stresses.append(_STRESS_MARKS.get(token[0], 0))
        result = [0] * len(self._phonemes)
        matcher = SequenceMatcher(None, symbols, [phoneme.symbol for phoneme in self._phonemes], autojunk=False)
        for first, second, size in matcher.get_matching_blocks():
            result[second : second + size] = stresses[first : first + size]
        return result


def variants(data: Path) -> list[str]:
    """Names of the voice variants that the espeak-ng data folder `data` holds, sorted."""
    return sorted(path.name for path in (data / "voices" / "!v").iterdir() if path.is_file())
