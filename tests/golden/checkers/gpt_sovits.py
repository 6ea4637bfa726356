"""Checkers of GPT-SoVITS' first model (s1): decoding alone, batched and in chunks, sampling, training losses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report

if TYPE_CHECKING:
    from voiceclone_gpt_sovits.gpt import Gpt
    from voiceclone_gpt_sovits.gpt_decoding import Prefill, Stream

UPSTREAM = "RVC-Boss/GPT-SoVITS"
#: How often the batch is decoded in calls of so many steps: their number must not matter.
_STEPS = 32


class LoadedGpt:
    """The s1 of a case, read as a user's file is."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device

    @cached_property
    def gpt(self) -> Gpt:
        from voiceclone_gpt_sovits.files import read_gpt
        from voiceclone_gpt_sovits.gpt import build_gpt

        with torch.inference_mode(False):  # training needs gradients
            return build_gpt(read_gpt(self.case.folder / self.case.meta["weights_file"])).to(self.device)

    def io(self, file: str) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in self.case.tensors(file).items()}


class Decoded:
    """Sentences decoded together, with every draw's logits ``[steps, vocabulary]`` before the penalty."""

    def __init__(
        self, gpt: Gpt, sentences: list[tuple[Tensor, Tensor]], prompt: Tensor | None, most: int,
        noise: Tensor | None = None, **options: Any,
    ) -> None:  # fmt: skip
        from voiceclone_gpt_sovits.gpt_decoding import MOST_TOKENS, GptDecoder, rules

        longest = max(len(phonemes) for phonemes, _ in sentences) + (0 if prompt is None else len(prompt))
        most = min(most + 1, MOST_TOKENS)  # upstream looks after it has one more
        device = sentences[0][0].device
        self.decoder = GptDecoder(gpt, slots=len(sentences), capacity=longest + most + 1, device=device)
        sampling = rules(end=gpt.config.end, most=most, **options)
        begun = [self.decoder.begin_with_taps(*sentence, prompt, sampling) for sentence in sentences]
        self.streams: list[Stream] = [stream for stream, _ in begun]
        self.prefills: list[Prefill] = [taps for _, taps in begun]
        if noise is None:
            noise = torch.ones(most, len(sentences), gpt.config.vocabulary, device=device)
        hiddens = [
            self.decoder.step(self.streams, noise[at : at + _STEPS].contiguous()) for at in range(0, len(noise), _STEPS)
        ]
        self.logits = gpt.head(torch.cat(hiddens, dim=1))
        self.prompt = prompt if prompt is not None else torch.zeros(0, dtype=torch.int64, device=device)

    def row(self, index: int = 0) -> Tensor:
        """Prompt and codes, as upstream returns them."""
        return torch.cat((self.prompt, torch.tensor(self.streams[index].tokens, device=self.prompt.device)))


@checks(UPSTREAM, r"AR\.models\.t2s_lightning_module\..*")
def first_model(case: Case, device: torch.device) -> Iterator[Call]:
    """Each recorded way of decoding, and the training losses."""
    loaded = LoadedGpt(case, device)
    calls = {
        "greedy": _greedy, "sampled": _sampled, "noprompt": _no_prompt, "batched": _batched, "stream": _stream,
        "train": _train,
    }  # fmt: skip
    for name, run in calls.items():
        if f"io_{name}.safetensors" in case.meta["io_files"]:
            yield Call(
                name, lambda report, run=run, name=name: run(loaded, loaded.io(f"io_{name}.safetensors"), report)
            )


@torch.inference_mode()
def _greedy(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    facts, gpt = loaded.case.meta["greedy"], loaded.gpt
    found = Decoded(gpt, [(io["phones"], io["bert"])], io["prompt"], _number(facts, "early_stop_num"), top_k=1)
    margin = facts.get("min_top2_margin_after_penalty")
    report.exact("y", found.row(), io["y"], margin)
    report.exact("idx", torch.tensor(found.streams[0].steps - 1), io["idx"], margin)
    _logits(found.logits[0], io["logits_raw"], report)
    for name, step in (("step0", 0), ("last", len(io["logits_raw"]) - 1)):
        expected = io[f"logits_after_penalty_{name}"]
        report.close(f"after_penalty_{name}", _penalised(found, step)[: len(expected)], expected)
    taps = found.prefills[0]
    report.close("prefill_xy_pos", taps.inputs[None], io["prefill_xy_pos"])
    report.exact("prefill_mask", taps.hidden, io["prefill_mask_true_is_masked"])
    report.close("prefill_hidden", taps.outputs[None], io["prefill_hidden"])
    cache, slot, length = found.decoder.decoder.cache, found.streams[0].slot, len(taps.inputs)
    for name, memory in (("prefill_k_cache_layer0", cache.keys[0]), ("prefill_v_cache_last", cache.values[-1])):
        report.close(name, memory[slot, :, :length].transpose(0, 1).flatten(1)[None], io[name])
    _plain_prefill(gpt, taps, io["prefill_hidden"], report)


def _plain_prefill(gpt: Gpt, taps: Prefill, expected: Tensor, report: Report) -> None:
    """The module in plain torch, which training runs on, says the same."""
    report.close("prefill_plain", gpt.run(taps.inputs[None], taps.hidden[None, None])[0], expected)


@torch.inference_mode()
def _sampled(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    facts = loaded.case.meta["sampled"]
    options = {name: _number(facts, name) for name in ("top_k", "top_p", "temperature", "repetition_penalty")}
    options["top_k"] = int(options["top_k"])
    noise = io["q_noise"].nan_to_num(1.0)[:, None].contiguous()
    found = Decoded(loaded.gpt, [(io["phones"], io["bert"])], io["prompt"], int(_number(facts, "early_stop_num")),
                    noise, **options)  # fmt: skip
    report.exact("y", found.row(), io["y"], facts.get("min_relative_gap"))
    report.exact("idx", torch.tensor(found.streams[0].steps - 1), io["idx"], facts.get("min_relative_gap"))


@torch.inference_mode()
def _no_prompt(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    facts = loaded.case.meta["no_prompt"]
    found = Decoded(loaded.gpt, [(io["phones"], io["bert"])], None, int(_number(facts, "early_stop_num")), top_k=1)
    report.exact("y", found.row().int(), io["y"], facts.get("min_top2_margin_after_penalty"))
    _logits(found.logits[0], io["logits_raw"], report)


@torch.inference_mode()
def _batched(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    """Rows decoded together; upstream's batched form drops the last code of each row, ended or not."""
    facts, gpt = loaded.case.meta["batched"], loaded.gpt
    rows = [(io[f"phones.{row}"], io[f"bert.{row}"]) for row in range(_count(io, "phones."))]
    found = Decoded(gpt, rows, io["prompt"], int(_number(facts, "early_stop_num")), top_k=1)
    margin = facts.get("min_top2_margin_after_penalty")
    for row, stream in enumerate(found.streams):
        whole = found.row(row)
        report.exact(f"y.{row}", whole if stream.ended else whole[:-1], io[f"y.{row}"], margin)
        if f"naive_y.{row}" in io:
            report.exact(f"naive_y.{row}", whole, io[f"naive_y.{row}"], margin)
    report.exact("idx", torch.tensor([stream.steps - 1 for stream in found.streams]), io["idx"], margin)
    for name, expected in io.items():
        if name.startswith("logits_raw.step"):
            step = int(name.removeprefix("logits_raw.step"))
            alive = [row for row, stream in enumerate(found.streams) if stream.steps > step]
            _logits(found.logits[alive, step], expected, report, name)


@torch.inference_mode()
def _stream(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    """Both ways of cutting, that at pauses as upstream does it, and its repair: no code twice, none lost."""
    from voiceclone_gpt_sovits.token_chunks import FixedChunks, MuteChunks, split

    gpt, meta = loaded.gpt, loaded.case.meta
    for name in ("fixed", "mute"):
        facts = meta.get(f"stream_{name}")
        if facts is None:
            continue
        found = Decoded(gpt, [(io["phones"], io["bert"])], io["prompt"], facts["early_stop_num"], top_k=facts["top_k"])
        tokens = found.streams[0].tokens
        length = facts["chunk_length"]
        if name == "fixed":
            chunks = split(FixedChunks(length), tokens)
        else:
            similarity, threshold = io["mute_emb_sim_matrix"], facts["threshold"]
            chunks = split(MuteChunks(length, similarity, threshold, "upstream"), tokens)
            repaired = split(MuteChunks(length, similarity, threshold), tokens)
            report.exact("mute.repaired", [code for chunk in repaired for code in chunk], tokens)
        report.exact(f"{name}.count", len(chunks), len(facts["chunks"]))
        for index, chunk in enumerate(chunks):
            report.exact(f"{name}.chunk.{index}", torch.tensor(chunk), io[f"{name}.chunk.{index}"])
        _similarity(gpt, io["mute_emb_sim_matrix"], report)


def _similarity(gpt: Gpt, expected: Tensor, report: Report) -> None:
    from voiceclone_gpt_sovits.token_chunks import mute_similarity

    report.close("mute_emb_sim_matrix", mute_similarity(gpt), expected)


def _train(loaded: LoadedGpt, io: dict[str, Tensor], report: Report) -> None:
    from voiceclone_gpt_sovits.training.gpt_loss import TextBatch, predict, preference

    gpt, meta = loaded.gpt, loaded.case.meta
    named = dict(gpt.named_parameters())
    for side in ("right", "left"):
        gpt.zero_grad()
        batch = TextBatch(io[f"x_{side}"], io[f"bert_{side}"], io["x_lens"], "left")
        found = predict(gpt, batch, io["y"], io["y_lens"])
        loss = found.loss()
        loss.backward()
        report.exact("targets", found.targets, io["targets"])
        report.loss(f"{side}.loss", loss, io[f"{side}.loss"])
        report.loss(f"{side}.acc", found.accuracy(gpt.config.end), io[f"{side}.acc"])
        norms = meta[f"train_{side}"]["grad_norms"]
        total = sum(value**2 for value in norms.values()) ** 0.5
        for name, value in norms.items():
            report.gradient_norm(f"{side}.{name}", _gradient(named[name]).norm(), value, total)
        if side == "right":
            report.close("right.logits", found.logits[:, ::13], io["right.logits"])
            for name, expected in io.items():
                if name.startswith("grad."):
                    gradient = _gradient(named[name.removeprefix("grad.")])
                    report.close(name, gradient[: len(expected)], expected)
    rejected = predict(gpt, batch, io["dpo.reject_y"], io["dpo.reject_y_lens"])
    report.loss("dpo.loss", found.loss() + preference(found, rejected), io["dpo.loss"])
    report.loss("dpo.acc", found.accuracy(gpt.config.end), io["dpo.acc"])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _logits(got: Tensor, expected: Tensor, report: Report, name: str = "logits_raw") -> None:
    """Where the end was cut off, it was recorded as NaN."""
    report.close(name, got[: len(expected)].masked_fill(expected.isnan(), torch.nan), expected)


def _penalised(found: Decoded, step: int) -> Tensor:
    """Logits ``[vocabulary]`` of one draw with the penalty on all codes before it."""
    from voiceclone_gpt_sovits.sampling import REPETITION_PENALTY, penalise

    tokens = torch.tensor(found.streams[0].tokens[:step], dtype=torch.int64, device=found.logits.device)
    previous = torch.cat((found.prompt, tokens))
    return penalise(found.logits[0, step][None], previous[None], REPETITION_PENALTY)[0]


def _count(io: dict[str, Tensor], prefix: str) -> int:
    return sum(name.startswith(prefix) and name.removeprefix(prefix).isdecimal() for name in io)


def _number(facts: dict[str, Any], name: str) -> float:
    """A keyword's value out of the recorded call."""
    import re

    found = re.search(rf"{name}=([-+.\deE]+)", facts["call"])
    if found is None:
        raise KeyError(f"the recorded call names no {name}")
    value = found[1].rstrip(".")
    return float(value) if not value.lstrip("-").isdecimal() else int(value)


@checks(UPSTREAM, when=lambda meta: str(meta.get("function", "")).startswith("AR.models.utils.logits_to_probs"))
def sampling(case: Case, device: torch.device) -> Iterator[Call]:
    """The distribution that codes are drawn from, for every combination of settings."""
    for name, options in case.meta["combos"].items():
        yield Call(f"probs.{name}", lambda report, name=name, options=options: _probs(case, name, options, report))
    yield Call("draw", lambda report: _draw(case, report))


def _probs(case: Case, name: str, options: dict[str, Any], report: Report) -> None:
    from voiceclone_gpt_sovits.sampling import penalise, probabilities

    io = case.tensors()
    rest = {key: value for key, value in options.items() if key != "repetition_penalty"}
    logits = penalise(io["logits"], io["previous_tokens"], options.get("repetition_penalty", 1.0))
    if f"logits_after.{name}" in io:
        report.close(f"logits_after.{name}", logits, io[f"logits_after.{name}"], 0.0)
    got, expected = probabilities(logits, **rest), io[f"probs.{name}"]
    report.exact("support", got > 0, expected > 0)
    report.close(f"probs.{name}", got, expected, 1e-7)


def _draw(case: Case, report: Report) -> None:
    """The view without the end, and tokens from given noise."""
    from voiceclone_gpt_sovits.sampling import draw, penalise, probabilities

    io = case.tensors()
    columns = io["probs.no_eos_view"].shape[1]
    logits = penalise(io["logits"][:, :columns], io["previous_tokens"], 1.35)
    report.close("logits_view", logits, io["logits_view_parent_after"][:, :columns], 0.0)
    got = probabilities(logits, top_k=15)
    report.close("probs.no_eos_view", got, io["probs.no_eos_view"], 1e-7)
    report.exact("token_from_q", draw(got, io["q_noise"]), io["token_from_q"])
