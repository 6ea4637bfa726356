"""One frontend, many threads, same answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from voiceclone.text.english import EnglishFrontend

TEXTS = [
    "He read the record, then wanted to record it.",
    "Dr. Smith paid $3.50 on 3/4/2021.",
    "The blorptastic zyxgrindle flumboed.",
    "We live near live music; close the close door.",
]


def test_threads_agree() -> None:
    alone = [EnglishFrontend().analyse(text) for text in TEXTS]
    shared = EnglishFrontend()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda index: shared.analyse(TEXTS[index % 4] + f" word{index}"), range(200)))
    for index, sentences in enumerate(together):
        expected = alone[index % 4][0].words[1:-1]
        assert sentences[0].words[1 : 1 + len(expected)] == expected
