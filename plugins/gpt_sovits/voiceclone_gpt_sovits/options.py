"""What a caller may set, named as upstream names it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voiceclone_gpt_sovits import sampling


class GptSovitsOptions(BaseModel):
    """All have defaults; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top_k: int = Field(default=sampling.TOP_K, ge=1, le=1024, description="Codes to choose from; 1 is the likeliest.")
    top_p: float = Field(default=sampling.TOP_P, gt=0, le=1, description="Probability to choose from; 1 is all of it.")
    temperature: float = Field(
        default=sampling.TEMPERATURE, ge=0, le=2, description="Variation of what is said; 0 is none."
    )
    repetition_penalty: float = Field(
        default=sampling.REPETITION_PENALTY, gt=0, le=5, description="Above 1: codes come again less often."
    )
    noise_scale: float = Field(default=0.5, ge=0, le=2, description="Variation of the sound.")
    sample_steps: int = Field(default=16, ge=1, le=128, description="Steps of the flow matching of v3 and v4.")
    min_chunk_length: int = Field(default=16, ge=4, le=200, description="Codes (40 ms each) of the first chunk.")
    text_form: Literal["text", "phonemes"] = Field(
        default="text", description="'phonemes': the text is phonemes as upstream spells them, parted by blanks."
    )
