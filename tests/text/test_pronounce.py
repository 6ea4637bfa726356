"""Phones of words: dictionary, heteronyms, weak forms, endings, compounds, guesses, and the user's own."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import pytest

from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phonemes import InvalidPhonemes
from voiceclone.text.phones import PAUSE_STRESS, PHONE_IDS, STRESS_COUNT, VOWELS
from voiceclone.types import PhoneticAlphabet, Pronunciation


def said(frontend: EnglishFrontend, text: str) -> dict[str, str]:
    """Word -> phones with stress marks; of a word said twice, the last."""
    return {
        word.text: " ".join(phone.symbol + (str(phone.stress) if phone.stress else "") for phone in word.phones)
        for sentence in frontend.analyse(text)
        for word in sentence.words
        if not word.is_pause
    }


@pytest.mark.parametrize(
    ("text", "word", "phones"),
    [
        ("Hello world", "world", "w er1 l d"),
        ("I will read it now", "read", "r iy1 d"),
        ("He read it yesterday", "read", "r eh1 d"),
        ("I have read it", "read", "r eh1 d"),
        ("We live here", "live", "l ih1 v"),
        ("There is live music", "live", "l ay1 v"),
        ("They use it daily", "use", "y uw1 z"),
        ("It is of no use", "use", "y uw1 s"),
        ("Close the door", "close", "k l ow1 z"),
        ("They stay close", "close", "k l ow1 s"),
        ("Break the record", "record", "r eh1 k er d"),
        ("We want to record", "record", "r ih k ao1 r d"),
        ("Pipes made of lead", "lead", "l eh1 d"),
        ("She will lead us", "lead", "l iy1 d"),
        ("the dog", "the", "dh ax"),
        ("the apple", "the", "dh iy"),
        ("a dog", "a", "ax"),
        ("plan A", "a", "ey1"),
        ("go to bed", "to", "t ax"),
        ("where to?", "to", "t uw1"),
        ("the boss's dog", "boss's", "b ao1 s ax z"),
        ("three CDs", "d's", "d iy1 z"),
        ("so cooooool", "cooooool", "k uw1 l"),
        ("a livestream", "livestream", "l ih1 v s t r iy2 m"),
        ("think", "think", "th ih1 ng k"),
        ("include", "include", "ih n k l uw1 d"),
    ],
)
def test_phones(frontend: EnglishFrontend, text: str, word: str, phones: str) -> None:
    assert said(frontend, text)[word] == phones


@pytest.mark.parametrize("word", ["blorptastic", "zyxgrindle", "flumbo", "qwertification"])
def test_unknown_words_are_guessed_with_a_stress(frontend: EnglishFrontend, word: str) -> None:
    (sentence,) = frontend.analyse(word)
    assert any(phone.stress == 1 and phone.symbol in VOWELS for phone in sentence.phones)


def test_every_phone_is_in_the_inventory(frontend: EnglishFrontend) -> None:
    text = "Dr. Smith's xylophone, 3.5 kg; measure the vision of an azure joy? Sing, church judge: thin then! " * 3
    for sentence in frontend.analyse(text):
        for word in sentence.words:
            for phone in word.phones:
                assert phone.symbol in PHONE_IDS
                assert 0 <= phone.stress < STRESS_COUNT
                assert word.is_pause or phone.stress == 0 or phone.symbol in VOWELS
            assert not word.is_pause or word.phones[0].stress in PAUSE_STRESS.values()


def test_user_pronunciations(frontend: EnglishFrontend) -> None:
    wanted = (
        Pronunciation("Nguyen", PhoneticAlphabet.IPA, "ˈwɪn"),
        Pronunciation("Nguyen Van", PhoneticAlphabet.ARPABET, "W IY1 N V AA1 N"),
        Pronunciation("C++", PhoneticAlphabet.X_SAMPA, 'si:pl"Vs'),
    )
    text = "Ask nguyen  van or NGUYEN about C++, not Nguyens."
    (sentence,) = frontend.analyse(text, wanted)
    found = {word.text: word for word in sentence.words}
    assert " ".join(phone.symbol for phone in found["nguyen van"].phones) == "w iy n v aa n"
    assert " ".join(phone.symbol for phone in found["nguyen"].phones) == "w ih n"
    assert " ".join(phone.symbol for phone in found["c++"].phones) == "s iy p l ah s"
    span = found["nguyen van"].span
    assert text[span.begin : span.end] == "nguyen  van"
    assert found["nguyens"].phones != found["nguyen"].phones


def test_bad_user_pronunciation(frontend: EnglishFrontend) -> None:
    with pytest.raises(InvalidPhonemes):
        frontend.analyse("hello", [Pronunciation("hello", PhoneticAlphabet.ARPABET, "HH QQ")])
