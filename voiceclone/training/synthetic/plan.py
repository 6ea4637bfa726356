"""What a corpus will hold, decided from the seed alone before anything is rendered: so that a run can be resumed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voiceclone.training.manifest import Split
from voiceclone.training.synthetic import voices
from voiceclone.training.synthetic.harvard import HARVARD_SENTENCES
from voiceclone.training.synthetic.text import TextSource

#: Share of the training audio that each family has, and the part of the family that is warped.
_FAMILIES: Final[tuple[tuple[str, float, float], ...]] = (
    ("flite/slt", 0.23, 0.5),
    ("flite/rms", 0.19, 0.5),
    ("flite/kal16", 0.13, 0.5),
    ("festival/ked", 0.12, 0.5),
)
_ESPEAK_SHARE: Final = 0.33

#: Seconds an utterance takes beside its letters, and seconds a letter takes: fitted to each engine.
_PACE: Final[dict[str, tuple[float, float]]] = {
    "flite/slt": (0.51, 0.0535),
    "flite/rms": (0.63, 0.0570),
    "flite/kal16": (0.73, 0.0454),
    "festival/ked": (0.47, 0.0588),
    "espeak": (0.50, 0.0515),
}

_VALID_ESPEAK_COUNT: Final = 16
_VALID_SEEN_COUNT: Final = 16
_REFERENCE_COUNT: Final = 4


@dataclass(frozen=True)
class Job:
    """One utterance to render. `pitch`, `pitch_range` and `rate` matter to espeak-ng, `warp` to the others."""

    id: str
    split: Split
    text: str
    base: str
    speaker: str
    warp: float = 1.0
    pitch: int = voices.DEFAULT_PITCH
    pitch_range: int = 50
    rate: int = 175


def make_plan(hours: float, seed: int) -> list[Job]:
    """Every job of a corpus with about `hours` of training audio; validation and test jobs come on top.

    Training texts never occur in the other splits. Raises ValueError unless `hours` is positive.
    """
    if hours <= 0:
        raise ValueError(f"hours must be above 0, got {hours}")
    held_out = TextSource(seed, held_out=True)
    jobs = [*_valid_jobs(held_out), *_test_jobs(held_out)]
    train_text = TextSource(seed, excluded=[job.text for job in jobs])
    return [*jobs, *_train_jobs(hours * 3600, train_text, random.Random(f"voices {seed}"))]


def _valid_jobs(text: TextSource) -> Iterator[Job]:
    counts = {
        **dict.fromkeys(voices.VALID_ESPEAK, _VALID_ESPEAK_COUNT),
        **dict.fromkeys((*voices.TRAIN_FLITE, *voices.TRAIN_FESTIVAL), _VALID_SEEN_COUNT),
    }
    for base, count in counts.items():
        for number in range(count):
            yield Job(f"valid-{_slug(base)}-{number:03d}", "valid", text.sentence(), base, base)


def _test_jobs(text: TextSource) -> Iterator[Job]:
    for base in voices.TEST_BASES:
        for number, sentence in enumerate(HARVARD_SENTENCES, start=1):
            yield Job(f"test-{_slug(base)}-{number:02d}", "test", sentence, base, base)
        for number in range(1, _REFERENCE_COUNT + 1):
            yield Job(f"ref-{_slug(base)}-{number:02d}", "test", text.prose(), base, base)


def _train_jobs(seconds: float, text: TextSource, source: random.Random) -> Iterator[Job]:
    for base, share, warped in _FAMILIES:
        yield from _natural_jobs(base, seconds * share * (1 - warped), text, (1.0,), source)
        yield from _natural_jobs(base, seconds * share * warped, text, voices.WARP_FACTORS, source)
    yield from _espeak_jobs(seconds * _ESPEAK_SHARE, text, source)


def _natural_jobs(
    base: str, seconds: float, text: TextSource, factors: tuple[float, ...], source: random.Random
) -> Iterator[Job]:
    fixed, per_letter = _PACE[base]
    kind = "plain" if factors == (1.0,) else "warp"
    number = 0
    while seconds > 0:
        # In rounds, so that every speaker gets its share of even a small corpus.
        for factor in source.sample(factors, len(factors)):
            if seconds <= 0:
                break
            sentence = text.sentence()
            seconds -= (fixed + per_letter * len(sentence)) / factor
            number += 1
            speaker = voices.warped_speaker(base, factor)
            yield Job(f"train-{_slug(base)}-{kind}-{number:05d}", "train", sentence, base, speaker, warp=factor)


def _espeak_jobs(seconds: float, text: TextSource, source: random.Random) -> Iterator[Job]:
    fixed, per_letter = _PACE["espeak"]
    settings = [(base, pitch) for base in voices.TRAIN_ESPEAK for pitch in voices.ESPEAK_PITCHES]
    number = 0
    while seconds > 0:
        for base, pitch in source.sample(settings, len(settings)):
            if seconds <= 0:
                break
            sentence = text.sentence()
            rate = source.randint(135, 195)
            seconds -= fixed + per_letter * len(sentence) * 175 / rate
            number += 1
            yield Job(
                f"train-espeak-{number:05d}", "train", sentence, base, voices.pitched_speaker(base, pitch),
                pitch=pitch, pitch_range=source.randint(30, 75), rate=rate,
            )  # fmt: skip


def _slug(base: str) -> str:
    return base.replace("/", "-")
