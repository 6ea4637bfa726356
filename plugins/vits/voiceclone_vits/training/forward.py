"""One pass of the generator in training: encode, align, expand the prior, predict durations, decode a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voiceclone.ops.mas import Alignment
from voiceclone_vits.config import AudioConfig
from voiceclone_vits.duration import StochasticDurationPredictor
from voiceclone_vits.net import Vits, sequence_mask
from voiceclone_vits.training.alignment import align, expand
from voiceclone_vits.training.losses import duration_error, log_durations
from voiceclone_vits.training.slicing import cut, segment_starts
from voiceclone_vits.training.spectrogram import Spectrogram, SpectrogramConfig


@dataclass(frozen=True, slots=True)
class Batch:
    """``tokens`` ``[B, T_text]``; ``padded_audio`` ``[B, S + 2 * pad]``: each sample reflected at its own ends.

    ``frames`` ``[B]`` spectrogram frames of each sample. ``speakers`` numbers ``[B]`` or vectors ``[B, D]``.
    """

    tokens: Tensor
    token_counts: Tensor
    padded_audio: Tensor
    frames: Tensor
    speakers: Tensor | None = None
    languages: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        moved = (
            value if value is None else value.to(device, non_blocking=True)
            for value in (getattr(self, name) for name in self.__slots__)
        )
        return Batch(*moved)


class Draws(NamedTuple):
    """Every random number of a pass, standard normal but ``segment``, uniform; None is drawn when it is needed.

    ``posterior`` ``[B, C, T_mel]``, ``alignment`` ``[B, T_mel, T_text]``, ``duration`` and ``duration_reverse``
    ``[B, 2, T_text]``, ``segment`` ``[B]``.
    """

    posterior: Tensor | None = None
    alignment: Tensor | None = None
    duration: Tensor | None = None
    duration_reverse: Tensor | None = None
    segment: Tensor | None = None


class Pass(NamedTuple):
    """What one pass leaves: ``audio`` ``[B, 1, S]`` and its ``starts`` in frames, and what the losses compare."""

    audio: Tensor
    starts: Tensor
    alignment: Alignment
    duration_loss: Tensor
    log_durations: Tensor
    predicted_log_durations: Tensor | None
    encoded: Tensor
    token_mask: Tensor
    frame_mask: Tensor
    z: Tensor
    z_p: Tensor
    m_p: Tensor
    logs_p: Tensor
    m_q: Tensor
    logs_q: Tensor


class GeneratorPass(nn.Module):
    """The generator as training calls it: one ``forward``, so that it can be wrapped for several devices.

    ``predicts`` asks for log durations drawn by a stochastic predictor too: a duration discriminator judges them.
    """

    def __init__(self, model: Vits, segment_frames: int, predicts: bool = False) -> None:
        super().__init__()
        self.model, self.segment_frames, self.predicts = model, segment_frames, predicts

    def forward(self, batch: Batch, spectrogram: Tensor, noise_scale: float = 0.0, draws: Draws | None = None) -> Pass:
        """``spectrogram`` ``[B, bins, T_mel]``; ``noise_scale`` above 0 disturbs the alignment (VITS2)."""
        model, draws = self.model, draws or Draws()
        g, language = model.speaker(batch.speakers), model.language(batch.languages)
        text = model.enc_p(batch.tokens, batch.token_counts, g, language)
        frame_mask = sequence_mask(batch.frames, spectrogram.shape[2])
        posterior = model.enc_q(spectrogram, frame_mask, g, draws.posterior)
        z_p = _first(model.flow(posterior.z, frame_mask, g))
        noise = draws.alignment
        if noise_scale and noise is None:
            noise = torch.randn(z_p.shape[0], z_p.shape[2], text.m.shape[2], device=z_p.device)
        alignment = align(
            z_p, text.m, text.logs, batch.frames, batch.token_counts, noise if noise_scale else None, noise_scale
        )
        # Splines and logarithms of durations: few operations, and the first to overflow in half precision.
        with torch.autocast(z_p.device.type, enabled=False):
            duration_loss, target, predicted = self._durations(text.x, text.mask, g, language, alignment, draws)
        draw = draws.segment if draws.segment is not None else torch.rand(z_p.shape[0], device=z_p.device)
        starts = segment_starts(draw, batch.frames, self.segment_frames)
        segment = cut(posterior.z, starts, self.segment_frames)
        return Pass(
            audio=model.dec(segment.transpose(1, 2), None if g is None else g[:, :, 0])[:, None],
            starts=starts, alignment=alignment, duration_loss=duration_loss, log_durations=target,
            predicted_log_durations=predicted, encoded=text.x, token_mask=text.mask, frame_mask=frame_mask,
            z=posterior.z, z_p=z_p, m_p=expand(text.m, alignment), logs_p=expand(text.logs, alignment),
            m_q=posterior.m, logs_q=posterior.logs,
        )  # fmt: skip

    def _durations(
        self, x: Tensor, mask: Tensor, g: Tensor | None, language: Tensor | None, alignment: Alignment, draws: Draws
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss, the log durations of the alignment, and the predicted ones; no gradient leaves the predictor."""
        model = self.model
        x = x.detach().float()
        g = g.detach().float() if g is not None and model.config.duration.speaker else None
        language = language.detach().float() if language is not None else None
        target = log_durations(alignment.durations, mask)
        if not isinstance(model.dp, StochasticDurationPredictor):
            predicted = model.dp(x, mask, g, language)
            return duration_error(predicted, target, mask), target, predicted
        shape = (x.shape[0], 2, x.shape[2])
        noise = draws.duration if draws.duration is not None else torch.randn(shape, device=x.device)
        durations = alignment.durations[:, None].float()
        nll = model.dp.negative_log_likelihood(x, mask, durations, noise, g, language)
        loss = (nll / mask.sum()).sum()
        if not self.predicts:
            return loss, target, None
        back = draws.duration_reverse if draws.duration_reverse is not None else torch.randn(shape, device=x.device)
        return loss, target, model.dp(x, mask, back, g, language)


class Analysis(nn.Module):
    """Batches of audio to what the posterior encoder reads, and to the log-mels that are compared."""

    def __init__(self, audio: AudioConfig, mel_posterior: bool) -> None:
        super().__init__()
        self.mel_posterior = mel_posterior
        self.spectrogram = Spectrogram(spectrogram_config(audio))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The posterior's input ``[B, bins, T]`` and log-mels ``[B, M, T]``, zero in the padding."""
        linear = self.spectrogram.linear_of_padded(batch.padded_audio)
        mask = sequence_mask(batch.frames, linear.shape[2])
        mel = self.spectrogram.mel(linear)
        return (mel if self.mel_posterior else linear) * mask, mel * mask

    @property
    def pad(self) -> int:
        """Samples of reflection at either end."""
        return self.spectrogram.config.pad


def spectrogram_config(audio: AudioConfig) -> SpectrogramConfig:
    return SpectrogramConfig(
        audio.sample_rate, audio.filter_length, audio.hop_length, audio.win_length, audio.mel_bins, audio.mel_fmin,
        audio.mel_fmax,
    )  # fmt: skip


def _first(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    return result if isinstance(result, Tensor) else result[0]
