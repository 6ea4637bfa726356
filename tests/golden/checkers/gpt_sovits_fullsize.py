"""Checkers of GPT-SoVITS at its published sizes, whose weights are computed from a formula instead of stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM, Decoded

_WORD = 0xFFFFFFFFFFFFFFFF


class Formula:
    """Tensors by name: half-precision numbers from splitmix64, begun at the name's FNV-1a hash and a seed."""

    def __init__(self, case: Case) -> None:
        self.seed: int = case.meta["recipe_seed"]
        self.listed: dict[str, list[list[Any]]] = _listed(case.folder / "tensors.json")

    def tensor(self, name: str, shape: list[int], offset: float, scale: float) -> Tensor:
        count = int(np.prod(shape)) if shape else 1
        with np.errstate(over="ignore"):
            state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            state += np.uint64(_hash(name) ^ self.seed)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
        uniform = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
        values = np.float32(offset) + np.float32(scale) * uniform
        return torch.from_numpy(values.astype(np.float16).reshape(shape))

    def weights(self, model: str) -> dict[str, Tensor]:
        """Of one model; constant buffers, which have no formula, are computed as upstream does."""
        return {
            name: _constant(name, shape) if offset is None else self.tensor(name, shape, offset, scale)
            for name, shape, offset, scale in self.listed[model]
        }


@checks(UPSTREAM, when=lambda meta: "recipe_seed" in meta)
def published_sizes(case: Case, device: torch.device) -> Iterator[Call]:
    formula = Formula(case)
    kinds: dict[str, Callable[..., None]] = {
        "s1": _first, "s2_v2": _second, "s2_v4": _flow, "s2_v3": _flow, "vocoder": _vocoder, "bigvgan": _bigvgan,
        "eres2netv2": _speaker,
    }  # fmt: skip
    for model, facts in case.meta["models"].items():
        run = next(run for prefix, run in kinds.items() if model.startswith(prefix))
        yield Call(
            model,
            lambda report, run=run, model=model, facts=facts: _run(run, case, device, formula, model, facts, report),
        )


@torch.inference_mode()
def _run(
    run: Callable[..., None], case: Case, device: torch.device, formula: Formula, model: str, facts: dict[str, Any],
    report: Report,
) -> None:  # fmt: skip
    io = {name: value.to(device) for name, value in case.tensors(f"io_{model}.safetensors").items()}

    def given(name: str, shape: list[int], offset: float, scale: float) -> Tensor:
        return formula.tensor(name, shape, offset, scale).float().to(device)

    run(formula.weights(model), facts, io, given, device, report)


def _first(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.files import GptFile
    from voiceclone_gpt_sovits.gpt import build_gpt

    named = {name.removeprefix("model."): value for name, value in weights.items()}
    gpt = build_gpt(GptFile(named, facts["ctor"], "s1")).to(device)
    phonemes = io["phones"]
    features = given("bert", [gpt.config.text_features, len(phonemes)], 0.0, 1.0)
    most = int(facts["call"].partition("early_stop_num=")[2].split(")")[0])
    found = Decoded(gpt, [(phonemes, features)], io["prompt"], most, top_k=1)
    report.exact("y", found.row(), io["y"], facts.get("margin"))
    report.exact("idx", torch.tensor(found.streams[0].steps - 1), io["idx"], facts.get("margin"))
    for name, expected in io.items():
        if name.startswith("logits_raw.step"):
            step = int(name.removeprefix("logits_raw.step"))
            report.close(name, found.logits[0, step, : len(expected)], expected)


def _second(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.sovits import build_sovits

    net = build_sovits(_file(weights, facts)).to(device)
    report.exact("version", net.sizes.version.value, facts["ctor"]["version"])
    if "extract.codes" in io:
        features = given("ssl_in", [1, net.sizes.content, 25], 0.0, 1.5)
        report.exact("extract.codes", net.extract(features)[None], io["extract.codes"], facts.get("extract_margin"))
    speaker = given("sv_emb_in", [1, net.sizes.speaker], 0.0, 0.8) if net.sizes.speaker else None
    timbre = net.timbre(io["refer"], speaker)
    found = net(io["codes"][0], io["text"], timbre, io["noise"])
    # Recorded where it leaves the timbre encoder, before a speaker embedding joins it.
    report.close("ge", net.ref_enc(io["refer"]), io["ge"])
    report.close("m_p", found.content.m, io["m_p"])
    report.close("z", found.latent, io["z"])
    report.close("out", found.samples[None], io["out"])


def _flow(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.flow_matching import build_sovits_flow

    net = build_sovits_flow(_file(weights, facts)).to(device)
    timbre = net.timbre(io["refer"])
    report.close("ge", timbre, io["ge"])
    known = net.condition(io["codes_prompt"][0], io["phones_prompt"], timbre)
    wanted = net.condition(io["codes_todo"][0], io["phones_todo"], timbre)
    report.close("fea_ref", known, io["fea_ref"])
    report.close("fea_todo", wanted, io["fea_todo"])
    steps = int(facts["call"].partition("n_timesteps=")[2].split(",")[0])
    guidance = float(facts["call"].partition("inference_cfg_rate=")[2].split(")")[0])
    prompt = given("prompt_mel", [1, io["out"].shape[1], known.shape[2]], -0.3, 0.5)
    under = torch.cat((known, wanted), dim=2).transpose(1, 2)
    report.close("out", net.cfm.solve(under, prompt, io["noise"], steps, guidance=guidance), io["out"])


def _vocoder(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.vocoders import build_hifigan

    found = build_hifigan(weights, "vocoder")
    found.net.to(device)
    frames = io["out"].shape[2] // found.hop
    report.close("out", found.run(given("voc_mel", [1, 100, frames], -5.0, 3.0))[None], io["out"])


def _bigvgan(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.vocoders import build_bigvgan

    found = build_bigvgan(weights, facts["ctor"], "bigvgan")
    found.net.to(device)
    frames = io["out"].shape[2] // found.hop
    report.close("out", found.run(given("bv_mel", [1, 100, frames], -5.0, 3.0))[None], io["out"])


def _speaker(
    weights: dict[str, Tensor], facts: dict[str, Any], io: dict[str, Tensor], given: Any, device: torch.device,
    report: Report,
) -> None:  # fmt: skip
    from voiceclone_gpt_sovits.kaldi_fbank import fbank
    from voiceclone_gpt_sovits.speaker import build_speaker_encoder

    encoder = build_speaker_encoder(weights, "eres2netv2").to(device)
    banks = fbank(io["wav16k"])
    report.close("fbank", banks, io["fbank"])
    report.close("emb", encoder(io["fbank"][None]), io["emb"])


def _file(weights: dict[str, Tensor], facts: dict[str, Any]) -> Any:
    from voiceclone_gpt_sovits.files import SovitsFile, version_of

    config = {"model": facts["ctor"]}
    return SovitsFile(weights, config, version_of(weights, config), "s2")


def _constant(name: str, shape: list[int]) -> Tensor:
    if name.endswith("inv_freq"):
        return (10000.0 ** -(torch.arange(0, 2 * shape[0], 2).float() / (2 * shape[0]))).half()
    if name.endswith(".filter"):
        return _kaiser_sinc(shape[-1]).view(shape)
    return torch.zeros(shape)


def _kaiser_sinc(taps: int, cutoff: float = 0.25, half_width: float = 0.3) -> Tensor:
    """The low-pass filter around BigVGAN's activations."""
    attenuation = 2.285 * (taps // 2 - 1) * np.pi * 4 * half_width + 7.95
    beta = 0.1102 * (attenuation - 8.7)
    if attenuation <= 50:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    window = torch.kaiser_window(taps, beta=beta, periodic=False)
    time = torch.arange(-(taps // 2), taps // 2) + 0.5
    filtered = 2 * cutoff * window * torch.sinc(2 * cutoff * time)
    return filtered / filtered.sum()


def _hash(name: str) -> int:
    found = 0xCBF29CE484222325
    for byte in name.encode():
        found = ((found ^ byte) * 0x100000001B3) & _WORD
    return found


@lru_cache(1)
def _listed(path: Path) -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = json.loads(path.read_text("utf-8"))
    return found
