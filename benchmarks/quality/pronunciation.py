"""How far the frontend reads the test sentences as the engines that made the corpus do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from benchmarks.quality.data import Spoken
from benchmarks.quality.wer import edit_distance
from voiceclone.text.english import EnglishFrontend
from voiceclone.text.phones import PAUSE


@dataclass(frozen=True)
class Agreement:
    """Share of phones (pauses left out) on which both agree, and what differs: "ax>ah", how often, most first."""

    agreement: float
    stress_agreement: float
    inner_pauses: tuple[int, int]
    differences: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "agreement": round(self.agreement, 4),
            "stress_agreement": round(self.stress_agreement, 4),
            "inner_pauses_frontend": self.inner_pauses[0],
            "inner_pauses_corpus": self.inner_pauses[1],
            "differences": dict(self.differences),
        }


def agreement(lines: Sequence[Spoken], frontend: EnglishFrontend) -> Agreement:
    """Compare the phones of the frontend with those of the engine that spoke ``lines``."""
    errors = total = same_stress = both = ours_pauses = theirs_pauses = 0
    differences: Counter[str] = Counter()
    for line in lines:
        read = [(p.symbol, p.stress) for sentence in frontend.analyse(line.text) for p in sentence.phones]
        spoken = list(zip(line.phones, line.stresses, strict=True))
        ours_pauses += sum(symbol == PAUSE for symbol, _ in read[1:-1])
        theirs_pauses += sum(symbol == PAUSE for symbol, _ in spoken[1:-1])
        read, spoken = ([pair for pair in pairs if pair[0] != PAUSE] for pairs in (read, spoken))
        a, b = [symbol for symbol, _ in read], [symbol for symbol, _ in spoken]
        errors += edit_distance(b, a)
        total += len(b)
        for tag, i, i_end, j, j_end in SequenceMatcher(None, b, a, autojunk=False).get_opcodes():
            if tag == "equal":
                pairs = list(zip(spoken[i:i_end], read[j:j_end], strict=True))
                both += len(pairs)
                same_stress += sum(x == y for x, y in pairs)
            else:
                differences[f"{' '.join(b[i:i_end]) or '-'}>{' '.join(a[j:j_end]) or '-'}"] += 1
    return Agreement(
        agreement=1.0 - errors / total,
        stress_agreement=same_stress / max(1, both),
        inner_pauses=(ours_pauses, theirs_pauses),
        differences=tuple(differences.most_common(12)),
    )
