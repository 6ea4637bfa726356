"""What the engine takes on at most, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one engine."""

    #: Sessions open at once: each holds memory on its device.
    max_active: int = 64
    #: Utterances waiting for a session; one more is refused.
    max_queued: int = 256
    #: Seconds of audio a stream may be ahead of its playout, where the caller names none.
    default_max_lead: float = 30.0
    #: Chunks made but not yet taken by the stream's reader.
    max_unread_chunks: int = 64
    #: Seconds of audio one utterance may give; what is longer is cut and marked as truncated.
    max_audio_seconds: float = 600.0
    #: Seconds within which a new stream's first audio is aimed at: until then it ranks as if that much were buffered.
    first_audio_goal: float = 0.1
    #: Seconds of opening and encoding between two steps while streams are running.
    setup_budget: float = 0.02

    def __post_init__(self) -> None:
        for name in ("max_active", "max_unread_chunks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Figures since the engine started; ``active``, ``queued`` and ``stalled_seconds`` are of this moment."""

    active: int = 0
    queued: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    steps: int = 0
    #: Sessions stepped, summed over steps: divided by ``steps`` it is the mean batch size.
    stepped_sessions: int = 0
    audio_seconds: float = 0.0
    #: Seconds the devices' threads spent in steps.
    compute_seconds: float = 0.0
    #: Seconds the longest running piece of work has taken so far; a large value means that a backend hangs.
    stalled_seconds: float = 0.0
