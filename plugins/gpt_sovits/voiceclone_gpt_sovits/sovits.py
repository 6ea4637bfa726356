"""The second model (s2, "SoVITS") of v1, v2, v2Pro and v2ProPlus: codes, phonemes and a timbre to samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone.checkpoints import load_into
from voiceclone.nn.flow import ResidualCouplingBlock
from voiceclone.nn.hifigan import Generator
from voiceclone.nn.posterior import PosteriorEncoder
from voiceclone_gpt_sovits.codebook import Quantizer
from voiceclone_gpt_sovits.content import Content, ContentEncoder, Tail
from voiceclone_gpt_sovits.files import SovitsFile
from voiceclone_gpt_sovits.sizes import SovitsSizes
from voiceclone_gpt_sovits.timbre import TimbreEncoder

#: Upstream's variation of the sound.
NOISE_SCALE = 0.5
#: Tensors that published files have and nothing reads.
_UNREAD = ("embed_avg", "inited", "cluster_size")


class Decoded(NamedTuple):
    """``samples`` ``[B, T * hop]`` and the steps to them: the latent ``[B, C, T]`` and what was said."""

    samples: Tensor
    latent: Tensor
    content: Content


class ContentModel(nn.Module):
    """What all second models share: content features, codes and timbre."""

    def __init__(self, sizes: SovitsSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enc_p = ContentEncoder(sizes.encoder, sizes.content, sizes.latent, sizes.dropout)
        self.ref_enc = TimbreEncoder(sizes.timbre_bins, sizes.timbre_width, sizes.timbre)
        self.ssl_proj = nn.Conv1d(sizes.content, sizes.content, sizes.stride, stride=sizes.stride)
        self.quantizer = Quantizer(sizes.codes, sizes.content)

    def extract(self, features: Tensor) -> Tensor:
        """Content features ``[B, content, T]`` of a recording -> its codes ``[B, T // stride]``."""
        return self.quantizer.encode(self.ssl_proj(features))

    def frames(self, codes: Tensor) -> Tensor:
        """Codes ``[B, T]`` -> content features at the latent's rate ``[B, content, T * stride]``."""
        return self.quantizer.decode(codes).repeat_interleave(self.sizes.stride, dim=2)

    def alignment(self, codes: Tensor, phonemes: Tensor) -> Tensor:
        """How much frames of ``codes`` ``[1, T]`` look at each of ``phonemes`` ``[1, L]``: ``[1, T * stride, L]``."""
        content = self.frames(codes)
        return self.enc_p.alignment(content, _length(content, 2), phonemes, _length(phonemes, 1))


class Sovits(ContentModel):
    """Parameter names are those of the published files; :class:`Decoder` and flow are in ``voiceclone.nn``."""

    def __init__(self, sizes: SovitsSizes, weight_norm: bool = False) -> None:
        """``weight_norm`` as it is trained; without, folded."""
        super().__init__(sizes)
        if sizes.generator is None:
            raise ValueError(f"a {sizes.version.value} has no decoder of its own")
        self.dec = Generator(sizes.generator, weight_norm)
        self.flow = ResidualCouplingBlock(
            sizes.latent, sizes.flow_width, 5, 1, 4, gin_channels=sizes.timbre, weight_norm=weight_norm
        )
        if sizes.posterior_bins:
            self.enc_q = PosteriorEncoder(
                sizes.posterior_bins, sizes.latent, sizes.encoder.channels, 5, 1, 16, sizes.timbre, weight_norm
            )
        if sizes.speaker:
            self.sv_emb = nn.Linear(sizes.speaker, sizes.timbre)
            self.ge_to512 = nn.Linear(sizes.timbre, sizes.encoder.joint)
            self.prelu = nn.PReLU(sizes.timbre)

    def timbre(self, spectrogram: Tensor, speaker: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Of a reference's spectrogram ``[B, bins, T]`` and, for v2Pro, its speaker embedding: ``[B, timbre, 1]``."""
        timbre: Tensor = self.ref_enc(spectrogram, lengths)
        if not self.sizes.speaker:
            return timbre
        if speaker is None:
            raise ValueError(f"a {self.sizes.version.value} needs a speaker embedding [B, {self.sizes.speaker}]")
        both: Tensor = self.prelu(timbre + self.sv_emb(speaker)[..., None])
        return both

    def joint_timbre(self, timbre: Tensor) -> Tensor:
        """The timbre in the width where text and codes meet."""
        return self.ge_to512(timbre.transpose(1, 2)).transpose(1, 2) if self.sizes.speaker else timbre

    def content(
        self, codes: Tensor, phonemes: Tensor, timbre: Tensor, *, speed: float = 1.0, tail: Tail | None = None
    ) -> Content:
        """Codes ``[1, T]`` and phonemes ``[1, L]`` -> the prior of each frame."""
        frames = self.frames(codes)
        lengths, joint = (_length(frames, 2), _length(phonemes, 1)), self.joint_timbre(timbre)
        content: Content = self.enc_p(frames, lengths[0], phonemes, lengths[1], joint, speed=speed, tail=tail)
        return content

    def latent(self, content: Content, timbre: Tensor, noise: Tensor, noise_scale: float = NOISE_SCALE) -> Tensor:
        """``noise`` ``[1, latent, T]`` -> what the decoder reads, ``[1, latent, T]``."""
        z_p = content.m + noise * torch.exp(content.logs) * noise_scale
        latent: Tensor = self.flow(z_p, content.mask, timbre, reverse=True) * content.mask
        return latent

    def samples(self, latent: Tensor, timbre: Tensor) -> Tensor:
        """``[1, latent, T]`` -> ``[1, T * hop]``."""
        samples: Tensor = self.dec(latent.transpose(1, 2), timbre[..., 0])
        return samples

    def forward(
        self, codes: Tensor, phonemes: Tensor, timbre: Tensor, noise: Tensor, *,
        noise_scale: float = NOISE_SCALE, speed: float = 1.0, tail: Tail | None = None,
    ) -> Decoded:  # fmt: skip
        content = self.content(codes, phonemes, timbre, speed=speed, tail=tail)
        latent = self.latent(content, timbre, noise, noise_scale)
        return Decoded(self.samples(latent, timbre), latent, content)


def mean_timbre(timbres: Sequence[Tensor]) -> Tensor:
    """Of several references."""
    return torch.stack(tuple(timbres)).mean(0)


def build_sovits(file: SovitsFile, weight_norm: bool = False) -> Sovits:
    """The model of a v1, v2 or v2Pro file, in eval mode. Raises ModelFilesInvalid."""
    sovits = Sovits(SovitsSizes.of(file), weight_norm)
    load_sovits(sovits, file)
    return sovits.eval()


def load_sovits(module: ContentModel, file: SovitsFile) -> None:
    """Fill ``module``. Raises ModelFilesInvalid."""
    load_into(module, file.weights, file.name, spare=lambda name: name.rpartition(".")[2] in _UNREAD)


def _length(x: Tensor, dimension: int) -> Tensor:
    return torch.full((x.shape[0],), x.shape[dimension], device=x.device)
