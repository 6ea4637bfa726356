"""Checkers of training: one recorded step of VITS and of VITS2, coqui's pass, discriminators and spectrograms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.vits import COQUI_TRAINING, ORIGINALS, Loaded

#: Names of losses in the records -> ours.
_LOSSES = {
    "loss_disc": "discriminator", "loss_dur_disc": "duration_discriminator", "loss_gen": "adversarial",
    "loss_fm": "feature", "loss_mel": "mel", "loss_dur": "duration", "loss_kl": "kl",
    "loss_dur_gen": "duration_adversarial", "loss_gen_all": "total",
}  # fmt: skip
#: Activations that are recorded -> fields of a pass.
_ACTIVATIONS = {"y_hat": "audio", "z": "z", "z_p": "z_p", "m_p_exp": "m_p", "logs_p_exp": "logs_p", "m_q": "m_q",
                "logs_q": "logs_q"}  # fmt: skip


@checks(ORIGINALS, r"models\.SynthesizerTrn\.forward \+ MultiPeriodDiscriminator.*")
def training_step(case: Case, device: torch.device) -> Iterator[Call]:
    """One step in the originals' order: discriminators first, then the generator against the stepped ones."""
    yield Call("step", lambda report: _step(Loaded(case, device), report))


def _step(loaded: Loaded, report: Report) -> None:
    from voiceclone_vits.training.devices import OneDevice
    from voiceclone_vits.training.forward import Batch, Draws, GeneratorPass
    from voiceclone_vits.training.settings import TrainConfig
    from voiceclone_vits.training.start import judges_beside
    from voiceclone_vits.training.step import TrainingStep, build_networks

    case, io = loaded.case, loaded.tensors("io.safetensors")
    checkpoint = loaded.checkpoint
    recipe = json.loads((case.folder / "config.json").read_text("utf-8"))["train"]
    discriminator, durations = judges_beside(case.folder, checkpoint)
    if discriminator is None:
        raise FileNotFoundError("the case has no D_*.pth")
    config = TrainConfig(
        steps=1, segment_size=recipe["segment_size"], learning_rate=recipe["learning_rate"],
        betas=tuple(recipe["betas"]), eps=recipe["eps"], mel_weight=recipe["c_mel"], kl_weight=recipe["c_kl"],
        mas_noise=0.01 if "noise_mas" in io else 0.0,
    )  # fmt: skip
    model = checkpoint.build(weight_norm=True)
    analysis = _recorded(loaded, io)
    devices = OneDevice(loaded.device)
    segment = config.segment_size // checkpoint.config.audio.hop_length
    forward = GeneratorPass(model, segment, predicts=durations is not None)
    networks = build_networks(forward, discriminator, durations, analysis, devices)
    for module in networks.parts().values():
        module.eval()
    pad = analysis.pad
    batch = Batch(io["x"], io["x_lengths"], F.pad(io["wav"], (pad, pad)), io["spec_lengths"], io.get("sid"))
    draws = Draws(io["noise_posterior"], io.get("noise_mas"), io.get("noise_sdp_e_q"), io.get("noise_sdp_reverse"),
                  io["rand_slice"])  # fmt: skip
    result = TrainingStep(networks, config, devices)(batch, case.meta.get("global_step_for_mas_noise", 0), draws)
    for recorded, ours in _ACTIVATIONS.items():
        report.close(recorded, getattr(result.forward, ours), io[recorded])
    report.exact("path", result.forward.alignment.path("frames_tokens", torch.int32), io["path"])
    report.exact("ids_slice", result.forward.starts, io["ids_slice"])
    for recorded, value in case.meta["losses"].items():
        report.loss(recorded, result.scalars[_LOSSES[recorded]], value)
    report.gradient_norm("grad_norm_g", result.scalars["grad_norm_generator"], case.meta["grad_norm_g"])
    if "grad_norm_d" in case.meta:
        report.gradient_norm("grad_norm_d", result.scalars["grad_norm_discriminator"], case.meta["grad_norm_d"])
    _gradients(networks.parts(), io, json.loads((case.folder / "grad_norms.json").read_text("utf-8")), report)


def _recorded(loaded: Loaded, io: dict[str, Tensor]) -> Any:
    """The analysis of the model, but with the recorded spectrogram: it was made of a whole batch, padding and all."""
    from voiceclone_vits.training.forward import Analysis, Batch

    class Recorded(Analysis):
        def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
            return io["spec"], io["mel"] if "mel" in io else io["spec"]

    config = loaded.checkpoint.config
    return Recorded(config.audio, config.posterior.mel)


def _gradients(
    parts: dict[str, torch.nn.Module], io: dict[str, Tensor], norms: dict[str, dict[str, float]], report: Report
) -> None:
    from voiceclone.checkpoints import old_spelling

    for part, recorded in (("generator", "G"), ("discriminator", "D"), ("durations", "DUR")):
        if part not in parts:
            continue
        named = old_spelling(dict(parts[part].named_parameters()))
        total = sum(norm * norm for norm in norms[recorded].values()) ** 0.5
        for name, norm in norms[recorded].items():
            gradient = named[name].grad
            report.gradient_norm(f"{recorded} {name}", 0.0 if gradient is None else gradient.norm(), norm, total)
        if part == "generator":
            for name, value in io.items():
                if name.startswith("grad/"):
                    gradient = named[name.removeprefix("grad/")].grad
                    report.close(name, torch.zeros_like(value) if gradient is None else gradient, value)


def _coqui_pass(loaded: Loaded, facts: dict[str, Any], report: Report) -> None:
    """coqui's training forward: its losses are computed from the same pass as everybody's."""
    from voiceclone_vits.training.forward import Batch, Draws, GeneratorPass
    from voiceclone_vits.training.losses import kl_loss

    io = loaded.tensors(facts["io"])
    config = loaded.checkpoint.config
    model = loaded.checkpoint.build(weight_norm=True).to(loaded.device)
    segment = io["waveform_seg"].shape[2] // config.audio.hop_length
    speakers = io.get("d_vectors", io.get("speaker_ids"))
    batch = Batch(io["x"], io["x_lengths"], io["waveform"][:, 0], io["spec_lengths"], speakers, io.get("language_ids"))
    draws = Draws(io["noise_posterior"], duration=io.get("noise_sdp_e_q"), segment=io["rand_slice"])
    out = GeneratorPass(model, segment)(batch, io["spec"], draws=draws)
    for recorded, value in (
        ("model_outputs", out.audio), ("z", out.z), ("z_p", out.z_p), ("m_p", out.m_p), ("logs_p", out.logs_p),
        ("m_q", out.m_q), ("logs_q", out.logs_q),
    ):  # fmt: skip
        report.close(recorded, value, io[recorded])
    report.exact("path", out.alignment.path("tokens_frames", io["path"].dtype), io["path"])
    report.exact("slice_ids", out.starts, io["slice_ids"])
    report.loss("loss_duration", out.duration_loss, io["loss_duration"].sum())
    report.loss("loss_kl", kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.frame_mask), io["loss_kl"])


COQUI_TRAINING.append(lambda loaded, facts, report: torch.no_grad()(_coqui_pass)(loaded, facts, report))


@checks(ORIGINALS, r"models\.MultiPeriodDiscriminator")
def discriminators(case: Case, device: torch.device) -> Iterator[Call]:
    """Scores, feature maps and losses of the waveform discriminators alone."""
    yield Call("judge", lambda report: torch.no_grad()(_judge)(case, device, report))


def _judge(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
    from voiceclone_vits.training.losses import discriminator_loss, feature_loss, generator_loss

    from voiceclone.checkpoints import find_tensors, read_payload

    io = {name: value.to(device) for name, value in case.tensors().items()}
    state = find_tensors(read_payload(Path(case.folder) / "state_dict.pth"))
    model = MultiPeriodDiscriminator.from_state(state).to(device)
    (real, real_maps), (fake, fake_maps) = model(io["y"]), model(io["y_hat"])
    for index, (true, false, maps) in enumerate(zip(real, fake, real_maps, strict=True)):
        report.close(f"real_{index}", true, io[f"real_{index}"])
        report.close(f"fake_{index}", false, io[f"fake_{index}"])
        for layer, value in enumerate(maps):
            report.close(f"fmap_real_{index}_{layer}", value, io[f"fmap_real_{index}_{layer}"])
    report.loss("disc_loss", discriminator_loss(real, fake), io["disc_loss"])
    report.loss("gen_loss", generator_loss(fake), io["gen_loss"])
    report.loss("feature_loss", feature_loss(real_maps, fake_maps), io["feature_loss"])


@checks(ORIGINALS, r"mel_processing\..*")
def spectrograms(case: Case, device: torch.device) -> Iterator[Call]:
    """Linear and mel spectrograms, and the filters of the mel scale."""
    for facts in case.meta["configs"]:
        yield Call(facts["name"], lambda report, facts=facts: _spectrogram(case, facts, device, report))


def _spectrogram(case: Case, facts: dict[str, Any], device: torch.device, report: Report) -> None:
    from voiceclone_vits.training.spectrogram import Spectrogram, SpectrogramConfig

    prefix = f"{facts['name']}/"
    io = {name.removeprefix(prefix): value.to(device) for name, value in case.tensors().items()
          if name.startswith(prefix)}  # fmt: skip
    names = SpectrogramConfig.__dataclass_fields__
    analysis = Spectrogram(SpectrogramConfig(**{name: facts[name] for name in names})).to(device)
    linear = analysis.linear(io["y"])
    report.close("spec", linear, io["spec"])
    report.close("mel", analysis(io["y"]), io["mel"])
    report.close("mel_from_spec", analysis.mel(io["spec"]), io["mel_from_spec"])
    if "mel_basis" in io:
        report.close("mel_basis", analysis.filters, io["mel_basis"])
