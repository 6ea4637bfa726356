"""Checkers of what stands around GPT-SoVITS' models: mels, speaker embedding, cutting of texts, joining of samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM


def _names(meta: dict[str, Any], name: str) -> bool:
    return name in meta.get("functions", {})


@checks(UPSTREAM, when=lambda meta: _names(meta, "v2.spectrogram"))
def mels(case: Case, device: torch.device) -> Iterator[Call]:
    yield Call("mels", lambda report: _mels({name: x.to(device) for name, x in case.tensors().items()}, report))


def _mels(io: dict[str, Tensor], report: Report) -> None:
    from voiceclone_gpt_sovits.spectrogram import (
        MEL_V3,
        MEL_V4,
        REFERENCE,
        denormalised,
        filters,
        linear,
        mel,
        normalised,
        to_mel,
    )

    wave = io["wav"][None]
    spectrogram = linear(wave, REFERENCE)
    report.close("v2.spectrogram", spectrogram, io["v2.spectrogram"])
    loud = linear(io["wav_loud"][None], REFERENCE)[0, :, 3]
    report.close("v2.spectrogram_loud", loud, io["v2.spectrogram_loud.frame3"])
    report.close("v2.mel128", to_mel(spectrogram, REFERENCE), io["v2.mel128"])
    report.close("v2.mel128_direct", mel(wave, REFERENCE), io["v2.mel128_direct"])
    third, fourth = mel(wave, MEL_V3), mel(wave, MEL_V4)
    report.close("v3.mel100_24k", third, io["v3.mel100_24k"])
    report.close("v4.mel100_32k", fourth, io["v4.mel100_32k"])
    count = io["v3.normed"].shape[2]
    report.close("v3.normed", normalised(third)[:, :, :count], io["v3.normed"])
    expected = io["v4.denormed_roundtrip"]
    report.close("v4.denormed", denormalised(normalised(fourth))[:, :, : expected.shape[2]], expected)
    for name, analysis in (("24k_1024_100", MEL_V3), ("32k_1280_100", MEL_V4)):
        rows = io[f"mel_basis_{name}.rows"]
        basis = filters(analysis).to(rows)
        found = [any(torch.allclose(row, known, atol=1e-9) for known in basis) for row in rows]
        report.exact(f"mel_basis_{name}", all(found), True)


@checks(UPSTREAM, r"eres2net\.ERes2NetV2\.ERes2NetV2")
def speaker(case: Case, device: torch.device) -> Iterator[Call]:
    count = sum(name.startswith("wav16k.") for name in case.meta["io_files"]["io.safetensors"])
    for index in range(count):
        yield Call(f"embedding {index}", lambda report, index=index: _speaker(case, device, index, report))


@torch.inference_mode()
def _speaker(case: Case, device: torch.device, index: int, report: Report) -> None:
    from voiceclone_gpt_sovits.kaldi_fbank import fbank
    from voiceclone_gpt_sovits.speaker import read_speaker_encoder

    io = {name: value.to(device) for name, value in case.tensors().items()}
    encoder = read_speaker_encoder(case.folder / case.meta["weights_file"]).to(device)
    banks = fbank(io[f"wav16k.{index}"])
    report.close("fbank", banks, io[f"fbank.{index}"])
    known = case.meta.get("fp32_vs_fp64_maxabs", [])
    rounding = known[index] if index < len(known) else None
    given = io[f"fbank.{index}"][None]
    report.close("emb_forward3", encoder(given), io[f"emb_forward3.{index}"], rounding)
    if f"emb_forward.{index}" in io:
        report.close("emb_forward", encoder.embed(given), io[f"emb_forward.{index}"])
    report.close("listen", encoder.listen(io[f"wav16k.{index}"]), io[f"emb_forward3.{index}"])
    if index == 0 and "tap.fuse34" in io:
        maps = encoder.maps(given)
        report.close("tap.layer1", maps["layer1"].mean(-1), io["tap.layer1.mean_over_time"])
        report.close("tap.layer3", _like(maps["layer3"], io["tap.layer3"]), io["tap.layer3"])
        report.close("tap.fuse34", _like(maps["fuse34"], io["tap.fuse34"]), io["tap.fuse34"])


def _like(x: Tensor, recorded: Tensor) -> Tensor:
    """Only the first frames of large maps were stored."""
    return x[..., : recorded.shape[-1]]


@checks(UPSTREAM, when=lambda meta: "sola" in meta and "audio_postprocess" in meta)
def cutting(case: Case, device: torch.device) -> Iterator[Call]:
    texts = json.loads((case.folder / "text.json").read_text("utf-8"))
    for method in texts["cut"]:
        yield Call(f"text {method}", lambda report, method=method: _cut(texts, method, report))
    yield Call("text helpers", lambda report: _helpers(texts, report))
    yield Call("buckets", lambda report: _buckets(case, report))
    yield Call("sola", lambda report: _sola(case, device, report))
    yield Call("audio_postprocess", lambda report: _post(case, device, report))


def _cut(texts: dict[str, Any], method: str, report: Report) -> None:
    from voiceclone_gpt_sovits.text.cutting import cut, pieces, single_marks

    for index, (text, expected) in enumerate(zip(texts["inputs"], texts["cut"][method], strict=True)):
        report.exact(f"cut.{index}", cut(text, method), expected)
    recorded = texts["pre_seg_text_after_replace_consecutive_punctuation"][method]
    languages = len(recorded) // len(texts["inputs"])
    for index, facts in enumerate(recorded):
        text = single_marks(texts["inputs"][index // languages])
        # A text without words is an error there and no piece here.
        expected = facts["texts"] if isinstance(facts.get("texts"), list) else []
        report.exact(f"pieces.{index}", pieces(text, facts["lang"], method), expected)


def _helpers(texts: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.text.cutting import joined, single_marks, split_long

    inputs = texts["inputs"]
    report.exact("single_marks", [single_marks(text) for text in inputs], texts["replace_consecutive_punctuation"])
    recorded = texts["split_big_text"]
    # The limit of that call was not written down: it is the one that gives its parts.
    limits = [most for most in range(10, 600) if [split_long(text, most) for text in inputs] == recorded]
    report.exact("split_long", bool(limits), True)
    report.exact("joined", joined(texts["merge_short"], 5), texts["merge_short"])


def _buckets(case: Case, report: Report) -> None:
    from voiceclone_gpt_sovits.text.cutting import batches

    for index, facts in enumerate(json.loads((case.folder / "buckets.json").read_text("utf-8"))):
        found = batches(facts["norm_text_lens"], facts["batch_size"], threshold=facts["threshold"],
                        buckets=facts["split_bucket"])  # fmt: skip
        report.exact(f"batches.{index}", found, facts["batch_index_list"])


def _sola(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.splicing import splice

    io, facts = case.tensors(), case.meta["sola"]
    count = sum(name.startswith("sola.in.") for name in io)
    pieces = [io[f"sola.in.{index}"].to(device) for index in range(count)]
    found = splice(pieces, facts["overlap_len"], facts["search_len"])
    report.close("sola.out", found, io["sola.out"])
    shifts = sum(int(text.rpartition(" ")[2]) for text in facts["offsets"])
    shortened = sum(len(piece) for piece in pieces) - len(found) - (count - 1) * facts["overlap_len"]
    report.exact("shifts", shortened, shifts)


def _post(case: Case, device: torch.device, report: Report) -> None:
    from voiceclone_gpt_sovits.splicing import in_order, to_int16, with_pauses

    io, facts = case.tensors(), case.meta["audio_postprocess"]
    numbers = facts["batch_index_list"]
    fragments = [
        [io[f"post.in.{batch}.{item}"].to(device) for item in range(len(row))] for batch, row in enumerate(numbers)
    ]
    ordered = in_order(fragments, numbers) if facts["split_bucket"] else [part for row in fragments for part in row]
    whole = with_pauses(ordered, facts["fragment_interval"], facts["configs_sampling_rate"])
    report.exact("post.out_int16", to_int16(whole), io["post.out_int16"])
