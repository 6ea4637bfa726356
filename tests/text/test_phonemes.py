"""Phonemes written by users, in three alphabets."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import pytest

from voiceclone.errors import PhonemesInvalid
from voiceclone.text.ipa import IPA_TO_ARPABET
from voiceclone.text.phonemes import InvalidPhonemes, parse_phonemes, symbols
from voiceclone.text.phones import ARPABET_TO_IPA
from voiceclone.types import PhoneticAlphabet

IPA, ARPABET, X_SAMPA = PhoneticAlphabet.IPA, PhoneticAlphabet.ARPABET, PhoneticAlphabet.X_SAMPA


def spelled(value: str, alphabet: PhoneticAlphabet) -> str:
    phones = parse_phonemes(value, alphabet).phones
    return " ".join(phone.symbol + (str(phone.stress) if phone.stress else "") for phone in phones)


@pytest.mark.parametrize(
    ("alphabet", "value", "phones"),
    [
        (IPA, "həˈloʊ wɜːld", "pau hh ax l ow1 w er1 l d pau2"),
        (IPA, "/həˈləʊ/!", "pau hh ax l ow1 pau3"),
        (IPA, "t͡ʃɝt͡ʃ, d͡ʒʌd͡ʒ?", "pau ch er1 ch pau1 jh ah1 jh pau4"),
        (IPA, "ˈtʃaɪ.nə.", "pau ch ay1 n ax pau2"),
        (IPA, "ˌɪnfɚˈmeɪʃən", "pau ih2 n f er m ey1 sh ax n pau2"),
        (IPA, "bʌtn̩", "pau b ah1 t ax n pau2"),
        (ARPABET, "HH AH0 L OW1", "pau hh ax l ow1 pau2"),
        (ARPABET, "hh ax l ow1 | w er1 l d , ow2!", "pau hh ax l ow1 w er1 l d pau1 ow2 pau3"),
        (ARPABET, "B AH1 T EN", "pau b ah1 t ax n pau2"),
        (X_SAMPA, 'h@"loU w3`ld', "pau hh ax l ow1 w er1 l d pau2"),
        (X_SAMPA, '"tSaIn@', "pau ch ay1 n ax pau2"),
        (X_SAMPA, "T{Nk", "pau th ae1 ng k pau2"),
    ],
)
def test_parse(alphabet: PhoneticAlphabet, value: str, phones: str) -> None:
    assert spelled(value, alphabet) == phones


@pytest.mark.parametrize(
    ("alphabet", "value", "position"),
    [(IPA, "həˈl∂ʊ", 4), (IPA, "ab 5", 3), (ARPABET, "HH QQ", 3), (ARPABET, "HH AH12", 3), (X_SAMPA, "h&", 1)],
)
def test_unknown_symbol(alphabet: PhoneticAlphabet, value: str, position: int) -> None:
    with pytest.raises(InvalidPhonemes) as caught:
        parse_phonemes(value, alphabet)
    assert caught.value.position == position
    assert caught.value.allowed == symbols(alphabet)
    assert str(position) in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PhonemesInvalid)


@pytest.mark.parametrize("alphabet", list(PhoneticAlphabet))
@pytest.mark.parametrize("value", ["", "  ", ", .", "!"])
def test_no_sound(alphabet: PhoneticAlphabet, value: str) -> None:
    with pytest.raises(InvalidPhonemes):
        parse_phonemes(value, alphabet)


def test_spans_are_of_the_value() -> None:
    value = " ˈfʊ  bɑː!"
    sentence = parse_phonemes(value, IPA)
    spans = [value[word.span.begin : word.span.end] for word in sentence.words]
    assert spans == ["", "ˈfʊ", "bɑː", "!"]


def test_every_symbol_makes_inventory_phones() -> None:
    assert all(phone in ARPABET_TO_IPA for phones in IPA_TO_ARPABET.values() for phone in phones)


@pytest.mark.parametrize("alphabet", list(PhoneticAlphabet))
def test_every_listed_symbol_parses(alphabet: PhoneticAlphabet) -> None:
    for symbol in symbols(alphabet):
        assert parse_phonemes(symbol, alphabet).phones


@pytest.mark.parametrize("phone", sorted(ARPABET_TO_IPA))
def test_inventory_round_trip(phone: str) -> None:
    assert parse_phonemes(ARPABET_TO_IPA[phone], IPA).words[1].phones[0].symbol == phone
    assert parse_phonemes(phone, ARPABET).words[1].phones[0].symbol == phone
