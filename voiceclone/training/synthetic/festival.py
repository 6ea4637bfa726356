"""The festival engine: voice_ked_diphone, several utterances a process because its start takes most of a second."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import soundfile

from voiceclone.training.synthetic.engines import Line, join_coloured, with_secondary_stress
from voiceclone.training.synthetic.speech import SAMPLE_RATE, EngineMissing, Segment, Speech, assemble
from voiceclone.training.synthetic.symbols import FESTIVAL, lookup

_INSTALL: Final = "apt-get install festival festvox-kdlpc16k"
VOICES: Final[dict[str, str]] = {"ked": "voice_ked_diphone"}

#: One line a segment: number of the utterance, symbol, end in seconds, stress, index of the word from 1 (0 none), word.
_SCRIPT: Final = """
({voice})
(define (render number text path)
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))) (index 0))
    (mapcar
      (lambda (word) (set! index (+ index 1)) (item.set_feat word "index" index))
      (utt.relation.items utt 'Word))
    (utt.save.wave utt path 'riff)
    (mapcar
      (lambda (segment)
        (format t "segment\\t%d\\t%s\\t%f\\t%s\\t%s\\t%s\\n" number (item.name segment) (item.feat segment "end")
          (item.feat segment "R:SylStructure.parent.stress")
          (item.feat segment "R:SylStructure.parent.parent.index")
          (item.feat segment "R:SylStructure.parent.parent.name")))
      (utt.relation.items utt 'Segment))))
"""


class FestivalEngine:
    """Speaks with festival's American English diphone voice, `ked`."""

    def __init__(self) -> None:
        program = shutil.which("festival")
        if program is None:
            raise EngineMissing(f"festival is missing; install it with: {_INSTALL}")
        self._program = program

    def speak(self, lines: Sequence[Line]) -> list[Speech]:
        """Speech of every line, in order; all must share one voice.

        Raises UnknownSymbol on a phone without a place in the inventory, EngineMissing without the voice.
        """
        if not lines:
            return []
        voices = {line.voice for line in lines}
        if len(voices) > 1 or not voices <= VOICES.keys():
            raise ValueError(f"festival speaks one voice of {', '.join(VOICES)} at a time, got {sorted(voices)}")
        with tempfile.TemporaryDirectory() as folder:
            spoken = _parse(self._run(lines, Path(folder)), len(lines))
            return [
                self._assemble(Path(folder) / f"{number}.wav", *spoken[number], line.text)
                for number, line in enumerate(lines)
            ]

    def _run(self, lines: Sequence[Line], folder: Path) -> str:
        """Writes `<number>.wav` for every line into `folder` and returns what festival printed."""
        calls = []
        for number, line in enumerate(lines):
            text = line.text.replace("\\", " ").replace('"', " ")
            calls.append(f'(render {number} "{text}" "{folder / f"{number}.wav"}")')
        script = folder / "render.scm"
        script.write_text(_SCRIPT.format(voice=VOICES[lines[0].voice]) + "\n".join(calls) + "\n", encoding="ascii")
        done = subprocess.run([self._program, "-b", str(script)], capture_output=True, text=True, check=False)
        if "unbound variable : voice_" in done.stderr:
            raise EngineMissing(f"festival has no {VOICES[lines[0].voice]}; install it with: {_INSTALL}")
        if done.returncode:
            raise RuntimeError(f"festival failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _assemble(self, path: Path, segments: list[Segment], words: list[str], text: str) -> Speech:
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != SAMPLE_RATE:
            raise ValueError(f"festival spoke at {rate} Hz where {SAMPLE_RATE} Hz was expected")
        return assemble(samples, with_secondary_stress(join_coloured(segments), words), words, text)


def _parse(output: str, count: int) -> list[tuple[list[Segment], list[str]]]:
    """Segments and words of each of `count` utterances in what the script printed."""
    spoken: list[tuple[list[Segment], list[str]]] = [([], []) for _ in range(count)]
    for row in output.splitlines():
        if not row.startswith("segment\t"):
            continue
        _, number, symbol, end, stress, index, name = row.split("\t")
        segments, words = spoken[int(number)]
        phone = lookup(FESTIVAL, symbol, "festival")
        word = int(index) - 1
        if word >= 0:
            words.extend([""] * (word + 1 - len(words)))
            words[word] = name
        elif phone == "r" and segments:
            word = segments[-1].word  # the voice adds an `r` to `er`, and it belongs to no word
        segments.append(Segment(phone, float(end), int(stress), word))
    return spoken
