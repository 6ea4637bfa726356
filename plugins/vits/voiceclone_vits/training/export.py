"""Trained weights out of a run: the original's G_*.pth with its config.json, and this project's safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from voiceclone.checkpoints import old_spelling
from voiceclone.errors import ModelFilesInvalid
from voiceclone.training.checkpoint import list_checkpoints, load_state, load_tensors
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import AudioConfig, FlowKind, SpeakerKind
from voiceclone_vits.layouts import own
from voiceclone_vits.symbols import VITS_SYMBOLS, Alphabet, numbered
from voiceclone_vits.training.settings import TrainConfig

START = "start"
SETTINGS = "settings.json"
Choice = Literal["best", "last"]


@dataclass(frozen=True)
class Trained:
    """What a run has come to: the generator, its judges as they last were, and the step."""

    checkpoint: Checkpoint
    judges: Mapping[str, Mapping[str, Tensor]]
    step: int


def read_run(run: Path, choose: Choice = "last") -> Trained:
    """The averaged weights of the last checkpoint, or of the one that validated best. Raises ModelFilesInvalid."""
    found = list_checkpoints(run)
    start = own.find(run / START)
    if not found or start is None:
        raise ModelFilesInvalid(f"{run.name} has no checkpoint.", hint="Train first: voiceclone train vits --run RUN.")
    chosen = run / "best" if choose == "best" and (run / "best").is_dir() else found[-1]
    tensors = old_spelling(load_tensors(chosen, "average"))
    judges = {name: old_spelling(load_tensors(found[-1], name)) for name in ("discriminator", "durations")
              if (found[-1] / f"{name}.safetensors").is_file()}  # fmt: skip
    return Trained(replace(own.read(start), tensors=tensors), judges, int(load_state(chosen)["step"]))


def export_safetensors(trained: Trained, folder: Path) -> Path:
    """``model.safetensors`` and ``vits.json``, which every VITS of any kind can be written as."""
    own.write(trained.checkpoint, folder)
    return folder / own.WEIGHTS


def export_original(trained: Trained, folder: Path, settings: TrainConfig) -> Path:
    """``G_N.pth``, ``D_N.pth``, ``DUR_N.pth`` and ``config.json`` as VITS and VITS2 write and read them.

    Raises ModelFilesInvalid for models that the original has no place for: languages, and speakers told by vectors.
    """
    config = trained.checkpoint.config
    if config.speaker_kind is SpeakerKind.VECTOR or config.text.languages:
        raise ModelFilesInvalid(
            "the original layout has no languages and no speakers told by vectors.",
            hint="Use the safetensors of this project, which are written beside.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"G_{trained.step}.pth"
    _save(trained.checkpoint.tensors, path, trained.step, settings)
    for part, letter in (("discriminator", "D"), ("durations", "DUR")):
        if part in trained.judges:
            _save(trained.judges[part], folder / f"{letter}_{trained.step}.pth", trained.step, settings)
    text = json.dumps(original_config(trained.checkpoint, settings), indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", "utf-8")
    return path


def _save(tensors: Mapping[str, Tensor], path: Path, step: int, settings: TrainConfig) -> None:
    """One file as ``utils.save_checkpoint`` writes it; its optimizer has no moments yet, as at the start."""
    group = {
        "lr": settings.learning_rate, "betas": settings.betas, "eps": settings.eps, "weight_decay": 0.01,
        "amsgrad": False, "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "fused": None, "decoupled_weight_decay": True, "params": list(range(len(tensors))),
    }  # fmt: skip
    model = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    payload = {
        "model": model, "iteration": step, "learning_rate": settings.learning_rate,
        "optimizer": {"state": {}, "param_groups": [group]},
    }  # fmt: skip
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def original_config(checkpoint: Checkpoint, settings: TrainConfig) -> dict[str, Any]:
    """The configuration that the original's scripts read."""
    config = checkpoint.config
    decoder, audio, text, flow = config.decoder, config.audio, config.text, config.flow
    two = flow.kind is not FlowKind.WAVENET or config.posterior.mel
    model: dict[str, Any] = {
        "inter_channels": config.latent, "hidden_channels": text.hidden, "filter_channels": text.filter,
        "n_heads": text.heads, "n_layers": text.layers, "kernel_size": text.kernel_size, "p_dropout": text.dropout,
        "resblock": decoder.resblock, "resblock_kernel_sizes": list(decoder.kernels),
        "resblock_dilation_sizes": [list(row) for row in decoder.dilations], "upsample_rates": list(decoder.rates),
        "upsample_initial_channel": decoder.channels, "upsample_kernel_sizes": list(decoder.rate_kernels),
        "n_layers_q": 3, "use_spectral_norm": False, "use_sdp": config.duration.stochastic,
    }  # fmt: skip
    if config.speakers:
        model["gin_channels"] = config.speaker_channels
    if two:
        model |= {
            "use_mel_posterior_encoder": config.posterior.mel,
            "use_transformer_flows": flow.kind is not FlowKind.WAVENET,
            "transformer_flow_type": flow.kind.value, "use_spk_conditioned_encoder": text.speaker_layer is not None,
            "use_noise_scaled_mas": settings.mas_noise > 0,
            "use_duration_discriminator": settings.duration_discriminator != "none",
            "duration_discriminator_type": settings.duration_discriminator,
        }  # fmt: skip
    named = {"speakers": {name: row for row, name in enumerate(checkpoint.speakers)}} if checkpoint.speakers else {}
    return {"train": _train_section(settings), "data": _data_section(checkpoint, audio), "model": model, **named}


def _train_section(settings: TrainConfig) -> dict[str, Any]:
    return {
        "log_interval": 200, "eval_interval": settings.validate_every, "seed": settings.seed, "epochs": 20000,
        "learning_rate": settings.learning_rate, "betas": list(settings.betas), "eps": settings.eps,
        "batch_size": settings.batch_size, "fp16_run": settings.precision == "fp16", "lr_decay": settings.lr_decay,
        "segment_size": settings.segment_size, "init_lr_ratio": 1, "warmup_epochs": 0, "c_mel": settings.mel_weight,
        "c_kl": settings.kl_weight,
    }  # fmt: skip


def _data_section(checkpoint: Checkpoint, audio: AudioConfig) -> dict[str, Any]:
    symbols = checkpoint.symbols
    cleaner = "english_cleaners2" if symbols.alphabet is Alphabet.IPA else "basic_cleaners"
    section: dict[str, Any] = {
        "training_files": "", "validation_files": "", "text_cleaners": [cleaner],
        "max_wav_value": 32768.0, "sampling_rate": audio.sample_rate, "filter_length": audio.filter_length,
        "hop_length": audio.hop_length, "win_length": audio.win_length, "n_mel_channels": audio.mel_bins,
        "mel_fmin": audio.mel_fmin, "mel_fmax": audio.mel_fmax, "add_blank": symbols.blank is not None,
        "n_speakers": checkpoint.config.speakers, "cleaned_text": True,
    }  # fmt: skip
    if symbols.ids != numbered(VITS_SYMBOLS):
        listed = {ids[0]: symbol for symbol, ids in symbols.ids.items() if len(ids) == 1}
        # Some tables leave ids free, so that voices can grow.
        section["symbols"] = [listed.get(index, f"<{index}>") for index in range(checkpoint.config.text.vocabulary)]
    return section


def read_settings(run: Path) -> TrainConfig:
    """The settings that ``run`` was last trained with. Raises ModelFilesInvalid."""
    try:
        data = json.loads((run / SETTINGS).read_text("utf-8"))
        return TrainConfig(**{**data, "betas": tuple(data["betas"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFilesInvalid(f"{run.name}/{SETTINGS} cannot be read: {error}.") from error
