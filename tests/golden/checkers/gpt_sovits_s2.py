"""Checkers of GPT-SoVITS' second model (s2) of v1, v2 and v2Pro: codes of a recording, decoding whole and in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM

if TYPE_CHECKING:
    from voiceclone_gpt_sovits.sovits import ContentModel, Sovits


class LoadedSovits:
    """The s2 of a case, read as a user's file is and built once."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self._net: Sovits | None = None

    @property
    def net(self) -> Sovits:
        if self._net is None:
            from voiceclone_gpt_sovits.files import read_sovits
            from voiceclone_gpt_sovits.sovits import build_sovits

            file = read_sovits(self.case.folder / self.case.meta["weights_file"])
            assert file.version.value == self.case.meta["version"], (file.version, self.case.meta["version"])
            with torch.inference_mode(False):
                self._net = build_sovits(file).to(self.device)
        return self._net

    def io(self) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in self.case.tensors().items()}

    def timbres(self, io: Mapping[str, Tensor]) -> list[Tensor]:
        """Of every reference of the case."""
        count = sum(name.startswith("refer.") for name in io)
        return [self.net.timbre(io[f"refer.{index}"], io.get(f"sv_emb.{index}")) for index in range(count)]


@checks(UPSTREAM, r"module\.models\.SynthesizerTrn")
def second_model(case: Case, device: torch.device) -> Iterator[Call]:
    """Extraction, each recorded decoding, and the chunks of a stream."""
    loaded = LoadedSovits(case, device)
    yield Call("extract_latent", lambda report: _extract(loaded, report))
    yield Call("spectrogram", lambda report: _spectrogram(loaded, report))
    for name, facts in case.meta["decode"].items():
        yield Call(f"decode {name}", lambda report, name=name, facts=facts: _decode(loaded, name, facts, report))
    if "streaming" in case.meta:
        yield Call("decode_streaming", lambda report: _stream(loaded, case.meta["streaming"], report))


@torch.inference_mode()
def _extract(loaded: LoadedSovits, report: Report) -> None:
    io, margin = loaded.io(), loaded.case.meta["extract_latent"].get("min_distance_margin")
    extract(loaded.net, io["extract.ssl"], io["extract.codes"], margin, report)
    if "extract.ssl_proj" in io:
        expected = io["extract.ssl_proj"]
        report.close("extract.ssl_proj", loaded.net.ssl_proj(io["extract.ssl"])[:, : expected.shape[1]], expected)


def extract(net: ContentModel, features: Tensor, expected: Tensor, margin: float | None, report: Report) -> None:
    report.exact("extract.codes", net.extract(features)[None], expected, margin)


@torch.inference_mode()
def _spectrogram(loaded: LoadedSovits, report: Report) -> None:
    from voiceclone_gpt_sovits.spectrogram import REFERENCE, linear

    io = loaded.io()
    for name, wave in io.items():
        if name.startswith("refer_wav32k."):
            expected = io["refer." + name.rpartition(".")[2]]
            report.close(name, linear(wave[None], REFERENCE), expected)
    if not any(name.startswith("refer_wav32k.") for name in io):
        report.exact("bins", io["refer.0"].shape[1], REFERENCE.n_fft // 2 + 1)


@torch.inference_mode()
def _decode(loaded: LoadedSovits, name: str, facts: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.sovits import mean_timbre

    net, io = loaded.net, loaded.io()
    # A reference that came as a tensor, not in a list, was the last one.
    chosen = {"list of 1": slice(1), "list of 2": slice(2), "tensor (n": slice(1, 2)}[str(facts["refs"])[:9]]
    timbre = mean_timbre(loaded.timbres(io)[chosen])
    noise = io[f"{name}.noise"]
    options = {"noise_scale": facts["noise_scale"], "speed": facts["speed"]}
    found = net(io["codes"][0], io["text"], timbre, noise, **options)
    rounding = facts.get("fp32_vs_fp64_maxabs")
    report.close("out", found.samples[None], io[f"{name}.out"], rounding)
    taps = {
        "ref_enc": lambda: net.ref_enc(io["refer.0"]), "ref_enc#1": lambda: net.ref_enc(io["refer.1"]),
        "enc_p.0": lambda: found.content.x, "enc_p.1": lambda: found.content.m, "enc_p.2": lambda: found.content.logs,
        "flow": lambda: found.latent, "conv_pre": lambda: net.dec.conv_pre(found.latent),
        "encoder2": lambda: found.content.unhurried, **_inside(net, io, timbre),
    }  # fmt: skip
    for tap, value in taps.items():
        if f"{name}.tap.{tap}" in io:
            report.close(f"tap.{tap}", value(), io[f"{name}.tap.{tap}"])


def _inside(net: Sovits, io: Mapping[str, Tensor], timbre: Tensor) -> dict[str, Any]:
    """Taps within the content encoder."""
    encoder, frames = net.enc_p, net.frames(io["codes"][0])
    mask = frames.new_ones(1, 1, frames.shape[2])

    def text() -> tuple[Tensor, Tensor]:
        return encoder.text(io["text"], torch.tensor([io["text"].shape[1]], device=frames.device))

    return {
        "enc_ssl": lambda: encoder.heard(frames, mask),
        "enc_text": lambda: text()[0],
        "mrte": lambda: encoder.mrte(encoder.heard(frames, mask), mask, *text(), net.joint_timbre(timbre)),
    }


@torch.inference_mode()
def _stream(loaded: LoadedSovits, facts: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.content import Tail

    net, io = loaded.net, loaded.io()
    timbre, stride = loaded.timbres(io)[0], net.sizes.stride
    overlap, previous = facts["overlap_tokens"], None
    for index, count in enumerate(facts["chunks"]):
        tail = None
        if previous is not None:
            tail = Tail((count + overlap) * stride, previous[:, :, -overlap * stride :])
        found = net(io[f"stream.{index}.codes_all"], io["text"], timbre, io[f"stream.{index}.noise"], tail=tail)
        previous = found.content.unhurried
        report.close(f"stream.{index}.out", found.samples[None], io[f"stream.{index}.out"])
        report.close(f"stream.{index}.latent", previous, io[f"stream.{index}.latent"])
