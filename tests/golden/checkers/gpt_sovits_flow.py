"""Checkers of GPT-SoVITS v3 and v4: flow matching, its training loss, LoRA, both vocoders and whole mels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM

if TYPE_CHECKING:
    from voiceclone_gpt_sovits.flow_matching import SovitsFlow


class LoadedFlow:
    """The s2 of a case, read as user's files are, with its LoRA where it has one."""

    def __init__(self, case: Case, device: torch.device, files: list[str]) -> None:
        self.case, self.device, self.files = case, device, files
        self._net: SovitsFlow | None = None

    @property
    def net(self) -> SovitsFlow:
        if self._net is None:
            from voiceclone_gpt_sovits.files import read_sovits, with_lora
            from voiceclone_gpt_sovits.flow_matching import build_sovits_flow

            file = read_sovits(self.case.folder / self.files[0])
            for other in self.files[1:]:
                file = with_lora(file, read_sovits(self.case.folder / other))
            if "version" in self.case.meta:
                assert file.version.value == self.case.meta["version"], file.version
            with torch.inference_mode(False):
                self._net = build_sovits_flow(file).to(self.device)
        return self._net

    def io(self) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in self.case.tensors().items()}


@checks(UPSTREAM, r"module\.models\.SynthesizerTrnV3.*")
def flow_model(case: Case, device: torch.device) -> Iterator[Call]:
    """Conditions, solutions with and without guidance, one velocity, the training loss."""
    loaded = LoadedFlow(case, device, [case.meta["weights_file"]])
    yield Call("decode_encp", lambda report: _conditions(loaded, report))
    for name, facts in case.meta["cfm"].items():
        yield Call(f"cfm {name}", lambda report, name=name, facts=facts: _solve(loaded, name, facts, report))
    yield Call("dit", lambda report: _velocity(loaded, report))
    for name, facts in case.meta.get("cfm_train", {}).items():
        yield Call(f"cfm loss {name}", lambda report, name=name, facts=facts: _loss(loaded, name, facts, report))


@torch.inference_mode()
def _conditions(loaded: LoadedFlow, report: Report) -> None:
    net, io = loaded.net, loaded.io()
    timbre = net.timbre(io["refer"])
    if "ge" in io:
        report.close("ge", timbre, io["ge"])
    report.close("fea_ref", net.condition(io["codes_prompt"][0], io["phones_prompt"], timbre), io["fea_ref"])
    for name, expected in io.items():
        if name.startswith("fea_todo"):
            speed = float(name.partition("speed")[2] or 1)
            report.close(name, net.condition(io["codes_todo"][0], io["phones_todo"], timbre, speed), expected)


@torch.inference_mode()
def _solve(loaded: LoadedFlow, name: str, facts: dict[str, Any], report: Report) -> None:
    net, io = loaded.net, loaded.io()
    steps, temperature, guidance = (
        _number(facts["call"], key) for key in ("n_timesteps", "temperature", "inference_cfg_rate")
    )
    known = io["prompt_mel_normed"]
    # The noise was recorded as it was drawn, before its temperature.
    noise = io[f"{name}.noise"] * temperature
    out = net.cfm.solve(io["mu"], known, noise, int(steps), guidance=guidance)
    report.close("out", out, io[f"{name}.out"], facts.get("fp32_vs_fp64_maxabs"))
    frames = noise.transpose(1, 2).clone()
    context = torch.zeros_like(frames)
    frames[:, : known.shape[2]] = 0
    context[:, : known.shape[2]] = known.transpose(1, 2)
    zero, step = torch.zeros(1, device=frames.device), torch.full((1,), 1 / steps, device=frames.device)
    lengths = torch.tensor([frames.shape[1]], device=frames.device)
    cached = net.cfm.estimator.prepare(io["mu"], step)
    report.close("v_step0", net.cfm.estimator(frames, context, zero, cached, lengths), io[f"{name}.v_step0"])
    if f"{name}.v_neg_step0" in io:
        free = net.cfm.estimator.prepare(torch.zeros_like(io["mu"]), step)
        without = net.cfm.estimator(frames, torch.zeros_like(context), zero, free, lengths)
        report.close("v_neg_step0", without, io[f"{name}.v_neg_step0"])


@torch.inference_mode()
def _velocity(loaded: LoadedFlow, report: Report) -> None:
    """A ragged batch."""
    net, io = loaded.net, loaded.io()
    condition = io["mu"].expand(len(io["dit.x0"]), -1, -1)
    cached = net.cfm.estimator.prepare(condition, io["dit.dt"])
    x, prompt = (io[f"dit.{name}"].transpose(1, 2) for name in ("x0", "cond"))
    report.close("dit.out", net.cfm.estimator(x, prompt, io["dit.time"], cached, io["dit.x_lens"]), io["dit.out"])


def _loss(loaded: LoadedFlow, name: str, facts: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.training.flow_loss import FlowDraws, flow_loss

    net, io = loaded.net, loaded.io()
    drawn = [io[f"cfmtrain.{name}.draw{index}.{kind}"] for index, kind in enumerate(facts["draws"])]
    mel = io["cfmtrain.x1"]
    lengths = io.get("cfmtrain.x_lens", io["dit.x_lens"])
    condition = io["mu"].transpose(1, 2).expand(len(mel), -1, -1)
    with torch.no_grad():
        loss = flow_loss(net.cfm, mel, lengths, io["cfmtrain.prompt_lens"], condition, FlowDraws(*drawn))
    report.loss("loss", loss, io[f"cfmtrain.{name}.loss"])


@checks(UPSTREAM, when=lambda meta: "base_weights" in meta and "rank" in meta)
def lora(case: Case, device: torch.device) -> Iterator[Call]:
    """A LoRA put on its base, then the same as without one."""
    own = sorted(path.name for path in case.folder.glob("*.pth"))
    loaded = LoadedFlow(case, device, [case.meta["base_weights"], *own])
    yield Call("load", lambda report: _merged(loaded, own, report))
    yield Call("cfm", lambda report: _lora(loaded, report))


def _merged(loaded: LoadedFlow, files: list[str], report: Report) -> None:
    from voiceclone_gpt_sovits.files import read_sovits

    file = read_sovits(loaded.case.folder / files[0])
    report.exact("rank", file.lora_rank, loaded.case.meta["rank"])
    report.exact("version", file.version.value, loaded.case.meta["version"])
    weight = loaded.net.get_parameter("cfm.estimator.transformer_blocks.0.attn.to_q.weight")
    report.close("merged_to_q_layer0", weight, loaded.io()["merged_to_q_layer0"], 0.0)


@torch.inference_mode()
def _lora(loaded: LoadedFlow, report: Report) -> None:
    net, io = loaded.net, loaded.io()
    timbre = net.timbre(io["refer"])
    known = net.condition(io["codes_prompt"][0], io["phones_prompt"], timbre)
    wanted = net.condition(io["codes_todo"][0], io["phones_todo"], timbre)
    report.close("fea_ref", known, io["fea_ref"])
    report.close("fea_todo", wanted, io["fea_todo"])
    steps = int(_number(loaded.case.meta["call"], "n_timesteps"))
    under = torch.cat((known, wanted), dim=2).transpose(1, 2)
    report.close("out", net.cfm.solve(under, io["prompt_mel_normed"], io["noise"], steps), io["out"])


@checks(UPSTREAM, r"module\.models\.Generator")
def vocoder(case: Case, device: torch.device) -> Iterator[Call]:
    yield Call("vocoder", lambda report: _vocoder(case, device, report))


@torch.inference_mode()
def _vocoder(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.vocoders import read_vocoder

    io = {name: value.to(device) for name, value in case.tensors().items()}
    found = read_vocoder(case.folder / case.meta["weights_file"])
    net = found.net.to(device)
    report.exact("hop", found.hop, case.meta["hop"])
    report.close("out", found.run(io["mel"])[None], io["out"], case.meta.get("fp32_vs_fp64_maxabs"))
    first = net.get_submodule("conv_pre")(io["mel"])
    report.close("tap.conv_pre", first, io["tap.conv_pre"])
    up = net.get_submodule("ups.0")(torch.nn.functional.leaky_relu(first, 0.1))
    report.close("tap.up0", up, io["tap.up0"])
    report.close("tap.rb0", net.get_submodule("resblocks.0")(up), io["tap.rb0"])


@checks(UPSTREAM, r"BigVGAN\.bigvgan\.BigVGAN")
def bigvgan(case: Case, device: torch.device) -> Iterator[Call]:
    yield Call("vocoder", lambda report: _bigvgan(case, device, report))


@torch.inference_mode()
def _bigvgan(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.vocoders import read_vocoder

    io = {name: value.to(device) for name, value in case.tensors().items()}
    found = read_vocoder(case.folder)
    net = found.net.to(device)
    report.exact("hop", found.hop, case.meta["hop"])
    report.close("out", found.run(io["mel"])[None], io["out"], case.meta.get("fp32_vs_fp64_maxabs"))
    first = net.get_submodule("conv_pre")(io["mel"])
    report.close("tap.conv_pre", first, io["tap.conv_pre"])
    up = net.get_submodule("ups.0.0")(first)
    report.close("tap.up0", up, io["tap.up0"])
    report.close("tap.amp0", net.get_submodule("resblocks.0")(up), io["tap.amp0"])
    buffers = dict(net.named_buffers())
    report.exact("up_filter", buffers["activation_post.upsample.filter"], io["up_filter"])
    report.exact("down_filter", buffers["activation_post.downsample.lowpass.filter"], io["down_filter"])


@checks(UPSTREAM, r"TTS_infer_pack\.TTS\.TTS\.using_vocoder_synthesis.*")
def pipeline(case: Case, device: torch.device) -> Iterator[Call]:
    """From codes to samples, sentence by sentence and side by side."""
    weights = [re.split(r"\s", name)[0] for name in case.meta["weights"]]
    loaded = LoadedFlow(case, device, weights[:1])
    for name in ("single", "batched"):
        yield Call(name, lambda report, name=name: _pipeline(loaded, case.folder / weights[1], name, report))


@torch.inference_mode()
def _pipeline(loaded: LoadedFlow, vocoder_file: Path, name: str, report: Report) -> None:
    from voiceclone_gpt_sovits.files import Version
    from voiceclone_gpt_sovits.mel_writing import Prompt, Window, speak, speak_batched
    from voiceclone_gpt_sovits.spectrogram import MEL_V3, MEL_V4, mel, normalised
    from voiceclone_gpt_sovits.vocoders import read_vocoder

    net, io, facts = loaded.net, loaded.io(), loaded.case.meta
    settings = facts["vocoder_configs"]
    window = Window(settings["T_ref"], settings["T_chunk"], settings["overlapped_len"])
    vocoder = read_vocoder(vocoder_file)
    vocoder.net.to(loaded.device)
    report.exact("hop", vocoder.hop, settings["upsample_rate"])
    timbre = net.timbre(io["refer"])
    known = net.condition(io["prompt_semantic"][None], io["prompt_phones"][None], timbre)
    analysis = MEL_V3 if net.sizes.version is Version.V3 else MEL_V4
    prompt = Prompt.of(normalised(mel(io["raw_audio_32k"][None], analysis)), known, window)
    count = sum(key.startswith("tokens.") for key in io)
    conditions = [net.condition(io[f"tokens.{row}"][None], io[f"phones.{row}"][None], timbre) for row in range(count)]
    drawn = iter([io[key] for key in sorted(io) if key.startswith(f"{name}.noise.")])
    steps = facts["sample_steps"]
    if name == "single":
        candidates = [row for row in range(count) if conditions[row].shape[2] * vocoder.hop == len(io["single.audio"])]
        samples = speak(net, vocoder, conditions[candidates[0]], prompt, window, steps, lambda shape: next(drawn))
        report.close("single.audio", samples, io["single.audio"])
        return
    found = speak_batched(net, vocoder, conditions, prompt, window, steps, lambda shape: next(drawn))
    for row, samples in enumerate(found):
        expected = io[f"batched.audio.{row}"]
        report.close(f"batched.audio.{row}", _beyond_rounding(samples, expected), expected.float())


def _beyond_rounding(x: Tensor, stored: Tensor) -> Tensor:
    """``stored``, plus what ``x`` differs by beyond the half-precision rounding that it was stored with."""
    if stored.dtype != torch.float16:
        return x
    spacing = torch.exp2(torch.frexp(stored.float()).exponent.float() - 11).clamp_min(2.0**-24)
    difference = x - stored.float()
    return stored.float() + difference.sign() * (difference.abs() - spacing / 2).clamp_min(0.0)


def _number(call: str, name: str) -> float:
    found = re.search(rf"{name}=([-+.\deE]*\d)", call)
    if found is None:
        raise KeyError(f"the recorded call names no {name}")
    return float(found[1])
