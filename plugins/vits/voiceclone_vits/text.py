"""Text to lines of tokens in a checkpoint's own symbols, each token tied to the phone or word that it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voiceclone import Timing, TimingKind, Utterance
from voiceclone.errors import LanguageUnsupported, PhonemesInvalid, TextEmpty
from voiceclone.lipsync.events import events_from_durations
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phonemes import parse_phonemes
from voiceclone.text.sentences import split_sentences
from voiceclone.text.types import Sentence, Word
from voiceclone.types import TextSpan
from voiceclone_vits.espeak_ipa import spell
from voiceclone_vits.options import VitsOptions
from voiceclone_vits.symbols import Alphabet, SymbolTable, Tokens

#: Letters that need no romanising.
_ROMAN = re.compile(r"[\x00-\u024f]*")


@dataclass(frozen=True)
class Line:
    """One stretch of text that is synthesised at once; ``tokens.owners`` count phones (``by_phone``) or words."""

    span: TextSpan
    text: str
    tokens: Tokens
    words: tuple[Word, ...] = ()
    by_phone: bool = False

    def events(self, samples: Sequence[int], start: int) -> list[Timing]:
        """SENTENCE, WORD and PHONEME timings of a line whose tokens last ``samples`` each, in order."""
        whole = Timing(TimingKind.SENTENCE, start, sum(samples), self.text, self.span)
        units = sum(len(word.phones) for word in self.words) if self.by_phone else len(self.words)
        counts = [0] * units
        if not units:
            return [whole]
        for owner, count in zip(self.tokens.owners, samples, strict=True):
            counts[owner] += count
        if self.by_phone:
            return [whole, *events_from_durations(self.words, counts, start)]
        events = [whole]
        for word, count in zip(self.words, counts, strict=True):
            if not word.is_pause:
                events.append(Timing(TimingKind.WORD, start, count, word.text, word.span))
            start += count
        return events


class TextFrontend:
    """Reads what a caller sent in the way the checkpoint was trained to be given text."""

    def __init__(self, symbols: SymbolTable, languages: Sequence[str]) -> None:
        self.symbols = symbols
        self.languages = tuple(languages)
        self._english = EnglishFrontend()

    @property
    def reads_english(self) -> bool:
        """Whether numbers, abbreviations and names are read out by this project's own English."""
        codes = {language.replace("_", "-").split("-")[0].lower() for language in self.languages}
        return not codes or bool(codes & {"en", "eng"})

    @property
    def timings(self) -> tuple[TimingKind, ...]:
        """What :meth:`Line.events` of a text can hold."""
        if self.symbols.alphabet is Alphabet.IPA and self.reads_english:
            return TimingKind.SENTENCE, TimingKind.WORD, TimingKind.PHONEME
        if self.symbols.alphabet is Alphabet.LETTERS:
            return TimingKind.SENTENCE, TimingKind.WORD
        return (TimingKind.SENTENCE,)

    def warm_up(self) -> None:
        if self.reads_english and self.symbols.alphabet is not Alphabet.UNKNOWN:
            self._english.warm_up()

    def lines(self, utterance: Utterance, options: VitsOptions) -> list[Line]:
        """Raises TextEmpty, LanguageUnsupported or PhonemesInvalid."""
        lines = [line for line in self._lines(utterance, options) if line.tokens.ids]
        if not lines:
            raise TextEmpty("the text has nothing in it that this model can say.", field="input.text")
        return lines

    def _lines(self, utterance: Utterance, options: VitsOptions) -> Iterator[Line]:
        text, alphabet = utterance.text, self.symbols.alphabet
        whole = TextSpan(0, len(text))
        if options.text_form == "ids":
            yield Line(whole, text, Tokens(ids := _numbers(text), [0] * len(ids)))
        elif options.text_form == "symbols" or (utterance.alphabet and not self.reads_english):
            yield Line(whole, text, self._raw(text))
        elif utterance.alphabet is not None:
            if alphabet is not Alphabet.IPA:
                raise PhonemesInvalid("this model reads letters, not phonemes.", field="input.phonemes")
            yield self._spoken(parse_phonemes(text, utterance.alphabet))
        elif alphabet is Alphabet.UNKNOWN:
            raise LanguageUnsupported(
                "the checkpoint does not say which symbols it was trained on, so text cannot be read for it.",
                subject="vits", hint="Send symbols or token ids with the option text_form, or add its symbol table.",
            )  # fmt: skip
        elif self.reads_english:
            for sentence in self._english.analyse(text, utterance.pronunciations):
                yield self._spoken(sentence) if alphabet is Alphabet.IPA else self._spelled(sentence)
        elif alphabet is Alphabet.IPA:
            raise LanguageUnsupported(
                f"this model wants phonemes of {self.languages[0]!r}, which cannot be read from text here.",
                subject="vits", hint="Send IPA as phonemes, as espeak-ng writes it.",
            )  # fmt: skip
        else:
            for span in split_sentences(text):
                yield self._letters(text[span.begin : span.end], span)

    def _raw(self, text: str) -> Tokens:
        missing = sorted({symbol for symbol in text if symbol not in self.symbols.ids})
        if missing or not text:
            raise PhonemesInvalid(
                f"the model has no symbol {', '.join(map(repr, missing[:5]))}." if missing else "there is no symbol.",
                field="input.text", hint=f"It has: {' '.join(map(repr, list(self.symbols.ids)[:80]))}.",
            )  # fmt: skip
        plain = replace(self.symbols, normalise=False)
        return plain.encode([(symbol, 0) for symbol in text])

    def _spoken(self, sentence: Sentence) -> Line:
        """Phones as espeak would have spelled them."""
        symbols = spell(sentence.words, self.symbols.ids.__contains__)
        return Line(sentence.span, sentence.normalized_text, self.symbols.encode(symbols), sentence.words, True)

    def _spelled(self, sentence: Sentence) -> Line:
        """The words as they are said, in letters: "three dollars" where the text has "$3"."""
        written = ""
        owners: list[int] = []
        for index, word in enumerate(sentence.words):
            piece = word.text if word.is_pause or not written else f" {word.text}"
            written += piece
            owners += [index] * len(piece)
        symbols = [(symbol, owners[index]) for symbol, index in self.symbols.split(self.symbols.fold(written))]
        return Line(sentence.span, sentence.normalized_text, self.symbols.encode(symbols), sentence.words)

    def _letters(self, text: str, span: TextSpan) -> Line:
        """The letters of a sentence in a language that this project does not read out."""
        written, sources = self._romanised(text)
        words, owner_of = [], [0] * (len(text) + 1)
        for index, match in enumerate(re.finditer(r"\S+", text)):
            where = TextSpan(span.begin + match.start(), span.begin + match.end())
            words.append(Word(match[0].strip(".,;:!?…\"'()[]«»“”").lower(), where, ()))
            owner_of[match.start() :] = [index] * (len(owner_of) - match.start())
        split = self.symbols.split(self.symbols.fold(written))
        symbols = [(symbol, owner_of[sources[index]]) for symbol, index in split]
        return Line(span, text, self.symbols.encode(symbols), tuple(words))

    def _romanised(self, text: str) -> tuple[str, list[int]]:
        """``text`` in Latin letters where the model wants those, and the place each letter comes from."""
        if not self.symbols.romanise or _ROMAN.fullmatch(text):
            return text, list(range(len(text)))
        try:
            import uroman
        except ImportError as error:
            raise LanguageUnsupported(
                "this model reads its language in Latin letters, which takes the romaniser uroman.",
                subject="vits", hint="`pip install uroman`, or send romanised text.",
            ) from error  # fmt: skip
        romaniser, written, sources = uroman.Uroman(), "", []
        for match in re.finditer(r"\s+|\S+", text):
            piece = match[0] if match[0].isspace() else str(romaniser.romanize_string(match[0]))
            written += piece
            sources += [match.start()] * len(piece)
        return written, sources


def _numbers(text: str) -> list[int]:
    """Token ids parted by blanks or commas. Raises PhonemesInvalid."""
    pieces = re.split(r"[\s,]+", text.strip())
    if not all(re.fullmatch(r"\d{1,7}", piece) for piece in pieces):
        raise PhonemesInvalid("with text_form 'ids' the text must be whole numbers.", field="input.text")
    return [int(piece) for piece in pieces]
