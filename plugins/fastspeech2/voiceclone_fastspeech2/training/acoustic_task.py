"""Learning the acoustic model: batches of utterances with another recording of the same speaker as reference."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone_fastspeech2.acoustic import AcousticModel, Frames, expand_index, gather
from voiceclone_fastspeech2.prosody import Prosody, frame_places
from voiceclone_fastspeech2.speaker import Speaker
from voiceclone_fastspeech2.synthesis import predict_mel
from voiceclone_fastspeech2.training.augment import Timbre, TimbreAugmenter
from voiceclone_fastspeech2.training.features import FeatureStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter


@dataclass(frozen=True, slots=True)
class AcousticBatch:
    """Padded: per phone ``[B, N]``, per frame ``[B, F]``, mels ``[B, F, n_mels]``, references ``[B, n_mels, R]``."""

    phones: Tensor
    stresses: Tensor
    durations: Tensor
    mel: Tensor
    log_f0: Tensor
    reference: Tensor
    reference_frames: Tensor
    level: Tensor
    #: Rows whose frame decoder sees the pitch that the model itself would predict, ``[B]`` bool.
    own_pitch: Tensor


class AcousticTask:
    """Teacher-forced durations and energies; pitch teacher-forced for most rows, the model's own for the rest."""

    name = "acoustic"

    def __init__(self, model: AcousticModel, store: FeatureStore, batch_size: int = 8) -> None:
        self.module = model
        self.store, self.batch_size = store, batch_size
        self.augmenter = TimbreAugmenter(store.config)
        split: dict[str, list[int]] = defaultdict(list)
        self.by_speaker: dict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(store.items):
            if np.isfinite(store.levels[index]):
                split[item.split].append(index)
                if item.split != "test":
                    self.by_speaker[item.speaker].append(index)
        self.train, valid = split["train"], split["valid"]
        if not self.train:
            raise ValueError("the corpus has no usable training utterance")
        known = {store.items[index].base for index in self.train}
        self.valid_seen = [i for i in valid if store.items[i].base in known][:32]
        # Spread over the unseen voices, so that the score is no single voice's.
        unseen = [i for i in valid if store.items[i].base not in known]
        self.valid_unseen = sorted(unseen, key=lambda i: (zlib.crc32(store.items[i].id.encode()), i))[:48]

    # -- batches -----------------------------------------------------------------------------------------------------

    def batch(self, rng: np.random.Generator, progress: float) -> AcousticBatch:
        size = self.batch_size if progress < 0.65 else 2 * self.batch_size
        pool = np.sort(rng.choice(self.train, size * 6))
        pool = pool[np.argsort([self.store.frames(int(i)) for i in pool], kind="stable")]
        start = int(rng.integers(0, len(pool) - size + 1))
        chosen = [int(i) for i in pool[start : start + size]]
        return self._collate(chosen, rng, augment=True)

    def _collate(self, chosen: Sequence[int], rng: np.random.Generator, *, augment: bool) -> AcousticBatch:
        rows, references, levels = [], [], []
        for index in chosen:
            timbre = self.augmenter.draw(rng) if augment else None
            row = self.store[index]
            reference, level = self._reference(index, rng)
            mel, log_f0 = row.mel, row.log_f0
            if timbre is not None:
                mel, reference = self.augmenter.apply(mel, timbre), self.augmenter.apply(reference, timbre)
                log_f0, level = _shift(log_f0, timbre), level + timbre.pitch_shift + float(rng.normal() * 0.02)
            rows.append(replace(row, mel=mel, log_f0=log_f0))
            references.append(torch.from_numpy(reference))
            levels.append(level)
        return AcousticBatch(
            phones=_pad([torch.from_numpy(r.phones.astype(np.int64)) for r in rows]),
            stresses=_pad([torch.from_numpy(r.stresses.astype(np.int64)) for r in rows]),
            durations=_pad([torch.from_numpy(r.durations.astype(np.int64)) for r in rows]),
            mel=_pad([torch.from_numpy(r.mel.astype(np.float32)) for r in rows]),
            log_f0=_pad([torch.from_numpy(r.log_f0.astype(np.float32)) for r in rows]),
            reference=_pad(references).transpose(1, 2),
            reference_frames=torch.tensor([len(r) for r in references]),
            level=torch.tensor(levels, dtype=torch.float32),
            own_pitch=torch.from_numpy(rng.random(len(chosen)) < (0.35 if augment else 0.0)),
        )

    def _reference(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """2 to 4.6 s of the same speaker's other recordings, and their pitch level."""
        others = [i for i in self.by_speaker[self.store.items[index].speaker] if i != index] or [index]
        picked = [int(i) for i in rng.choice(others, min(2, len(others)), replace=False)]
        mel = np.concatenate([self.store[i].mel for i in picked])
        frames = int(rng.uniform(2.0, 4.6) * self.store.config.frames_per_second)
        start = int(rng.integers(0, max(1, len(mel) - frames)))
        return mel[start : start + frames], float(np.mean(self.store.levels[picked]))

    # -- losses ------------------------------------------------------------------------------------------------------

    def losses(self, batch: AcousticBatch) -> Mapping[str, Tensor]:
        model = self.module
        speaker = model.speaker_encoder(batch.reference, batch.reference_frames, batch.level)
        text, prosody, mask = model.encode_text(batch.phones, batch.stresses, speaker)
        total = batch.mel.shape[1]
        index, frame_mask = expand_index(batch.durations, total)
        target, voiced, phone_voiced = self._targets(batch, speaker, index, frame_mask)
        own = batch.own_pitch[:, None]
        line_pitch = torch.where(own, prosody.pitch, target.pitch).detach()
        line_voiced = torch.where(own, prosody.voicing.sigmoid(), phone_voiced.float()).detach()
        logit, pitch = model.contour(text, batch.durations, line_pitch, line_voiced, speaker, total)
        relative = torch.where(voiced, batch.log_f0 - batch.level[:, None], pitch.detach())
        frames = Frames(
            index=index, mask=frame_mask, places=frame_places(batch.durations, index),
            pitch=torch.where(own, pitch.detach(), relative),
            voicing=torch.where(own, logit.sigmoid().detach(), voiced.float()),
            energy=gather(target.energy, index),
        )  # fmt: skip
        mel = model.decode_frames(text, frames, speaker).transpose(1, 2)
        spoken = phone_voiced & mask
        losses = {
            "mel": _mean((mel - batch.mel).abs().mean(dim=2), frame_mask),
            "duration": _mean((prosody.duration - target.duration).abs(), mask),
            "pitch": _mean((prosody.pitch - target.pitch).abs(), spoken),
            "phone_voicing": _mean(_bce(prosody.voicing, phone_voiced), mask),
            "energy": _mean((prosody.energy - target.energy).abs(), mask),
            "contour": _mean((pitch - relative).abs(), voiced & frame_mask),
            "voicing": _mean(_bce(logit, voiced), frame_mask),
        }
        weights = {
            "mel": 1.0,
            "duration": 0.4,
            "pitch": 1.5,
            "phone_voicing": 0.1,
            "energy": 0.15,
            "contour": 1.0,
            "voicing": 0.15,
        }
        return {"total": sum((weights[key] * value for key, value in losses.items()), torch.zeros(())), **losses}

    @staticmethod
    def _targets(
        batch: AcousticBatch, speaker: Speaker, index: Tensor, frame_mask: Tensor
    ) -> tuple[Prosody, Tensor, Tensor]:
        """Phone targets, voiced frames ``[B, F]`` and voiced phones ``[B, N]``."""
        count = batch.durations.shape[1]
        voiced = (batch.log_f0 > 0) & frame_mask

        def by_phone(values: Tensor) -> Tensor:
            return values.new_zeros(values.shape[0], count).scatter_add_(1, index, values)

        frames = by_phone(frame_mask.float()).clamp_min(1.0)
        voiced_frames = by_phone(voiced.float())
        relative = (batch.log_f0 - batch.level[:, None]) * voiced
        pitch = by_phone(relative) / voiced_frames.clamp_min(1.0)
        loudness = (batch.mel.mean(dim=2) - speaker.spectrum.mean(dim=1, keepdim=True)) * frame_mask
        energy = by_phone(loudness) / frames
        duration = torch.log1p(batch.durations.float())
        return Prosody(duration, pitch, voiced_frames, energy), voiced, voiced_frames / frames >= 0.4

    # -- validation --------------------------------------------------------------------------------------------------

    def validate(self) -> Mapping[str, float]:
        scores: dict[str, float] = {}
        for name, indices in (("unseen", self.valid_unseen), ("seen", self.valid_seen)):
            parts: dict[str, list[float]] = defaultdict(list)
            for start in range(0, len(indices), 8):
                chosen = sorted(indices, key=self.store.frames)[start : start + 8]
                batch = self._collate(chosen, np.random.default_rng([7, start]), augment=False)
                for key, value in self.losses(batch).items():
                    parts[key].append(float(value))
            scores |= {f"{name}_{key}": float(np.mean(values)) for key, values in parts.items() if key != "total"}
        parts_of_score = [scores[key] for key in ("unseen_mel", "seen_mel") if key in scores]
        return {"score": float(np.mean(parts_of_score)) if parts_of_score else 0.0, **scores}

    def plot(self, writer: SummaryWriter, step: int) -> None:
        chosen = (self.valid_unseen[:2] + self.valid_seen[:2]) or self.train[:2]
        batch = self._collate(chosen, np.random.default_rng(7), augment=False)
        writer.add_figure("acoustic/mel", plot_mels(self.module, batch), step)


def plot_mels(model: AcousticModel, batch: AcousticBatch) -> Figure:
    """Target above free-running prediction, one column an utterance, as a matplotlib figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(batch.mel), 5), layout="constrained")
    axes = figure.subplots(2, len(batch.mel), squeeze=False)
    for row in range(len(batch.mel)):
        one = slice(row, row + 1)
        count = int((batch.phones[row] > 0).sum())
        frames = int(batch.durations[row].sum())
        speaker = model.speaker_encoder(
            batch.reference[one, :, : int(batch.reference_frames[row])], batch.reference_frames[one], batch.level[one]
        )
        predicted = predict_mel(model, batch.phones[one, :count], batch.stresses[one, :count], speaker)
        for axis, mel in zip(axes[:, row], (batch.mel[row, :frames].T, predicted.mel[0]), strict=True):
            axis.imshow(mel.numpy(), origin="lower", aspect="auto", vmin=-9, vmax=2)
    return figure


def _shift(log_f0: np.ndarray, timbre: Timbre) -> np.ndarray:
    return np.where(log_f0 > 0, log_f0 + timbre.pitch_shift, 0.0).astype(np.float32)


def _pad(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)


def _bce(logit: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logit, target.float(), reduction="none")
