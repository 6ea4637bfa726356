"""The two duration discriminators of VITS2: do these log durations fit this text?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.relative_transformer import ChannelNorm

DurationJudge = Literal["dur_disc_1", "dur_disc_2"]
_KERNEL = 3


class DurationDiscriminator(nn.Module):
    """Scores ``[B, T, 1]`` in 0..1 of log durations, a token at a time.

    ``dur_disc_2`` has a ReLU and a norm after each convolution. ``dur_disc_1`` is linear up to its sigmoid; two of its
    norms exist in files and are never used.
    """

    def __init__(self, kind: DurationJudge, channels: int) -> None:
        super().__init__()
        if kind not in ("dur_disc_1", "dur_disc_2"):
            raise ValueError(f"the duration discriminator must be dur_disc_1 or dur_disc_2, got {kind!r}")
        self.kind = kind
        self.conv_1 = nn.Conv1d(channels, channels, _KERNEL, padding=1)
        self.conv_2 = nn.Conv1d(channels, channels, _KERNEL, padding=1)
        self.dur_proj = nn.Conv1d(1, channels, 1)
        self.pre_out_conv_1 = nn.Conv1d(2 * channels, channels, _KERNEL, padding=1)
        self.pre_out_conv_2 = nn.Conv1d(channels, channels, _KERNEL, padding=1)
        if kind == "dur_disc_2":
            self.norm_1, self.norm_2 = ChannelNorm(channels), ChannelNorm(channels)
        self.pre_out_norm_1, self.pre_out_norm_2 = ChannelNorm(channels), ChannelNorm(channels)
        if kind == "dur_disc_1":
            self.pre_out_norm_1.requires_grad_(False)
            self.pre_out_norm_2.requires_grad_(False)
        self.output_layer = nn.Sequential(nn.Linear(channels, 1), nn.Sigmoid())

    def forward(self, text: Tensor, mask: Tensor, *durations: Tensor) -> list[Tensor]:
        """Encoder output ``[B, C, T]``, its mask ``[B, 1, T]`` and log durations ``[B, 1, T]`` each -> their scores.

        No gradient reaches the encoder.
        """
        context = text.detach()
        second = self.kind == "dur_disc_2"
        context = self.conv_1(context * mask)
        if second:
            context = self.norm_1(torch.relu(context))
        context = self.conv_2(context * mask)
        if second:
            context = self.norm_2(torch.relu(context))
        return [self._score(context, mask, duration) for duration in durations]

    def _score(self, context: Tensor, mask: Tensor, duration: Tensor) -> Tensor:
        x = torch.cat((context, self.dur_proj(duration)), dim=1)
        for conv, norm in (
            (self.pre_out_conv_1, self.pre_out_norm_1),
            (self.pre_out_conv_2, self.pre_out_norm_2),
        ):
            x = conv(x * mask)
            if self.kind == "dur_disc_2":
                x = norm(torch.relu(x))
        return self.output_layer((x * mask).transpose(1, 2))  # type: ignore[no-any-return]

    def as_judgements(self, scores: Tensor) -> list[Tensor]:
        """What the adversarial losses sum over: the samples of the batch in the first kind, one whole in the second."""
        return list(scores) if self.kind == "dur_disc_1" else [scores]

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> DurationDiscriminator:
        """A discriminator with these weights; its kind and width are read off them. Raises ModelFilesInvalid."""
        if "dur_proj.weight" not in state:
            raise ModelFilesInvalid(
                f"these are not the weights of a duration discriminator: dur_proj.weight is missing among {len(state)}.",
                hint="Give the DUR_*.pth that belongs to the model.",
            )
        model = cls("dur_disc_2" if "norm_1.gamma" in state else "dur_disc_1", state["dur_proj.weight"].shape[0])
        try:
            model.load_state_dict(dict(state))
        except RuntimeError as error:
            raise ModelFilesInvalid(f"the duration discriminator does not fit: {error}") from error
        return model
