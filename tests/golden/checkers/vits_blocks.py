"""Checkers of single parts of VITS that the plugin builds itself: text encoder and duration predictors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report

ORIGINALS = r"jaywalnut310/vits|p0p4k/vits2_pytorch"


def filled(module: nn.Module, case: Case, file: str, device: torch.device) -> nn.Module:
    """``module`` with the tensors of ``file``, through the reader of user files."""
    from voiceclone.checkpoints import find_tensors, load_into, read_payload

    load_into(module, find_tensors(read_payload(case.folder / file), file), file)
    return module.eval().to(device)


def part_of(io: dict[str, Tensor], prefix: str, device: torch.device) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value.to(device) for name, value in io.items() if name.startswith(prefix)}


@checks(ORIGINALS, r"models\.TextEncoder")
def text_encoder(case: Case, device: torch.device) -> Iterator[Call]:
    """Encoder, prior and mask at every recorded length."""
    for name in sorted({key.partition("/")[0] for key in case.tensors() if "/" in key}):
        yield Call(name, lambda report, name=name: _text_encoder(case, name, device, report))


@torch.inference_mode()
def _text_encoder(case: Case, name: str, device: torch.device, report: Report) -> None:
    from voiceclone_vits.config import TextConfig
    from voiceclone_vits.net import TextEncoder

    sizes = case.meta["constructor"]
    config = TextConfig(
        sizes["n_vocab"], sizes["hidden_channels"], sizes["filter_channels"], sizes["n_heads"], sizes["n_layers"],
        sizes["kernel_size"], dropout=sizes["p_dropout"],
    )  # fmt: skip
    net = filled(TextEncoder(config, sizes["out_channels"]), case, "state_dict.pth", device)
    io = part_of(case.tensors(), f"{name}/", device)
    rounding = _rounding(case.meta)
    encoded = net(io["x"], io["x_lengths"])
    report.exact("x_mask", encoded.mask, io["x_mask"])
    for key, got in (("h", encoded.x), ("m", encoded.m), ("logs", encoded.logs)):
        report.close(key, got, io[key], rounding.get(key))


@checks(ORIGINALS, r"models\.StochasticDurationPredictor / DurationPredictor")
def duration_predictors(case: Case, device: torch.device) -> Iterator[Call]:
    """Likelihood and draws of the stochastic predictor, and the plain one."""
    yield Call("sdp", lambda report: _stochastic(case, device, report))
    yield Call("dp", lambda report: _plain(case, device, report))


@torch.inference_mode()
def _stochastic(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_vits.duration import StochasticDurationPredictor

    sizes = case.meta["constructor_sdp"]
    io, rounding = part_of(case.tensors(), "", device), _rounding(case.meta)
    net = filled(
        # The original overwrites the width it is given.
        StochasticDurationPredictor(
            sizes["in_channels"], sizes["in_channels"], sizes["kernel_size"], sizes["p_dropout"], sizes["n_flows"],
            sizes.get("gin_channels", 0),
        ),
        case, "sdp_state_dict.pth", device,
    )  # fmt: skip
    x, mask, g = io["x"], io["x_mask"], io.get("g")
    if "nll" in io:
        nll = net.negative_log_likelihood(x, mask, io["w"], io["noise_e_q"], g)
        report.close("nll", nll, io["nll"], rounding.get("nll"))
    # "..._ns08" was drawn with a scale of 0.8; "..._big" with noise of its own, far beyond the spline.
    for name in sorted(key for key in io if key.startswith("logw_reverse")):
        suffix = name.removeprefix("logw_reverse")
        own = f"noise_reverse{suffix}"
        noise = io[own] if own in io else io["noise_reverse"] * _scale(suffix)
        report.close(name, net(x, mask, noise, g), io[name], rounding.get(name))


def _scale(suffix: str) -> float:
    digits = suffix.removeprefix("_ns")
    return int(digits) / 10 ** (len(digits) - 1) if digits.isdigit() else 1.0


@torch.inference_mode()
def _plain(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_vits.duration import DurationPredictor

    sizes = case.meta["constructor_dp"]
    net = filled(
        DurationPredictor(
            sizes["in_channels"], sizes["filter_channels"], sizes["kernel_size"], sizes["p_dropout"],
            sizes.get("gin_channels", 0),
        ),
        case, "dp_state_dict.pth", device,
    )  # fmt: skip
    io = part_of(case.tensors(), "", device)
    report.close("dp_logw", net(io["x"], io["x_mask"], io.get("g")), io["dp_logw"], _rounding(case.meta).get("dp_logw"))


def _rounding(meta: dict[str, Any]) -> dict[str, float]:
    found = meta.get("fp32_vs_fp64_max_abs")
    return found if isinstance(found, dict) else {}
