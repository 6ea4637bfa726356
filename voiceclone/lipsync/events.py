"""Word and phoneme events from a frontend's words and the number of samples of each of their phones."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone.text.types import Word
from voiceclone.types import Timing, TimingKind, TimingSource


def events_from_durations(
    sentence_words: Sequence[Word],
    phone_sample_counts: Sequence[int],
    start_sample: int,
    source: TimingSource = TimingSource.MODEL,
) -> list[Timing]:
    """WORD and PHONEME events of ``sentence_words`` from ``start_sample`` on, in order, each word before its phones.

    ``phone_sample_counts`` holds the samples of every phone of every word, pauses included, in order. PHONEME events
    cover exactly their sum and carry the span of their word; pauses are PHONEME events with an empty label and no WORD.
    A phone of no samples leaves no event. Raises ValueError when the counts do not fit the phones or are negative.
    """
    needed = sum(len(word.phones) for word in sentence_words)
    if len(phone_sample_counts) != needed:
        raise ValueError(f"{needed} phones need as many sample counts, got {len(phone_sample_counts)}.")
    if any(count < 0 for count in phone_sample_counts):
        raise ValueError(f"Sample counts must not be negative, got {min(phone_sample_counts)}.")
    events: list[Timing] = []
    counts = iter(int(count) for count in phone_sample_counts)
    for word in sentence_words:
        begin = start_sample
        phonemes: list[Timing] = []
        for phone in word.phones:
            count = next(counts)
            if count:
                phonemes.append(Timing(TimingKind.PHONEME, start_sample, count, phone.ipa, word.span, source=source))
            start_sample += count
        if not word.is_pause:
            events.append(Timing(TimingKind.WORD, begin, start_sample - begin, word.text, word.span, source=source))
        events += phonemes
    return events
