"""Checkers of whole VITS models: inference and voice conversion of every producer, through the loader of user files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report

if TYPE_CHECKING:
    from voiceclone_vits.checkpoint import Checkpoint
    from voiceclone_vits.net import Vits

Replay: TypeAlias = "Callable[[Loaded, dict[str, Any], Report], None]"
ORIGINALS = r"jaywalnut310/vits|p0p4k/vits2_pytorch"


class Loaded:
    """The model of a case, read as a user's files are and built once, on ``device``."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device

    @property
    @lru_cache(1)  # noqa: B019 - lives as long as the case
    def checkpoint(self) -> Checkpoint:
        from voiceclone_vits.checkpoint import read_checkpoint

        return read_checkpoint(self.case.folder)

    @lru_cache(2)  # noqa: B019
    def net(self, speaker: bool = True) -> Vits:
        checkpoint = self.checkpoint if speaker else self.checkpoint.without_speaker()
        return checkpoint.build().to(self.device)

    def tensors(self, file: str) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in self.case.tensors(file).items()}


def calls(
    case: Case,
    device: torch.device,
    run: Callable[[Loaded, dict[str, Any], Report], None],
    extra: tuple[Call, ...] = (),
) -> Iterator[Call]:
    """One call for each entry of ``meta["calls"]``."""
    loaded = Loaded(case, device)
    yield from extra
    for facts in case.meta["calls"]:
        name = str(facts["io"]).removesuffix(".safetensors")
        yield Call(name, lambda report, facts=facts: torch.inference_mode()(run)(loaded, facts, report))


@checks(ORIGINALS, r"models\.SynthesizerTrn")
def original(case: Case, device: torch.device) -> Iterator[Call]:
    """``infer``, ``voice_conversion`` and ``flow`` of VITS and VITS2."""
    yield from calls(case, device, _original)


@checks(r"OHF-Voice/piper1-gpl|rhasspy/piper", r"piper\.train\.vits\.lightning\.VitsModel\.model_g")
def piper(case: Case, device: torch.device) -> Iterator[Call]:
    """``infer`` of piper's generator."""
    yield from calls(case, device, _original)


def _original(loaded: Loaded, facts: dict[str, Any], report: Report) -> None:
    io = loaded.tensors(facts["io"])
    method = facts.get("method", "infer")
    rounding = facts.get("fp32_vs_fp64_max_abs", {})
    if method == "flow":
        net = loaded.net()
        for name, reverse in (("forward", False), ("reverse", True)):
            report.close(name, net.flow(io["x"], io["x_mask"], io.get("g"), reverse), io[name], rounding.get(name))
    elif method == "voice_conversion":
        _conversion(loaded, io, io["sid_src"], io["sid_tgt"], rounding, report)
    elif method == "infer":
        options = {"noise_scale": 1.0, "noise_scale_w": 1.0, "length_scale": 1.0, **facts.get("kwargs", {})}
        scales = (options["noise_scale"], options["noise_scale_w"], options["length_scale"])
        _inference(loaded.net(), io, scales, facts, report, speakers=io.get("sid"), max_len=options.get("max_len"))
    else:
        raise NotImplementedError(f"no checker replays {method!r}")


@checks(r"coqui-ai/TTS|idiap/coqui-ai-TTS", r"TTS\.tts\.models\.vits\.Vits")
def coqui(case: Case, device: torch.device) -> Iterator[Call]:
    """``inference``, ``inference_voice_conversion`` and the training ``forward`` of coqui's VITS."""
    yield from calls(case, device, _coqui)


#: What a training checker of this family registers: (loaded, facts, report).
COQUI_TRAINING: list[Replay] = []


def _coqui(loaded: Loaded, facts: dict[str, Any], report: Report) -> None:
    io = loaded.tensors(facts["io"])
    rounding = facts.get("fp32_vs_fp64_max_abs", {})
    if facts["method"] == "inference_voice_conversion":
        # A speaker number is a number alone there; a vector is a row.
        source, target = (io[name] if io[name].dim() == 2 else io[name].reshape(-1) for name in ("src", "tgt"))
        _conversion(loaded, io, source, target, rounding, report)
    elif facts["method"] == "inference":
        scales = (facts["inference_noise_scale"], facts["inference_noise_scale_dp"], facts["length_scale"])
        speakers = io.get("d_vectors", io.get("speaker_ids"))
        _inference(
            loaded.net(), io, scales, facts, report, speakers=speakers, languages=io.get("language_ids"),
            durations=io.get("durations"), text_major=True,
        )  # fmt: skip
    elif facts["method"] == "forward" and COQUI_TRAINING:
        COQUI_TRAINING[0](loaded, facts, report)
    else:
        raise NotImplementedError(f"no checker replays {facts['method']!r}")


@checks(r"^transformers", r"transformers\.VitsModel.*")
def hugging_face(case: Case, device: torch.device) -> Iterator[Call]:
    """``forward`` of transformers' VitsModel, and its tokenizer."""
    loaded = Loaded(case, device)
    tokens = [Call(f"tokenizer {index}", lambda report, item=item: _tokenizer(loaded, item, report))
              for index, item in enumerate(case.meta.get("tokenizer_cases", ()))]  # fmt: skip
    yield from calls(case, device, _hugging_face, tuple(tokens))


def _tokenizer(loaded: Loaded, item: dict[str, Any], report: Report) -> None:
    symbols = loaded.checkpoint.symbols
    report.exact("ids", symbols.encode(symbols.split(item["text"])).ids, item["ids"])


def _hugging_face(loaded: Loaded, facts: dict[str, Any], report: Report) -> None:
    from voiceclone_vits.synthesis import Controls, decode, expand, plan

    io, kwargs = loaded.tensors(facts["io"]), facts.get("kwargs", {})
    rounding = facts.get("fp32_vs_fp64_max_abs", {})
    symbols = loaded.checkpoint.symbols
    for text, ids in zip(facts.get("texts", ()), facts["input_ids"], strict=False):
        own = symbols.encode(symbols.split(text)).ids
        report.exact("input_ids", own + [0] * (len(ids) - len(own)), ids)
    speaker = kwargs.get("speaker_id")
    net = loaded.net(speaker is not None or loaded.checkpoint.config.speakers == 0)
    rows = io["input_ids"].shape[0]
    lengths = (
        io["attention_mask"].sum(dim=1) if "attention_mask" in io else torch.full((rows,), io["input_ids"].shape[1])
    )
    config = loaded.checkpoint.config
    controls = Controls(
        facts.get("noise_scale", loaded.case.meta.get("noise_scale", config.noise_scale)),
        facts.get("noise_scale_duration", loaded.case.meta.get("noise_scale_duration", config.duration_noise_scale)),
        1.0 / kwargs.get("speaking_rate", 1.0 / config.length_scale),
    )
    speakers = None if speaker is None else torch.full((rows,), speaker, device=loaded.device)
    planned = plan(
        net, io["input_ids"], lengths.to(loaded.device), controls, _given(io, "noise_sdp"), speakers=speakers
    )
    mask = planned.encoded.mask
    if planned.log_durations is not None:
        report.close(
            "log_duration", planned.log_durations * mask, io["log_duration"] * mask, rounding.get("log_duration")
        )
    _durations(planned.w, io, "duration", facts, report)
    prior = expand(planned, controls, _given(io, "noise_prior"))
    for name, got in (("prior_means", planned.encoded.m), ("prior_log_variances", planned.encoded.logs)):
        report.close(name, got.transpose(1, 2), io[name], rounding.get(name))
    report.close("text_hidden", planned.encoded.x.transpose(1, 2), io["text_hidden"], rounding.get("text_hidden"))
    z = net.flow(prior.z_p, prior.mask, planned.g, reverse=True)
    report.close("prior_latents", prior.z_p, io["prior_latents"], rounding.get("prior_latents"))
    report.close("latents", z, io["latents"], rounding.get("latents"))
    report.close("spectrogram", z * prior.mask, io["spectrogram"], rounding.get("latents"))
    report.exact("sequence_lengths", planned.frames * config.decoder.hop, io["sequence_lengths"])
    wave = torch.stack(decode(net, z, planned.frames, planned.g, leak=True))
    report.close("waveform", wave, io["waveform"], rounding.get("waveform"))


def _inference(
    net: Vits, io: dict[str, Tensor], scales: tuple[float, float, float], facts: dict[str, Any], report: Report, *,
    speakers: Tensor | None, languages: Tensor | None = None, durations: Tensor | None = None,
    max_len: int | None = None, text_major: bool = False,
) -> None:  # fmt: skip
    """One ``infer``: every tap that was recorded, and the wave with the originals' leak of padding."""
    from voiceclone_vits.synthesis import Controls, decode, expand, plan

    controls = Controls(*scales)
    rounding = facts.get("fp32_vs_fp64_max_abs", {})
    planned = plan(net, io["x"], io["x_lengths"], controls, _given(io, "noise_sdp"), speakers=speakers,
                   languages=languages, durations=durations)  # fmt: skip
    encoded = planned.encoded
    taps = {"x_enc": encoded.x, "m_p": encoded.m, "logs_p": encoded.logs, "x_mask": encoded.mask}
    if planned.log_durations is not None:
        taps["logw"] = planned.log_durations
    _durations(planned.w, io, "w_ceil", facts, report)
    prior = expand(planned, controls, _given(io, "noise_prior"))
    tokens = torch.arange(io["x"].shape[1], device=io["x"].device)
    attn = (prior.index[:, :, None] == tokens).float()
    attn = attn.transpose(1, 2) if text_major else attn[:, None]
    report.exact("attn", attn.reshape(io["attn"].shape), io["attn"])
    report.exact("y_mask", prior.mask, io["y_mask"])
    if "y_lengths" in io:
        report.exact("y_lengths", planned.frames, io["y_lengths"])
    z = net.flow(prior.z_p, prior.mask, planned.g, reverse=True)
    wave = torch.stack(decode(net, z[:, :, :max_len], planned.frames, planned.g, leak=True))[:, None]
    taps |= {"m_p_exp": prior.m, "logs_p_exp": prior.logs, "z_p": prior.z_p, "z": z, "y": wave,
             "dec_in": (z * prior.mask)[:, :, :max_len], "w": planned.w}  # fmt: skip
    for name, got in taps.items():
        if name in io:
            report.close(name, got, io[name], rounding.get(name))


def _durations(w: Tensor, io: dict[str, Tensor], name: str, facts: dict[str, Any], report: Report) -> None:
    report.exact(name, w.ceil(), io[name], facts.get("min_distance_of_w_to_an_integer"))


def _conversion(
    loaded: Loaded, io: dict[str, Tensor], source: Tensor, target: Tensor, rounding: dict[str, float], report: Report
) -> None:
    from voiceclone_vits.synthesis import convert

    done = convert(loaded.net(), io["y"], io["y_lengths"], source, target, _given(io, "noise_posterior"), leak=True)
    got = {"z": done.z, "z_p": done.z_p, "z_hat": done.z_hat, "o_hat": torch.stack(done.samples)[:, None]}
    for name, value in got.items():
        report.close(name, value, io[name], rounding.get(name))


def _given(io: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    """The recorded noise in place of a draw."""
    return lambda like: io[name]
