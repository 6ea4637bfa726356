"""Checkers of GPT-SoVITS' training: the first model's optimiser, the second one's pass, losses and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM


@checks(UPSTREAM, r"AR\.modules\.optim\.ScaledAdam")
def optimiser(case: Case, device: torch.device) -> Iterator[Call]:
    yield Call("trajectories", lambda report: _optimiser(case, device, report))


def _optimiser(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.training.scaled_adam import ScaledAdam

    io = {name: value.to(device) for name, value in case.tensors().items()}
    names = [name.removeprefix("p0.") for name in io if name.startswith("p0.")]
    parameters = {name: nn.Parameter(io[f"p0.{name}"].clone()) for name in names}
    found = ScaledAdam(parameters.values(), **case.meta["ctor"])
    for step in range(case.meta["steps"]):
        for name, parameter in parameters.items():
            parameter.grad = io[f"grads.{name}"][step].clone()
        found.step()
        for name, parameter in parameters.items():
            report.close(f"p_after.{name}.{step}", parameter, io[f"p_after.{name}"][step], 1e-7)


@checks(UPSTREAM, r"module\.models\.SynthesizerTrn\.forward.*")
def training_pass(case: Case, device: torch.device) -> Iterator[Call]:
    yield Call("forward", lambda report: _forward(case, device, report))


def _forward(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.files import read_sovits
    from voiceclone_gpt_sovits.sovits import build_sovits
    from voiceclone_gpt_sovits.training.sovits_loss import SovitsBatch, run

    meta = case.meta
    io = {name: value.to(device) for name, value in case.tensors().items()}
    net = build_sovits(read_sovits(case.folder / meta["weights_file"]), weight_norm=True).to(device)
    batch = SovitsBatch(io["ssl"].float(), io["spec"].float(), io["spec_lengths"], io["text"], io["text_lengths"],
                        io.get("sv_emb"))  # fmt: skip
    frames = meta["ctor"]["segment_size"]
    draws = [io[f"draw.{index}.{kind}"] for index, kind in enumerate(meta["draws_order"])]
    found = run(net, batch, frames, *draws)
    report.exact("ids_slice", found.starts, io["ids_slice"])
    taps = {"z": found.posterior.z, "z_p": found.z_p, "m_p": found.prior.m, "logs_p": found.prior.logs,
            "m_q": found.posterior.m, "logs_q": found.posterior.logs, "out": found.samples[:, None]}  # fmt: skip
    recorded, made = found.mels(batch, frames)
    for name, value in {**taps, "y_mel": recorded, "y_hat_mel": made}.items():
        report.close(name, value, io[name])
    mel, kl = found.mel_loss(batch, frames), found.kl()
    report.loss("loss_mel", mel, io["loss_mel"])
    report.loss("loss_kl", kl, io["loss_kl"])
    (mel + kl).backward()
    norms = meta["grad_norms"]
    total = sum(value**2 for value in norms.values()) ** 0.5
    named = {_upstream(name): parameter for name, parameter in net.named_parameters()}
    for name, value in norms.items():
        gradient = named[name].grad
        report.gradient_norm(name, torch.zeros(()) if gradient is None else gradient.norm(), value, total)


def _upstream(name: str) -> str:
    """The names that weight norm had there."""
    name = name.replace(".parametrizations.weight.original0", ".weight_g")
    return name.replace(".parametrizations.weight.original1", ".weight_v")
