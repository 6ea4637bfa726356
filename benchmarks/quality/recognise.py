"""The judge of words: pocketsphinx with all words of the test set equally likely, or with its own language model."""

from __future__ import annotations

import math
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.judgements import Judgements, digest
from voiceclone.text.english import EnglishFrontend

_RATE: Final = 16_000
#: Silence put before and after an utterance, seconds: the recogniser expects some, and systems differ in theirs.
_PAD: Final = 0.2


def uniform_unigram(words: Sequence[str]) -> str:
    """ARPA language model in which every one of ``words``, and the end of the sentence, is equally likely."""
    chance = -math.log10(len(words) + 1)
    lines = [f"{chance:.6f} {word}" for word in sorted(words)]
    head = ["\\data\\", f"ngram 1={len(words) + 2}", "", "\\1-grams:", "-99 <s>", f"{chance:.6f} </s>"]
    return "\n".join([*head, *lines, "", "\\end\\", ""])


def closed_dictionary(words: Sequence[str], known: str, frontend: EnglishFrontend) -> tuple[str, list[str]]:
    """Lines of the dictionary ``known`` for ``words``, and the words it lacks, whose lines ``frontend`` spells."""
    wanted = set(words)
    lines = [line for line in known.splitlines() if line and line.split(" ", 1)[0].split("(")[0] in wanted]
    missing = sorted(wanted - {line.split(" ", 1)[0] for line in lines})
    for word in missing:
        sentence = frontend.analyse(word)[0]
        symbols = [phone.symbol for entry in sentence.words if not entry.is_pause for phone in entry.phones]
        lines.append(f"{word} {' '.join('AH' if symbol == 'ax' else symbol.upper() for symbol in symbols)}")
    return "\n".join(sorted(lines)) + "\n", missing


class Recogniser:
    """Transcribes 16 kHz audio in a pool of processes; verdicts are kept in ``cache``."""

    def __init__(self, cache: Path, words: Sequence[str] | None, processes: int = 2) -> None:
        """``words`` closes the vocabulary; None leaves it open. Raises ImportError without pocketsphinx."""
        import pocketsphinx

        self.missing: list[str] = []
        self._settings: tuple[str, str] | None = None
        if words is not None:
            known = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
            lines, self.missing = closed_dictionary(words, known, EnglishFrontend())
            self._settings = (lines, uniform_unigram(words))
        settings = digest(version("pocketsphinx"), str(_PAD), *(self._settings or ("open",)))
        self._judgements = Judgements(cache, f"words-{settings}")
        self._processes = processes

    def transcribe(
        self, utterances: Sequence[NDArray[np.float32]], advance: Callable[[], None] = lambda: None
    ) -> list[str]:
        """What is heard in each of ``utterances`` ``[T]``, in order; ``advance`` is called once for each."""
        todo = []
        for samples in utterances:
            if self._judgements.get(samples) is None:
                todo.append(samples)
            else:
                advance()
        if todo:
            # Spawned, not forked: the parent has torch's threads.
            context = multiprocessing.get_context("spawn")
            with context.Pool(min(self._processes, len(todo)), _start, (self._settings,)) as pool:
                for samples, heard in zip(todo, pool.imap(_transcribe, todo), strict=True):
                    self._judgements.put(samples, heard)
                    advance()
        return [str(self._judgements.get(samples)) for samples in utterances]


_decoder: Any = None


def _start(settings: tuple[str, str] | None) -> None:
    """Make this process's decoder."""
    global _decoder
    from pocketsphinx import Decoder

    if settings is None:
        _decoder = Decoder(loglevel="FATAL")
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("words.dict", "words.arpa")]
        for path, text in zip(paths, settings, strict=True):
            path.write_text(text, encoding="utf-8")
        _decoder = Decoder(dict=str(paths[0]), lm=str(paths[1]), loglevel="FATAL")


def _transcribe(samples: NDArray[np.float32]) -> str:
    silence = np.zeros(round(_PAD * _RATE), np.float32)
    padded = np.concatenate((silence, samples, silence))
    pcm = (padded.clip(-1.0, 1.0) * 32767.0).round().astype("<i2")
    _decoder.start_utt()
    # The whole utterance at once: normalised over itself, so that verdicts do not depend on what came before.
    _decoder.process_raw(pcm.tobytes(), full_utt=True)
    _decoder.end_utt()
    found = _decoder.hyp()
    return found.hypstr if found is not None else ""
