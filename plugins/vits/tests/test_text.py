"""Text to tokens: espeak's spelling of English, letters, tokenizers, and who owns which token."""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

from pathlib import Path

import pytest
from voiceclone_vits.checkpoint import read_checkpoint
from voiceclone_vits.espeak_ipa import spell
from voiceclone_vits.options import VitsOptions
from voiceclone_vits.symbols import VITS_SYMBOLS, Alphabet, SymbolTable, numbered
from voiceclone_vits.text import TextFrontend

from voiceclone import TimingKind, Utterance
from voiceclone.errors import LanguageUnsupported, PhonemesInvalid, TextEmpty
from voiceclone.text.english import EnglishFrontend
from voiceclone.types import PhoneticAlphabet

from .conftest import GOLDEN

IPA = SymbolTable(numbered(VITS_SYMBOLS), Alphabet.IPA)
LETTERS = SymbolTable(numbered("_ abcdefghijklmnopqrstuvwxyzäöüß'"), Alphabet.LETTERS, normalise=True)


def written(text: str, table: SymbolTable = IPA) -> str:
    (sentence,) = EnglishFrontend().analyse(text)
    return "".join(symbol for symbol, _ in spell(sentence.words, table.ids.__contains__))


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("Hello, world.", "həlˈoʊ, wˈɜːld."),
        ("The city waits!", "ðə sˈɪɾi wˈeɪts!"),
        ("Good morning?", "ɡˈʊd mˈɔːɹnɪŋ?"),
    ],
)
def test_english_is_spelled_as_espeak_spells_it(text: str, spelling: str) -> None:
    assert written(text) == spelling


def test_symbols_that_a_table_lacks_are_replaced() -> None:
    assert written("Good girl.", SymbolTable(numbered("gdlrʊəˈ ."))) == "gˈʊd gˈəl."


def lines(table: SymbolTable, text: str, languages: tuple[str, ...] = ("en",), **more: object) -> list[object]:
    options = more.pop("options", VitsOptions())
    return TextFrontend(table, languages).lines(Utterance(text, b"", **more), options)  # type: ignore[arg-type,return-value]


def test_timings_follow_phones() -> None:
    (line,) = TextFrontend(IPA, ("en",)).lines(Utterance("Hi, Bob.", b""), VitsOptions())
    events = line.events([10] * len(line.tokens.ids), 100)
    phonemes = [event for event in events if event.kind is TimingKind.PHONEME]
    assert [event.label for event in phonemes if event.label] == ["h", "aɪ", "b", "ɑ", "b"]
    assert phonemes[0].start_sample == 100
    assert sum(event.sample_count for event in phonemes) == 10 * len(line.tokens.ids)
    assert [event.label for event in events if event.kind is TimingKind.WORD] == ["hi", "bob"]


def test_letters_of_english_are_read_out_and_of_others_are_not() -> None:
    (english,) = TextFrontend(LETTERS, ("eng",)).lines(Utterance("It costs $3.", b""), VitsOptions())
    back = {numbers[0]: symbol for symbol, numbers in LETTERS.ids.items()}
    assert "".join(back[number] for number in english.tokens.ids[1::2]) == "it costs three dollars"
    (german,) = TextFrontend(LETTERS, ("deu",)).lines(Utterance("Größe 3, bitte!", b""), VitsOptions())
    assert "".join(back[number] for number in german.tokens.ids[1::2]) == "größe  bitte"
    words = [event for event in german.events([1] * len(german.tokens.ids), 0) if event.kind is TimingKind.WORD]
    assert [event.label for event in words] == ["größe", "3", "bitte"]
    assert sum(event.sample_count for event in words) == len(german.tokens.ids)


def test_what_cannot_be_read_says_what_to_send() -> None:
    with pytest.raises(LanguageUnsupported, match="text_form"):
        lines(SymbolTable({}), "Hello.")
    with pytest.raises(LanguageUnsupported, match="Send IPA"):
        lines(IPA, "Hallo.", ("de",))
    assert lines(IPA, "haˈloː", ("de",), alphabet=PhoneticAlphabet.IPA)
    assert lines(IPA, "HH AH0 L OW1", alphabet=PhoneticAlphabet.ARPABET)
    with pytest.raises(PhonemesInvalid, match="letters, not phonemes"):
        lines(LETTERS, "həlˈoʊ", alphabet=PhoneticAlphabet.IPA)
    with pytest.raises(PhonemesInvalid, match="whole numbers"):
        lines(IPA, "1 two", options=VitsOptions(text_form="ids"))
    with pytest.raises(PhonemesInvalid, match="no symbol"):
        lines(LETTERS, "a☃", options=VitsOptions(text_form="symbols"))
    with pytest.raises(TextEmpty):
        lines(LETTERS, "☃", ("deu",))
    with pytest.raises(LanguageUnsupported, match="uroman"):
        lines(SymbolTable(LETTERS.ids, Alphabet.LETTERS, romanise=True), "Привет", ("rus",))


@pytest.mark.parametrize(
    "text",
    ["key", "kk", "k", "dark knight", " k", "KEY <unk>x", "ark ", "K k", " a k ", "", "☃", "Hello - my dog", "<unk>"],
)
@pytest.mark.parametrize("normalise", [True, False])
def test_the_tokenizer_is_that_of_transformers(text: str, normalise: bool) -> None:
    from dataclasses import replace

    from transformers import VitsTokenizer

    folder = Path(GOLDEN / "e_hf_vits_dp")
    theirs = VitsTokenizer.from_pretrained(folder)
    theirs.normalize = normalise
    ours = replace(read_checkpoint(folder).symbols, normalise=normalise)
    assert ours.encode(ours.split(text)).ids == theirs(text).input_ids
