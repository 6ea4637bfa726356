"""Phoneme events to viseme events, by one table that server and client SDKs share (``visemes.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

from voiceclone.types import Timing, TimingKind


class VisemeSet(str, Enum):
    """The viseme sets of the table."""

    #: The 15 visemes of Oculus lip sync: sil PP FF TH DD kk CH SS nn RR aa E ih oh ou.
    OVR15 = "OVR15"
    #: The 22 ids of Azure speech, "0" to "21".
    AZURE22 = "AZURE22"
    #: The mouth shapes of Rhubarb: X at rest, A to F basic, G and H extended.
    RHUBARB9 = "RHUBARB9"
    #: The names of OVR15; :func:`arkit_weights` gives each its ARKit blend shapes.
    ARKIT52 = "ARKIT52"


@dataclass(frozen=True, slots=True)
class _Table:
    #: Viseme names by id.
    names: dict[VisemeSet, tuple[str, ...]]
    phonemes: dict[VisemeSet, dict[str, tuple[str, ...]]]
    #: Part of a diphthong that its first viseme gets.
    split: float
    arkit_curves: tuple[str, ...]
    arkit_weights: dict[str, dict[str, float]]


#: An unknown sound opens the mouth as a schwa does.
_NEUTRAL = "ə"
_LONG_MARKS = "ːˑ"
#: Tie bars, and the marks of syllabic and non-syllabic sounds.
_IGNORED = dict.fromkeys(map(ord, "͜͡ˈˌ̩̯"))


def viseme_names(viseme_set: VisemeSet) -> tuple[str, ...]:
    """Names of ``viseme_set``; the index of a name is its id."""
    return _table().names[viseme_set]


def arkit_curves() -> tuple[str, ...]:
    """The 52 ARKit blend shapes."""
    return _table().arkit_curves


def arkit_weights(label: str) -> Mapping[str, float]:
    """Blend shape -> weight 0..1 of the ARKIT52 (or OVR15) viseme ``label``; shapes not named are 0.

    Raises KeyError on an unknown viseme.
    """
    return _table().arkit_weights[label]


def visemes_of_phoneme(
    ipa: str, viseme_set: VisemeSet, extra: Mapping[str, str | Sequence[str]] | None = None
) -> tuple[str, ...]:
    """Viseme names of one IPA phoneme ("" is silence), in order: two where the mouth moves on during the sound.

    ``extra`` maps phonemes to a name or names of ``viseme_set`` and is asked after the table. Marks of length, stress
    and tie bars do not matter; a sound known to neither gets the viseme of a schwa. Raises ValueError when ``extra``
    names a viseme that the set lacks.
    """
    table = _table().phonemes[viseme_set]
    plain = ipa.translate(_IGNORED).rstrip(_LONG_MARKS)
    for name in (ipa, plain):
        if name in table:
            return table[name]
        if extra and name in extra:
            found = extra[name]
            visemes = (found,) if isinstance(found, str) else tuple(found)
            unknown = [viseme for viseme in visemes if viseme not in viseme_names(viseme_set)]
            if unknown or not visemes:
                names = " ".join(viseme_names(viseme_set))
                raise ValueError(f"{viseme_set.value} has no viseme {unknown}; it has {names}.")
            return visemes
    return table[_NEUTRAL]


def visemes_of(
    phonemes: Sequence[Timing], viseme_set: VisemeSet, extra: Mapping[str, str | Sequence[str]] | None = None
) -> list[Timing]:
    """VISEME events that cover exactly the samples of the PHONEME events among ``phonemes``, in their order.

    Touching equal visemes become one event; a diphthong's second viseme begins at 60 % of it; silence is ``sil`` (or
    the rest shape of the set). Events of other kinds and without samples are passed over. ``extra`` is as in
    :func:`visemes_of_phoneme`.
    """
    events: list[Timing] = []
    for phoneme in phonemes:
        if phoneme.kind is not TimingKind.PHONEME or phoneme.sample_count <= 0:
            continue
        names = visemes_of_phoneme(phoneme.label, viseme_set, extra)
        start = phoneme.start_sample
        for name, count in zip(names, _shares(phoneme.sample_count, len(names)), strict=True):
            if count:
                _append(events, phoneme, name, start, count, viseme_set)
                start += count
    return events


def _shares(sample_count: int, parts: int) -> list[int]:
    """``sample_count`` over the visemes of one sound: the first gets its fixed share, the others the rest evenly."""
    if parts == 1:
        return [sample_count]
    first = min(sample_count, max(1, round(sample_count * _table().split)))
    rest, more = divmod(sample_count - first, parts - 1)
    return [first, *(rest + (index < more) for index in range(parts - 1))]


def _append(events: list[Timing], phoneme: Timing, name: str, start: int, count: int, viseme_set: VisemeSet) -> None:
    last = events[-1] if events else None
    touches = last is not None and last.start_sample + last.sample_count == start
    if last is not None and touches and last.label == name and last.source is phoneme.source:
        start, count = last.start_sample, last.sample_count + count
        events.pop()
    viseme_id = viseme_names(viseme_set).index(name)
    events.append(Timing(TimingKind.VISEME, start, count, name, viseme_id=viseme_id, source=phoneme.source))


@cache
def _table() -> _Table:
    data: dict[str, Any] = json.loads(files("voiceclone.lipsync").joinpath("visemes.json").read_text(encoding="utf-8"))
    return _Table(
        names={kind: tuple(data["sets"][kind.value]) for kind in VisemeSet},
        phonemes={
            kind: {ipa: tuple(entry[kind.value]) for ipa, entry in data["phonemes"].items()} for kind in VisemeSet
        },
        split=float(data["diphthong_split"]),
        arkit_curves=tuple(data["arkit_curves"]),
        arkit_weights=data["arkit_weights"],
    )
