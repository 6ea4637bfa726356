"""What training watches: losses on held-out speech with fixed noise, and sounds and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone_vits.duration import StochasticDurationPredictor
from voiceclone_vits.net import Vits, sequence_mask
from voiceclone_vits.training.batches import Collator
from voiceclone_vits.training.forward import Analysis, Batch, Draws, GeneratorPass
from voiceclone_vits.training.losses import kl_loss, mel_loss
from voiceclone_vits.training.slicing import cut

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

_MOST = 32
_SHOWN = 2
#: No token of a picture's speech lasts longer, whatever an untrained predictor says; in frames.
_LONGEST_TOKEN = 50


class Validation:
    """Utterances ``indices`` of the collator's store, a few of them, always the same and always cut alike."""

    def __init__(
        self, collate: Collator, indices: Sequence[int], analysis: Analysis, segment_frames: int, batch_size: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.collate, self.analysis, self.device = collate, analysis, device
        self.segment_frames, self.batch_size = segment_frames, batch_size
        spread = range(0, len(indices), max(1, len(indices) // _MOST))
        self.indices = [indices[index] for index in spread][:_MOST]

    def scores(self, model: Vits, autocast: Callable[[], AbstractContextManager[object]]) -> Mapping[str, float]:
        """Means of ``mel`` (L1 of log-mels), ``kl`` and ``duration``; the least ``score``, the mel, is kept as best."""
        totals = torch.zeros(3, device=self.device)
        forward = GeneratorPass(model, self.segment_frames)
        batches = 0
        for start in range(0, len(self.indices), self.batch_size):
            batch = self.collate(self.indices[start : start + self.batch_size]).to(self.device)
            spectrogram, mel = self.analysis(batch)
            with autocast():
                out = forward(batch, spectrogram, draws=self._draws(model, batch, spectrogram.shape[2]))
            heard = self.analysis.spectrogram(out.audio[:, 0].float())
            totals += torch.stack((
                mel_loss(cut(mel, out.starts, self.segment_frames), heard),
                kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.frame_mask),
                out.duration_loss.float(),
            ))  # fmt: skip
            batches += 1
        mel_mean, kl, duration = (totals / max(batches, 1)).tolist()
        return {"score": mel_mean, "mel": mel_mean, "kl": kl, "duration": duration}

    def _draws(self, model: Vits, batch: Batch, frames: int) -> Draws:
        """The same noise at every validation."""
        generator = torch.Generator().manual_seed(7)
        size, tokens = batch.tokens.shape
        return Draws(
            posterior=torch.randn(size, model.config.latent, frames, generator=generator).to(self.device),
            duration=torch.randn(size, 2, tokens, generator=generator).to(self.device),
            segment=torch.rand(size, generator=generator).to(self.device),
        )

    def plot(self, model: Vits, writer: SummaryWriter, step: int) -> None:
        """``audio/*``, ``mel/*`` and ``alignment/*`` of the first utterances."""
        rate = model.config.audio.sample_rate
        for row, index in enumerate(self.indices[:_SHOWN]):
            batch = self.collate([index]).to(self.device)
            spectrogram, mel = self.analysis(batch)
            out = GeneratorPass(model, self.segment_frames)(batch, spectrogram, draws=self._draws(model, batch, spectrogram.shape[2]))
            spoken = speak(model, batch)
            original = torch.from_numpy(self.collate.store.audio(index))
            if step and row < _SHOWN:
                writer.add_audio(f"audio/generated_{row}", spoken[0].float().cpu(), step, rate)
            writer.add_audio(f"audio/original_{row}", original, step, rate)
            heard = self.analysis.spectrogram(F.pad(spoken.float(), (0, -spoken.shape[1] % model.config.audio.hop_length)))
            writer.add_figure(f"mel/{row}", _mels(mel[0], heard[0]), step)
            writer.add_figure(f"alignment/{row}", _path(out.alignment.path("tokens_frames")[0]), step)


def speak(model: Vits, batch: Batch, noise_scale: float = 0.667, duration_noise: float = 0.8) -> Tensor:
    """Free-running speech ``[1, S]`` of the first utterance of ``batch``, with fixed noise."""
    generator = torch.Generator().manual_seed(7)
    device = batch.tokens.device
    count = batch.token_counts[:1]
    speakers = None if batch.speakers is None else batch.speakers[:1]
    languages = None if batch.languages is None else batch.languages[:1]
    g, language = model.speaker(speakers), model.language(languages)
    text = model.enc_p(batch.tokens[:1, : int(count)], count, g, language)
    told = g if model.config.duration.speaker else None
    if isinstance(model.dp, StochasticDurationPredictor):
        noise = torch.randn(1, 2, int(count), generator=generator).to(device) * duration_noise
        predicted = model.dp(text.x, text.mask, noise, told, language)
    else:
        predicted = model.dp(text.x, text.mask, told, language)
    durations = torch.ceil(torch.exp(predicted[0, 0])).clamp(1, _LONGEST_TOKEN).long()
    index = torch.repeat_interleave(torch.arange(int(count), device=device), durations)
    m, logs = text.m[:, :, index], text.logs[:, :, index]
    z_p = m + torch.randn(m.shape, generator=generator).to(device) * torch.exp(logs) * noise_scale
    mask = sequence_mask(torch.tensor([len(index)], device=device), len(index))
    z, _ = model.flow(z_p, mask, g, reverse=True)
    audio: Tensor = model.dec(z.transpose(1, 2), None if g is None else g[:, :, 0])
    return audio


def _mels(original: Tensor, generated: Tensor) -> Figure:
    """The recording above what the model says to the same text."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    for axis, mel, name in zip(figure.subplots(2, 1), (original, generated), ("recording", "generated"), strict=True):
        axis.imshow(mel.float().cpu().numpy(), origin="lower", aspect="auto", vmin=-11, vmax=2)
        axis.set_title(name)
    return figure


def _path(path: Tensor) -> Figure:
    """Tokens over frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    axis.imshow(path.cpu().numpy(), origin="lower", aspect="auto", interpolation="none")
    axis.set_xlabel("frame")
    axis.set_ylabel("token")
    return figure
