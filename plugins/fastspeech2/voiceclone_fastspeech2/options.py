"""What a caller may set beyond the options every backend has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Fastspeech2Options(BaseModel):
    """All have defaults; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pitch_range: float = Field(
        default=1.0, ge=0.0, le=2.0, description="How far the pitch moves: 0 is monotone, 1 as learned."
    )
    energy: float = Field(default=0.0, ge=-1.0, le=1.0, description="Vocal effort: below 0 softer, above 0 louder.")
    variation: float = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="Random variation of durations by seed; with 0 the timing is the same each time.",
    )
