"""Checkers of GPT-SoVITS from phonemes to PCM, as upstream batches, splits and streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM

#: What upstream's run() takes where nothing is given.
_DEFAULTS: dict[str, Any] = {
    "top_k": 15, "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.35, "batch_size": 1, "batch_threshold": 0.75,
    "split_bucket": True, "parallel_infer": True, "speed_factor": 1.0, "fragment_interval": 0.3,
    "streaming_mode": False,
    "return_fragment": False, "overlap_length": 2, "min_chunk_length": 16, "fixed_length_chunk": False,
}  # fmt: skip


@checks(UPSTREAM, r"TTS_infer_pack\.TTS\.TTS\.run")
def whole_runs(case: Case, device: torch.device) -> Iterator[Call]:
    for name, facts in case.meta["cases"].items():
        yield Call(name, lambda report, name=name, facts=facts: _run(case, device, name, facts, report))


@torch.inference_mode()
def _run(case: Case, device: torch.device, name: str, facts: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.files import read_gpt, read_sovits
    from voiceclone_gpt_sovits.gpt import build_gpt
    from voiceclone_gpt_sovits.gpt_decoding import GptDecoder, rules
    from voiceclone_gpt_sovits.sovits import build_sovits
    from voiceclone_gpt_sovits.splicing import in_order, to_int16, with_pauses
    from voiceclone_gpt_sovits.token_chunks import FixedChunks, MuteChunks, mute_similarity
    from voiceclone_gpt_sovits.upstream_pipeline import Sentence, UpstreamPipeline

    io = {key: value.to(device) for key, value in case.tensors().items()}
    options = {**_DEFAULTS, **facts["params"]}
    files = [case.folder / Path(file.split()[0]) for file in case.meta["weights"]]
    gpt = build_gpt(read_gpt(files[0])).to(device)
    sovits = build_sovits(read_sovits(files[1])).to(device)
    early = case.meta["configs"]["hz"] * case.meta["configs"]["max_sec"]
    sampling = rules(top_k=options["top_k"], top_p=options["top_p"], temperature=options["temperature"],
                     repetition_penalty=options["repetition_penalty"], end=gpt.config.end)  # fmt: skip
    prompt = io["prompt_semantic"] if facts["params"].get("prompt_text") else None
    if "ssl_ref" in io:
        report.exact("prompt_semantic", sovits.extract(io["ssl_ref"])[0], io["prompt_semantic"])
    sentences = [
        _sentence(io, row, prompt is not None, gpt.config.text_features, Sentence)
        for row in range(len(case.meta["segments"]))
    ]
    drawn = iter([io[f"{name}.noise.{index}"] for index in range(len(facts["s2_calls"]))])
    longest = max(len(item.all_phonemes) for item in sentences) + len(io["prompt_semantic"])
    pipeline = UpstreamPipeline(
        GptDecoder(gpt, slots=options["batch_size"], capacity=longest + early + 2, device=device), sovits, prompt,
        sovits.timbre(io["refer_spec"]), sampling, early,
        lambda count, rows: torch.ones(count, rows, gpt.config.vocabulary, device=device), lambda shape: next(drawn),
    )  # fmt: skip
    if options["streaming_mode"]:
        pause = torch.zeros(int(case.meta["configs"]["sampling_rate"] * options["fragment_interval"]), device=device)
        found = []
        for sentence in sentences:
            length = options["min_chunk_length"]
            chunks = FixedChunks(length) if options["fixed_length_chunk"] else MuteChunks(
                length, mute_similarity(gpt), compat="upstream")  # fmt: skip
            found += [*pipeline.stream(sentence, chunks, overlap=options["overlap_length"],
                                       speed=options["speed_factor"]), pause]  # fmt: skip
    else:
        rows = _batches(io, name, len(sentences))
        spoken = [pipeline.speak([sentences[row] for row in batch], parallel=options["parallel_infer"],
                                 speed=options["speed_factor"]) for batch in rows]  # fmt: skip
        if options["return_fragment"]:
            found = [with_pauses(fragments, options["fragment_interval"]) for fragments in spoken]
        else:
            found = [with_pauses(in_order(spoken, rows), options["fragment_interval"])]
    report.exact("chunks", [len(samples) for samples in found], facts["chunks"])
    for index, samples in enumerate(found):
        # As numbers of -1 to 1: a sample next to a whole number may be truncated to either side of it.
        got = to_int16(samples).float() / 32768
        report.close(f"pcm.{index}", got, io[f"{name}.pcm.{index}"].float() / 32768)


def _sentence(io: dict[str, Tensor], row: int, prompted: bool, width: int, kind: Any) -> Any:
    own = io[f"seg.{row}.phones"]
    features = io.get(f"seg.{row}.bert", torch.zeros(width, len(own), device=own.device))
    if not prompted:
        return kind(own, own, features)
    prompt = io["prompt_phones"]
    known = io.get("prompt_bert", torch.zeros(width, len(prompt), device=own.device))
    return kind(own, torch.cat((prompt, own)), torch.cat((known, features), dim=1))


def _batches(io: dict[str, Tensor], name: str, segments: int) -> list[list[int]]:
    """Which sentences were rendered together: upstream goes by texts that were not recorded, their phonemes were."""
    own = [io[f"seg.{row}.phones"].tolist() for row in range(segments)]
    left, found = set(range(segments)), []
    while left:
        rest, batch = io[f"{name}.text.{len(found)}"][0].tolist(), []
        while rest:
            row = next(row for row in sorted(left) if rest[: len(own[row])] == own[row])
            left.discard(row)
            rest = rest[len(own[row]) :]
            batch.append(row)
        found.append(batch)
    return found
