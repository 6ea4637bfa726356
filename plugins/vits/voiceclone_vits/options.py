"""What a caller may set beyond the options every backend has."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VitsOptions(BaseModel):
    """All have defaults; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speaker: str = Field(
        default="", description="Name or number of one of the model's own speakers; without it the voice's."
    )
    noise_scale: float | None = Field(
        default=None, ge=0.0, le=2.0, description="Variation of the sound; without it the model's own, mostly 0.667."
    )
    duration_noise_scale: float | None = Field(
        default=None, ge=0.0, le=2.0, description="Variation of the rhythm; without it the model's own, mostly 0.8."
    )
    text_form: Literal["text", "symbols", "ids"] = Field(
        default="text",
        description="'symbols': the text is symbols of the model, one a letter, as they stand; 'ids': token numbers.",
    )
