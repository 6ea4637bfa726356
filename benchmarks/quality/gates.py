"""What a released model has to reach, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.quality.data import Material
from benchmarks.quality.judge import Result
from benchmarks.quality.systems import MODEL, Loaded


@dataclass(frozen=True)
class Gate:
    """``value`` has to lie within ``low`` and ``high``; None is no bound."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def wanted(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"


def gates(result: Result, material: Material, loaded: Loaded) -> list[Gate]:
    """Every gate of the model; those of groups that the test set lacks are left out."""
    words, voices, pitch = result.words[MODEL], result.voices[MODEL], result.prosody[MODEL]
    unseen = [line.speaker for line in material.recognised if material.voice(line.speaker).familiarity == "unseen"]
    found = [
        Gate("words: error rate above ground truth, points", 100 * words.over_truth.value, high=3.0),
        Gate("words: count behind it", words.word_count, low=480),
        Gate("words: error rate against the wrong sentence", words.wrong_sentence.value, low=0.9),
        Gate("voice: similarity to its own less to others", voices["all"]["margin"].value, low=0.25),
        Gate("voice: own is nearest", voices["all"]["top1"].value, low=0.85),
    ]
    if "unseen" in voices:
        found.append(Gate("voice: own is nearest, unseen voices", voices["unseen"]["top1"].value, low=0.8))
    found.append(Gate("voice: a wrong reference is followed", result.follows_reference.value, low=0.8))
    for speaker in dict.fromkeys(unseen):
        if "f0_error" in pitch[speaker]:
            found.append(Gate(f"pitch: error on {speaker}, semitones", pitch[speaker]["f0_error"].value, high=1.5))
    if "f0_correlation" in pitch["all"]:
        found.append(Gate("pitch: correlation", pitch["all"]["f0_correlation"].value, low=0.6))
    found += [
        Gate("duration ratio", pitch["all"]["duration_ratio"].value, low=0.95, high=1.05),
        Gate("speed: real-time factor, one thread", result.cost.cpu / result.cost.audio, high=0.02),
        Gate("speed: load, seconds", loaded.load_cpu_seconds, high=2.0),
        Gate("size: megabytes", loaded.megabytes, high=25.0),
    ]
    return found
