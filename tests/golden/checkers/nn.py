"""Checkers of the blocks in ``voiceclone.nn``: WaveNet, coupling flow, posterior encoder and HiFi-GAN's generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report

ORIGINALS = r"jaywalnut310/vits|p0p4k/vits2_pytorch"


def filled(module: nn.Module, case: Case, device: torch.device, file: str = "state_dict.pth") -> nn.Module:
    """``module`` with the tensors of ``file``, through the reader of user files."""
    from voiceclone.checkpoints import find_tensors, load_into, read_payload

    load_into(module, find_tensors(read_payload(case.folder / file), file), file)
    return module.eval().to(device)


def tensors(case: Case, device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in case.tensors().items()}


def rounding(case: Case) -> dict[str, float]:
    found = case.meta.get("fp32_vs_fp64_max_abs")
    return found if isinstance(found, dict) else {}


@checks(ORIGINALS, r"(models\.)?ResidualCouplingBlock.*")
def coupling(case: Case, device: torch.device) -> Iterator[Call]:
    """The flow both ways with its log determinant; with weight norm and folded."""
    for name, weight_norm in (("weight norm", True), ("folded", False)):
        yield Call(name, lambda report, norm=weight_norm: _coupling(case, device, norm, report))


@torch.inference_mode()
def _coupling(case: Case, device: torch.device, weight_norm: bool, report: Report) -> None:
    from voiceclone.nn.flow import ResidualCouplingBlock

    sizes = {"mean_only": True, **case.meta["constructor"]}
    net = filled(ResidualCouplingBlock(**sizes, weight_norm=weight_norm), case, device)
    io, known = tensors(case, device), rounding(case)
    x, mask, g = io["x"], io["x_mask"], io.get("g")
    forward, logdet = net.with_logdet(x, mask, g)
    got = {"forward": forward, "logdet": logdet, "reverse": net(x, mask, g, reverse=True)}
    got["after_flow0"] = net.flows[0](x, mask, g)[0]
    got["after_flow0_flip"] = net.flows[1](got["after_flow0"], mask, g)[0]
    for name, value in got.items():
        if name in io:
            report.close(name, value, io[name], known.get(name))


@checks(ORIGINALS, r"modules\.WN")
def wavenet(case: Case, device: torch.device) -> Iterator[Call]:
    """Output, output with a condition that changes in time, gradients, and the folded weights."""
    yield Call("weight norm", lambda report: _wavenet(case, device, report))
    if (case.folder / "state_dict_folded.pth").is_file():
        yield Call("folded", lambda report: _folded(case, device, report))


def _wn(case: Case, weight_norm: bool) -> nn.Module:
    from voiceclone.nn.wavenet import WN

    return WN(**case.meta["constructor"], weight_norm=weight_norm)


def _wavenet(case: Case, device: torch.device, report: Report) -> None:
    net, io = filled(_wn(case, True), case, device), tensors(case, device)
    known, x = rounding(case), io["x"].clone().requires_grad_()
    out = net(x, io["x_mask"], io.get("g"))
    report.close("y", out, io["y"], known.get("y"))
    if "y_g_time" in io:
        report.close("y_g_time", net(io["x"], io["x_mask"], io["g_time"]), io["y_g_time"], known.get("y_g_time"))
    (out * torch.linspace(0, 1, out.numel(), device=device).view_as(out)).sum().backward()
    if "dx_for_linspace_loss" in io:
        assert x.grad is not None
        report.close("dx", x.grad, io["dx_for_linspace_loss"])
    gradients = {_old_name(name): value.grad for name, value in net.named_parameters()}
    for name in (key.removeprefix("grad/") for key in io if key.startswith("grad/")):
        found: Any = gradients[name]
        report.close(f"grad/{name}", found, io[f"grad/{name}"])


def _old_name(name: str) -> str:
    ends = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    for new, old in ends.items():
        if name.endswith(new):
            return name.removesuffix(new) + old
    return name


@torch.inference_mode()
def _folded(case: Case, device: torch.device, report: Report) -> None:
    net, io = filled(_wn(case, False), case, device, "state_dict_folded.pth"), tensors(case, device)
    report.close("y", net(io["x"], io["x_mask"], io.get("g")), io["y"], rounding(case).get("y"))


@checks(ORIGINALS, r"models\.PosteriorEncoder")
def posterior(case: Case, device: torch.device) -> Iterator[Call]:
    """Mean, log deviation and the draw of recorded noise."""
    yield Call("forward", lambda report: _posterior(case, device, report))


@torch.inference_mode()
def _posterior(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone.nn.posterior import PosteriorEncoder

    net, io = filled(PosteriorEncoder(**case.meta["constructor"]), case, device), tensors(case, device)
    found = net(io["x"], io["x_mask"], io.get("g"), io["noise"])
    for name in ("z", "m", "logs"):
        report.close(name, getattr(found, name), io[name], rounding(case).get(name))


@checks(ORIGINALS, r"models\.Generator")
def generator(case: Case, device: torch.device) -> Iterator[Call]:
    """Samples of every recorded length, with weight norm and folded."""
    for key in sorted(name for name in case.tensors() if name == "x" or name.startswith("x_T")):
        suffix = key.removeprefix("x")
        for name, weight_norm in (("weight norm", True), ("folded", False)):
            yield Call(
                f"{key} {name}", lambda report, at=suffix, norm=weight_norm: _generator(case, device, at, norm, report)
            )


@torch.inference_mode()
def _generator(case: Case, device: torch.device, suffix: str, weight_norm: bool, report: Report) -> None:
    from voiceclone.nn.hifigan import Generator, GeneratorConfig

    sizes = case.meta["constructor"]
    config = GeneratorConfig(
        sizes["initial_channel"], sizes["upsample_initial_channel"], tuple(sizes["upsample_rates"]),
        tuple(sizes["upsample_kernel_sizes"]), tuple(sizes["resblock_kernel_sizes"]),
        tuple(map(tuple, sizes["resblock_dilation_sizes"])), sizes["resblock"], sizes.get("gin_channels", 0),
    )  # fmt: skip
    net, io = filled(Generator(config, weight_norm), case, device), tensors(case, device)
    g = io.get(f"g{suffix}")
    wave = net(io[f"x{suffix}"].transpose(1, 2), None if g is None else g[:, :, 0])
    report.close(f"y{suffix}", wave[:, None], io[f"y{suffix}"], rounding(case).get("y"))
