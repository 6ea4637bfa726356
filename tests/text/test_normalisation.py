"""What is read for what is written: one table, one line a habit of English writing."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

from __future__ import annotations

import pytest

from voiceclone.text.english import EnglishFrontend

#: Written -> spoken; sentences are joined by " / ", their final marks left out.
READINGS = [
    # Whole numbers, decimals, signs
    ("0 and 00", "zero and zero zero"),
    ("I have 12 cats", "i have twelve cats"),
    ("1,234 people", "one thousand two hundred thirty four people"),
    ("1,234.56", "one thousand two hundred thirty four point five six"),
    ("1 000 000 stars", "one million stars"),
    ("It is -5 outside", "it is minus five outside"),
    ("3.14 and .5", "three point one four and point five"),
    ("agent 007", "agent zero zero seven"),
    ("about ~5", "about about five"),
    ("1.5e-3", "one point five times ten to the minus three"),
    (
        "12345678901234567890",
        "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
    ),
    # Ordinals and fractions
    ("the 1st, 2nd and 21st", "the first, second and twenty first"),
    ("the 100th day", "the one hundredth day"),
    ("1/2 a pear", "one half a pear"),
    ("3/4 and 5/8", "three quarters and five eighths"),
    ("2 1/2 pies", "two and a half pies"),
    ("1¾ cups", "one and three quarters cups"),
    ("24/7 support since 9/11", "twenty four seven support since nine eleven"),
    # Years and decades
    ("in 1999", "in nineteen ninety nine"),
    ("in 2005 and 2021", "in two thousand five and twenty twenty one"),
    ("in 1905", "in nineteen oh five"),
    ("in 1066", "in ten sixty six"),
    ("1500 people", "fifteen hundred people"),
    ("the 1800s", "the eighteen hundreds"),
    ("the 1980s and the '90s", "the nineteen eighties and the nineties"),
    ("back in '99", "back in ninety nine"),
    ("500 BC", "five hundred b c"),
    # Times
    ("at 3:45 pm", "at three forty five p m"),
    ("at 7:30 a.m. tomorrow", "at seven thirty a m tomorrow"),
    ("at 3:05", "at three oh five"),
    ("at 12:00", "at twelve o'clock"),
    ("at 15:00", "at fifteen hundred"),
    ("at 10am", "at ten a m"),
    ("5 o'clock", "five o'clock"),
    # Dates
    ("on 3/4/2021", "on march fourth twenty twenty one"),
    ("on 31/12/2020", "on december thirty first twenty twenty"),
    ("on 2021-03-04", "on march fourth twenty twenty one"),
    ("on 31.12.2020", "on december thirty first twenty twenty"),
    ("March 4th 2021", "march fourth twenty twenty one"),
    ("March 4, 2021", "march fourth, twenty twenty one"),
    ("on 4 March 2021", "on the fourth of march twenty twenty one"),
    ("the 5th of May", "the fifth of may"),
    ("Jan. 5 and Sept. 11", "january fifth and september eleventh"),
    ("in May 2020", "in may twenty twenty"),
    # Money
    ("$3.50", "three dollars fifty"),
    ("$1", "one dollar"),
    ("$0.99", "ninety nine cents"),
    ("$1.05", "one dollar and five cents"),
    ("£5", "five pounds"),
    ("£2.99", "two pounds ninety nine"),
    ("€1.2m", "one point two million euros"),
    ("€5,50", "five euros fifty"),
    ("$2 million", "two million dollars"),
    ("$1,000,000", "one million dollars"),
    ("10¢", "ten cents"),
    ("¥500", "five hundred yen"),
    ("-$5", "minus five dollars"),
    ("$5/month", "five dollars per month"),
    ("50 USD or US$5", "fifty dollars or five dollars"),
    ("$5-$10", "five dollars to ten dollars"),
    # Percentages and units
    ("50%", "fifty percent"),
    ("10-20% of 3.5 %", "ten to twenty percent of three point five percent"),
    ("5 km at 60 mph", "five kilometers at sixty miles per hour"),
    ("10kg", "ten kilograms"),
    ("1 kg", "one kilogram"),
    ("100 km/h and 10 MB/s", "one hundred kilometers per hour and ten megabytes per second"),
    ("20°C or 68°F", "twenty degrees celsius or sixty eight degrees fahrenheit"),
    ("5'10\"", "five foot ten"),
    ("5 m² and 5 m3", "five square meters and five cubic meters"),
    ("5-10 km", "five to ten kilometers"),
    ("I have 5 in the box", "i have five in the box"),
    ("6 ft. tall", "six feet tall"),
    # Ranges, scores, versions, telephone numbers
    ("pages 10–20", "pages ten to twenty"),
    ("1999-2004", "nineteen ninety nine to two thousand four"),
    ("3-2", "three to two"),
    ("16:9", "sixteen to nine"),
    ("1920x1080", "nineteen twenty by one thousand eighty"),
    ("version 1.2.3", "version one point two point three"),
    ("v2.0", "version two point zero"),
    ("at 192.168.0.1", "at one hundred ninety two dot one hundred sixty eight dot zero dot one"),
    ("555-123-4567", "five five five, one two three, four five six seven"),
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
    ("call 911", "call nine one one"),
    ("room 101 and flight 370", "room one oh one and flight three seventy"),
    ("PIN 1234", "pin one two three four"),
    # Abbreviations
    ("Dr. Smith and Mrs. Jones", "doctor smith and missus jones"),
    ("Mr Brown", "mister brown"),
    ("St. Peter on Main St.", "saint peter on main street"),
    ("123 Elm Dr.", "one hundred twenty three elm drive"),
    ("cats vs. dogs, etc.", "cats versus dogs, et cetera"),
    ("e.g. this, i.e. that", "for example, this, that is, that"),
    ("No. 5 is #1", "number five is number one"),
    ("Apple Inc. and Prof. Lee", "apple incorporated and professor lee"),
    ("J. R. R. Tolkien", "j r r tolkien"),
    ("U.S. Army", "u s army"),
    ("a Ph.D. student", "a p h d student"),
    # Roman numerals
    ("Henry VIII", "henry the eighth"),
    ("Elizabeth I.", "elizabeth the first"),
    ("Chapter IV", "chapter four"),
    ("World War II", "world war two"),
    ("I am", "i am"),
    # Acronyms and case
    ("NASA and the FBI", "nasa and the f b i"),
    ("two GPUs", "two g p u's"),
    ("the US and us", "the u s and us"),
    ("GIVE IT TO US NOW", "give it to us now"),
    ("AT&T and R&D", "a t and t and r and d"),
    ("iPhone 15 and GitHub", "iphone fifteen and github"),
    ("GPT-4, H2O, B2B, mp3, 3D, 4K", "g p t four, h two o, b two b, m p three, three d, four k"),
    ("COVID-19", "covid nineteen"),
    ("C++ and C#", "c plus plus and c sharp"),
    # Addresses and tags
    ("john.doe@example.com", "john dot doe at example dot com"),
    ("see https://www.example.com/a", "see w w w dot example dot com slash a"),
    ("#MachineLearning by @user", "hashtag machine learning by at user"),
    # Words
    ("well-known twenty-one", "well known twenty one"),
    ("don't, we'll, Mary's, dogs'", "don't, we'll, mary's, dogs'"),
    ("‘single’ and “double”", "single and double"),
    ("rock 'n' roll", "rock 'n roll"),
    ("and/or", "and or"),
    ("vitamin A is a vitamin", "vitamin a is a vitamin"),
    ("café naïve straße", "cafe naive strasse"),
    ("𝐇𝐞𝐥𝐥𝐨 ｗｏｒｌｄ", "hello world"),
    ("π is Greek", "pi is greek"),
    ("2 + 2 = 4 and 5 < 6", "two plus two equals four and five is less than six"),
    ("salt & pepper", "salt and pepper"),
    ("lvl 20 mage, 50 MP", "level twenty mage, fifty m p"),
    # Marks
    ("Wait — what", "wait - what"),
    ("well... okay", "well… okay"),
    ("so (they say) it goes", "so, they say, it goes"),
    ("yes; no: maybe", "yes; no: maybe"),
    ("hi 😀 there 👍🏽", "hi there"),
    ("nice :) <3", "nice"),
    ("Привет hello 你好", "hello"),
    ("One. Two! Three?", "one / two / three"),
]


@pytest.mark.parametrize(("written", "spoken"), READINGS)
def test_reading(frontend: EnglishFrontend, written: str, spoken: str) -> None:
    sentences = frontend.analyse(written)
    read = " / ".join(sentence.normalized_text.rstrip(".!?") for sentence in sentences)
    assert read == spoken


def test_table_is_large() -> None:
    assert len(READINGS) >= 80


@pytest.mark.parametrize(
    ("written", "mark", "stress"),
    [
        ("Go", ".", 2),
        ("Go.", ".", 2),
        ("Go!", "!", 3),
        ("Go?", "?", 4),
        ("Go?!", "?", 4),
        ("Go…", ".", 2),
        ("Go,", ".", 2),
    ],
)
def test_final_mark(frontend: EnglishFrontend, written: str, mark: str, stress: int) -> None:
    (sentence,) = frontend.analyse(written)
    assert (sentence.words[-1].text, sentence.words[-1].phones[0].stress) == (mark, stress)


def test_first_pause_has_no_stress(frontend: EnglishFrontend) -> None:
    (sentence,) = frontend.analyse("... and so?")
    assert sentence.words[0].is_pause
    assert sentence.words[0].phones[0].stress == 0


@pytest.mark.parametrize("mark", [",", ";", ":", " -", " — ", "…"])
def test_inner_pause(frontend: EnglishFrontend, mark: str) -> None:
    (sentence,) = frontend.analyse(f"go{mark} now")
    assert [word.phones[0].stress for word in sentence.words if word.is_pause] == [0, 1, 2]
