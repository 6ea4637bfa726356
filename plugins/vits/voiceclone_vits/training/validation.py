"""What training watches: losses on held-out speech with fixed noise, and sounds and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone_vits.net import Vits
from voiceclone_vits.synthesis import Controls, decode, expand, plan, row_noise
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
_LONGEST_TOKEN = 20


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
        rate, hop = model.config.audio.sample_rate, model.config.audio.hop_length
        forward = GeneratorPass(model, self.segment_frames)
        for row, index in enumerate(self.indices[:_SHOWN]):
            batch = self.collate([index]).to(self.device)
            spectrogram, mel = self.analysis(batch)
            out = forward(batch, spectrogram, draws=self._draws(model, batch, spectrogram.shape[2]))
            spoken = speak(model, batch).float()
            heard = self.analysis.spectrogram(F.pad(spoken, (0, -len(spoken) % hop))[None])
            writer.add_audio(f"audio/generated_{row}", spoken.cpu(), step, rate)
            writer.add_audio(f"audio/recording_{row}", torch.from_numpy(self.collate.store.audio(index)), step, rate)
            writer.add_figure(f"mel/{row}", _mels(mel[0], heard[0]), step)
            writer.add_figure(f"alignment/{row}", _path(out.alignment.path("tokens_frames")[0]), step)


def speak(model: Vits, batch: Batch) -> Tensor:
    """Free-running speech ``[S]`` of the first utterance of ``batch``, with fixed noise."""
    controls = Controls(model.config.noise_scale, model.config.duration_noise_scale)
    noise = row_noise([torch.Generator().manual_seed(7)])
    count = int(batch.token_counts[0])
    speakers = None if batch.speakers is None else batch.speakers[:1]
    languages = None if batch.languages is None else batch.languages[:1]
    planned = plan(
        model, batch.tokens[:1, :count], batch.token_counts[:1], controls, noise, speakers=speakers, languages=languages
    )
    durations = planned.durations.clamp(1, _LONGEST_TOKEN)
    planned = planned._replace(durations=durations, frames=durations.sum(dim=1))
    prior = expand(planned, controls, noise)
    z = model.flow(prior.z_p, prior.mask, planned.g, reverse=True)
    return decode(model, z, planned.frames, planned.g)[0]


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
