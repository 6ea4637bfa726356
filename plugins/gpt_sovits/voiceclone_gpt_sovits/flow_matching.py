"""The second model (s2) of v3 and v4: codes to a condition, and the condition to a mel by solving from noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.checkpoints import strip_prefix
from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.wavenet import WN
from voiceclone_gpt_sovits.content import mask_of
from voiceclone_gpt_sovits.dit import Cached, Dit, DitSizes
from voiceclone_gpt_sovits.files import SovitsFile, Version
from voiceclone_gpt_sovits.sizes import SovitsSizes
from voiceclone_gpt_sovits.sovits import ContentModel, load_sovits

#: Frames of the mel a frame of the content model becomes, and those of a code that upstream counts with; the second is
#: more than twice the first in v3, so that no frame is masked.
_STRETCH = {Version.V3: 1.875, Version.V4: 2.0}
_FRAMES_A_CODE = {Version.V3: 3.875, Version.V4: 4.0}


class ConditionEncoder(nn.Module):
    """A WaveNet between two projections."""

    def __init__(self, channels: int, layers: int, timbre: int, weight_norm: bool) -> None:
        super().__init__()
        self.pre = nn.Conv1d(channels, channels, 1)
        self.enc = WN(channels, 5, 1, layers, gin_channels=timbre, weight_norm=weight_norm)
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor, timbre: Tensor) -> Tensor:
        # The timbre is not learnt from here, as upstream trains.
        out: Tensor = self.proj(self.enc(self.pre(x) * mask, mask, timbre.detach())) * mask
        return out


class FlowMatching(nn.Module):
    """Solves a mel from noise under a condition."""

    def __init__(self, sizes: DitSizes) -> None:
        super().__init__()
        self.estimator = Dit(sizes)

    def solve(
        self, condition: Tensor, prompt: Tensor, noise: Tensor, steps: int, *, lengths: Tensor | None = None,
        guidance: float = 0.0,
    ) -> Tensor:  # fmt: skip
        """Condition ``[B, T, C]``, the prompt's mel ``[B or 1, mels, P]``, ``noise`` ``[B, mels, T]`` -> as the noise.

        ``steps`` equal steps; the first P frames come out as zeros. ``guidance`` above 0 moves away from what would be
        without condition and prompt, at the price of twice the work.
        """
        known = prompt.shape[-1]
        frames = noise.transpose(1, 2).clone()
        context = torch.zeros_like(frames)
        context[:, :known] = prompt.transpose(1, 2)
        frames[:, :known] = 0
        lengths = torch.full((1,), frames.shape[1], device=frames.device) if lengths is None else lengths
        length = 1 / steps
        step = frames.new_full((frames.shape[0],), length)
        cached = self.estimator.prepare(condition, step)
        free = Cached(self.estimator.text_embed(torch.zeros_like(condition)), cached.step) if guidance > 1e-5 else None
        time = 0.0
        for _ in range(steps):
            now = frames.new_full((frames.shape[0],), time)
            velocity = self.estimator(frames, context, now, cached, lengths)
            if free is not None:
                without = self.estimator(frames, torch.zeros_like(context), now, free, lengths)
                velocity = velocity + (velocity - without) * guidance
            frames = frames + length * velocity
            time += length
            frames[:, :known] = 0
        return frames.transpose(1, 2)


class SovitsFlow(ContentModel):
    """Parameter names are those of the published files."""

    def __init__(self, sizes: SovitsSizes, dit: DitSizes, weight_norm: bool = False) -> None:
        """``weight_norm`` as it is trained; without, folded."""
        super().__init__(sizes)
        self.bridge = nn.Sequential(nn.Conv1d(sizes.encoder.channels, sizes.condition, 1), nn.LeakyReLU())
        self.wns1 = ConditionEncoder(sizes.condition, sizes.condition_layers, sizes.timbre, weight_norm)
        self.linear_mel = nn.Conv1d(sizes.condition, dit.mels, 1)
        self.cfm = FlowMatching(dit)

    def timbre(self, spectrogram: Tensor) -> Tensor:
        """Of a reference's spectrogram ``[B, bins, T]``: ``[B, timbre, 1]``."""
        timbre: Tensor = self.ref_enc(spectrogram)
        return timbre

    def condition(self, codes: Tensor, phonemes: Tensor, timbre: Tensor, speed: float = 1.0) -> Tensor:
        """Codes ``[1, T]`` and phonemes ``[1, L]`` -> ``[1, condition, frames]``, what a mel is solved under."""
        frames, version = self.frames(codes), self.sizes.version
        content = self.enc_p(
            frames, torch.tensor([frames.shape[2]], device=codes.device), phonemes,
            torch.tensor([phonemes.shape[1]], device=codes.device), timbre, speed=speed,
        )  # fmt: skip
        x = F.interpolate(self.bridge(content.x), scale_factor=_STRETCH[version], mode="nearest")
        count = int(codes.shape[1] * _FRAMES_A_CODE[version] / speed) + (speed != 1)
        mask = mask_of(torch.tensor([count], device=codes.device), x.shape[2])
        condition: Tensor = self.wns1(x, mask, timbre)
        return condition


def build_sovits_flow(file: SovitsFile, weight_norm: bool = False) -> SovitsFlow:
    """The model of a whole v3 or v4 file, in eval mode. Raises ModelFilesInvalid."""
    sizes = SovitsSizes.of(file)
    try:
        dit = DitSizes.of(strip_prefix(_estimator(file.weights), "cfm.estimator."))
    except (KeyError, IndexError, ValueError) as error:
        raise ModelFilesInvalid(f"{file.name} is no whole v3 or v4 of GPT-SoVITS: {error!r}.") from error
    model = SovitsFlow(sizes, dit, weight_norm)
    load_sovits(model, file)
    return model.eval()


def _estimator(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if name.startswith("cfm.")}
