"""Decode steps: kernels against the phase machine and float64, batches against single rows, ways to end, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from decoders import SHAPES, VARIED, Batch, packed_decoder, random_weights
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import DecoderShape, Sampling, decode_step, pack_decoder, sampling_rows, unpack_decoder
from voiceclone.ops.decode_step import COUNT, DONE, END, FAILED, FULL, LENGTH, LIMIT, POSITION, RUNNING, TOKEN
from voiceclone.ops.pack import FORMATS, WeightFormat
from voiceclone.ops.reference.decode_step import Machine, rounded

needs_native = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")
#: Of the largest value: float32 sums in another order; a rounding that fell to the other side.
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-2, "int8": 2e-2}


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted.double()).abs().max() / wanted.double().abs().max().clamp(min=1e-6))


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_phase_agrees_with_the_machine(name: str, weight_format: WeightFormat) -> None:
    packed = packed_decoder(name, weight_format)
    batch = Batch.make(packed, 5, 1)
    phases = 5 * packed.shape.layers + 4
    for stop in range(phases + 1):
        found, wanted = batch.clone(), batch.clone()
        scratch = [torch.full((5, packed.shape.scratch()), 9.0) for _ in range(2)]
        found.native(stop_after=stop, scratch=scratch[0])
        wanted.plain(stop, scratch[1])
        # The draw leaves the logits as it saw them; the head's own are those of one phase before.
        kept = packed.shape.scratch() - (packed.shape.vocabulary if stop == phases else 0)
        assert error(scratch[0][:, :kept], scratch[1][:, :kept]) < TOLERANCE[weight_format], stop
        for mine, theirs in zip(found.written(), wanted.written(), strict=True):
            if mine.numel():
                assert error(mine, theirs) < TOLERANCE[weight_format], stop


@pytest.mark.parametrize("cache_type", ops.attention.CACHE_TYPES, ids=str)
@pytest.mark.parametrize("uniform", [False, True])
def test_many_steps_agree_with_the_machine(cache_type: torch.dtype, uniform: bool) -> None:
    batch = Batch.make(packed_decoder("post_relu", "float32"), 7, 9, cache_type=cache_type, uniform=uniform)
    found, wanted = batch.clone(), batch.clone()
    mine, theirs = found.native(), wanted.plain()
    assert torch.equal(mine.tokens, theirs.tokens)
    assert torch.equal(found.rows.state, wanted.rows.state)
    assert torch.equal(found.rows.seen, wanted.rows.seen)
    assert error(mine.hiddens, theirs.hiddens) < (1e-5 if cache_type == torch.float32 else 2e-2)
    assert float((mine.logprobs - theirs.logprobs).abs().max()) < (1e-4 if cache_type == torch.float32 else 0.1)
    assert len(set(found.rows.state[DONE].tolist())) > 1, "no row ended before the others"


@pytest.mark.parametrize("name", SHAPES)
def test_float32_against_float64(name: str) -> None:
    packed = packed_decoder(name, "float32")
    batch = Batch.make(packed, 4, 1, sampling=[Sampling(top_k=1)] * 4)
    found = batch.clone()
    scratch = torch.empty(4, packed.shape.scratch())
    found.native(stop_after=5 * packed.shape.layers + 3, scratch=scratch)
    wide = torch.empty_like(scratch, dtype=torch.float64)
    state, hidden, seen, pages, shared = batch.clone().rows
    machine = Machine(
        packed, {name: value.double() for name, value in unpack_decoder(packed).items()},
        *(memory.double() for memory in batch.cache), pages, shared, state, hidden.double(), seen, *batch.sampling,
        batch.noise, torch.empty(4, 1), torch.empty(4, 1), torch.empty(4, 1, packed.shape.width), wide,
    )  # fmt: skip
    for phase, run in list(machine.phases(0))[:-1]:
        run()
        assert phase
    assert error(scratch[:, -packed.shape.vocabulary :], wide[:, -packed.shape.vocabulary :]) < 1e-5
    assert error(found.rows.hidden, machine.hidden) < 1e-5


@pytest.mark.parametrize("weight_format", FORMATS)
def test_n_steps_are_n_single_steps(weight_format: WeightFormat) -> None:
    batch = Batch.make(packed_decoder("pre_relu", weight_format), 6, 7)
    at_once, one_by_one = batch.clone(), batch.clone()
    whole = at_once.native()
    parts = [one_by_one.native(step, step + 1) for step in range(7)]
    for index in range(3):
        assert torch.equal(whole[index], torch.cat([part[index] for part in parts], 1))
    for mine, theirs in zip(at_once.written(), one_by_one.written(), strict=True):
        assert torch.equal(mine, theirs)


@needs_native
@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_row_alone_is_the_same_as_in_a_batch(weight_format: WeightFormat, threads: int) -> None:
    batch = Batch.make(packed_decoder("post_relu", weight_format), 16, 6, cache_type=torch.bfloat16)
    together, before = batch.clone(), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        whole = together.native()
        torch.set_num_threads(1)
        for row in range(16):
            alone = batch.only(row)
            found = alone.native()
            for index in range(3):
                assert torch.equal(found[index][0], whole[index][row]), row
            assert torch.equal(alone.rows.state[:, 0], together.rows.state[:, row])
            assert torch.equal(alone.rows.hidden[0], together.rows.hidden[row])
    finally:
        torch.set_num_threads(before)


@needs_native
def test_nothing_of_the_outputs_is_left_as_it_was() -> None:
    batch = Batch.make(packed_decoder("post_relu", "bfloat16"), 6, 8)
    shape = batch.packed.shape
    clean = batch.clone().native()
    outputs = (torch.full((6, 8), -7, dtype=torch.int32), torch.full((6, 8), torch.nan),
               torch.full((6, 8, shape.width), torch.nan), torch.full((6, shape.scratch()), torch.nan))  # fmt: skip
    state, hidden, seen, pages, shared = batch.rows
    torch.ops.voiceclone.decode_step(
        batch.packed.weights, shape.numbers("bfloat16"), 1e-5, *batch.cache, pages, shared, state, hidden, seen,
        *batch.sampling, batch.noise, *outputs, -1,
    )  # fmt: skip
    for mine, theirs in zip(outputs, clean, strict=False):
        assert torch.equal(mine, theirs)


def test_ways_to_end() -> None:
    packed = packed_decoder("post_relu", "float32")
    greedy = Sampling(top_k=1)
    first = Batch.make(packed, 1, 1, sampling=[greedy]).native().tokens[0, 0].item()
    assert isinstance(first, int)
    rows = {
        "runs": (greedy, RUNNING, 4),
        "ends": (Sampling(top_k=1, end_token=first), END, 1),
        "too early to end": (Sampling(top_k=1, end_token=first, min_tokens=4), RUNNING, 4),
        "limit": (Sampling(top_k=1, max_tokens=2), LIMIT, 2),
        "end is likeliest, another is drawn": (Sampling(end_token=first, end_on_argmax=True), END, 1),
        "end is likeliest, which is no reason": (Sampling(end_token=first), RUNNING, 4),
    }
    for name, (sampling, done, count) in rows.items():
        batch = Batch.make(packed, 1, 4, sampling=[sampling])
        if "another" in name or "no reason" in name:
            batch.noise.fill_(1.0)[:, :, first] = 1e9
        found = batch.native()
        assert batch.rows.state[DONE].tolist() == [done], name
        assert batch.rows.state[COUNT].tolist() == [count], name
        assert (found.tokens[0] >= 0).sum() == count, name
        assert (found.tokens[0, :count] >= 0).all(), name
        assert batch.rows.seen[0, found.tokens[0, :count].long()].all(), name
        # The last token drawn was not fed yet.
        assert int(batch.rows.state[LENGTH]) == int(Batch.make(packed, 1, 4).rows.state[LENGTH]) + count


def test_rows_that_cannot_go_on() -> None:
    packed = packed_decoder("post_relu", "float32")
    batch = Batch.make(packed, 6, 3, sampling=[Sampling()] * 6)
    state = batch.rows.state
    state[TOKEN] = 5
    state[DONE, 0] = END
    state[LENGTH, 2] = 32  # as much as its pages hold
    state[LENGTH, 3] = 31
    state[POSITION, 4] = 40  # as long as the table
    state[TOKEN, 5] = packed.shape.inputs
    before = batch.clone()
    found = batch.native()
    assert state[DONE].tolist() == [END, RUNNING, FULL, FULL, FULL, FAILED]
    assert (found.tokens >= 0).sum(1).tolist() == [0, 3, 0, 1, 0, 0]
    assert torch.equal(found.tokens, before.plain().tokens)
    for row in (0, 2, 4, 5):
        assert (found.tokens[row] == -1).all()
        assert not found.hiddens[row].any()


@pytest.mark.parametrize("weight_format", FORMATS)
def test_nan_never_becomes_a_token(weight_format: WeightFormat) -> None:
    batch = Batch.make(packed_decoder("post_relu", weight_format), 3, 2, sampling=[Sampling()] * 3)
    batch.rows.state[TOKEN] = -1
    batch.rows.hidden[1, 5] = torch.nan
    found = batch.native()
    assert batch.rows.state[DONE].tolist() == [RUNNING, FAILED, RUNNING]
    assert (found.tokens[1] == -1).all()
    assert (found.tokens[0] >= 0).all()


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", SHAPES)
def test_unpacking_undoes_packing(name: str, weight_format: WeightFormat) -> None:
    weights = random_weights(SHAPES[name])
    packed = pack_decoder(SHAPES[name], weights, weight_format)
    found = unpack_decoder(packed)
    assert found.keys() == weights.keys()
    for key, value in weights.items():
        if weight_format == "float32" or value.dim() == 1 or key in ("embedding", "positions"):
            assert torch.equal(found[key], value), key
        elif weight_format == "bfloat16":
            assert torch.equal(found[key], value.bfloat16().float()), key
        else:
            assert (found[key] - value).abs().max() <= value.abs().max() / 127 / 2 * 1.001, key
    assert packed.weights.numel() % 128 == 0


def test_quality_of_the_formats() -> None:
    """Against the float32 model, not against the same rounding: what a user gives away."""
    shape = DecoderShape(12, 256, 8, 1024, 1025, 1025, 64)
    weights = random_weights(shape)
    logits = {}
    for weight_format in FORMATS:
        packed = pack_decoder(shape, weights, weight_format)
        batch = Batch.make(packed, 8, 1)
        scratch = torch.empty(8, shape.scratch())
        batch.native(stop_after=5 * shape.layers + 3, scratch=scratch)
        logits[weight_format] = scratch[batch.rows.state[TOKEN] >= 0][:, -shape.vocabulary :].double()
    exact = logits.pop("float32")
    for weight_format, bound in (("bfloat16", 45.0), ("int8", 30.0)):
        noise = logits[weight_format] - exact
        assert 10 * float(torch.log10(exact.square().mean() / noise.square().mean())) > bound, weight_format
        shares, other = torch.softmax(exact, 1), torch.softmax(logits[weight_format], 1)
        assert float((shares * (shares / other).log()).sum(1).max()) < 0.02, weight_format


def test_rounded_rows() -> None:
    x = torch.tensor([[1.0, -127.0, 0.4, 63.5, *[0.0] * 124, 2.54, 0.011]])
    assert torch.equal(rounded(x, "float32"), x)
    assert torch.equal(rounded(x, "bfloat16"), x.bfloat16().float())
    assert torch.allclose(rounded(x, "int8")[0, :4], torch.tensor([1.0, -127.0, 0.0, 64.0]))
    assert torch.allclose(rounded(x, "int8")[0, 128:], torch.tensor([2.54, 0.02]))


def test_empty_calls() -> None:
    packed = packed_decoder("post_relu", "float32")
    assert Batch.make(packed, 0, 3).native().tokens.shape == (0, 3)
    batch = Batch.make(packed, 2, 3)
    batch.noise = batch.noise[:0]
    before = batch.clone()
    assert batch.native().tokens.shape == (2, 0)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(batch.written(), before.written(), strict=True))


def bad(field: str, value: Any) -> dict[str, Any]:
    batch = Batch.make(packed_decoder("post_relu", "float32"), 2, 1)
    given = {"packed": batch.packed, "cache": batch.cache, "rows": batch.rows, "sampling": batch.sampling,
             "noise": batch.noise}  # fmt: skip
    owner, _, part = field.partition(".")
    return given | {owner: given[owner]._replace(**{part: value}) if part else value}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("noise", torch.zeros(1, 2, 5), r"noise must be \[n, 2, 1 or 77\]"),
        ("noise", torch.zeros(1, 3, 77), "noise must be"),
        ("rows.state", torch.zeros(2, 5, dtype=torch.int32), "noise must be|state must be"),
        ("rows.hidden", torch.zeros(2, 47), r"hidden must be contiguous torch.float32 \[2, 48\]"),
        ("rows.seen", torch.zeros(2, 77), "seen must be contiguous torch.bool"),
        ("rows.shared", torch.zeros(2), "shared must be"),
        ("sampling", sampling_rows([Sampling()]), "settings must be"),
        ("cache.keys", torch.zeros(2, 4, 2, 8, 16), "the cache must be"),
    ],
)
def test_bad_arguments(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_step(**bad(field, value))


@needs_native
def test_foreign_memory_is_never_reached() -> None:
    batch = Batch.make(packed_decoder("post_relu", "float32"), 2, 1)
    other = DecoderShape(2, 48, 2, 200, 77, 80, 40, pre_norm=True)
    with pytest.raises(RuntimeError, match="packed for another shape"):
        decode_step(ops.PackedDecoder(other, "float32", batch.packed.weights), *[*vars(batch).values()][1:])
    batch.rows.pages[1, 0] = 99
    with pytest.raises(RuntimeError, match="row 1 names a page outside"):
        batch.native()
    batch.rows.state[LENGTH, 1] = 99
    with pytest.raises(RuntimeError, match="row 1 has length 99"):
        batch.native()


def test_bad_shapes_and_weights() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        DecoderShape(1, 48, 4, 8, 4, 4, 4)
    with pytest.raises(ValueError, match="needs an embedding"):
        DecoderShape(1, 48, 2, 8, 5, 4, 4)
    shape = SHAPES["post_relu"]
    weights = random_weights(shape)
    with pytest.raises(ValueError, match=r"layers\.0\.qkv\.weight \[144, 48\] is missing"):
        pack_decoder(shape, {k: v for k, v in weights.items() if k != "layers.0.qkv.weight"}, "int8")
    with pytest.raises(ValueError, match="no place"):
        pack_decoder(shape, weights | {"layers.9.qkv.weight": torch.zeros(1)}, "int8")
    with pytest.raises(ValueError, match=r"head\.weight must be floating"):
        pack_decoder(shape, weights | {"head.weight": torch.zeros(3, 3)}, "int8")
    with pytest.raises(ValueError, match="top_k"):
        Sampling(top_k=-1)
    assert len(VARIED) == len(sampling_rows(VARIED).rules)


@needs_native
@pytest.mark.parametrize("level", ["avx2", "plain", "off"])
def test_lesser_machines(level: str) -> None:
    """The same tests in a process that was told to use less than this processor has."""
    environment = {**os.environ, **({"VOICECLONE_NATIVE": "off"} if level == "off" else {"VOICECLONE_CPU": level})}
    chosen = "machine or single or end or cannot or nan"
    arguments = ["-q", "-p", "no:cacheprovider", "-k", f"({chosen}) and not lesser", __file__]
    result = subprocess.run([sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True,
                            env=environment, cwd=Path(__file__).parents[2])  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_gpu_agrees_phase_by_phase(name: str, weight_format: WeightFormat) -> None:
    packed = packed_decoder(name, weight_format)
    batch = Batch.make(packed, 9, 6, uniform=name == "pre_relu")
    for stop in (*range(5 * packed.shape.layers + 4), -1):
        found, wanted = on_gpu(batch), batch.clone()
        scratch = torch.full((9, packed.shape.scratch()), 9.0)
        mine = scratch.cuda()
        steps = found.native(stop_after=stop, scratch=mine)
        plain = wanted.plain(stop, scratch)
        if stop >= 0:
            assert error(mine.cpu(), scratch) < TOLERANCE[weight_format], stop
        elif weight_format == "float32":
            assert torch.equal(steps.tokens.cpu(), plain.tokens)
            assert torch.equal(found.rows.state.cpu(), wanted.rows.state)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_graph_replays_the_same() -> None:
    batch = Batch.make(packed_decoder("post_relu", "bfloat16"), 5, 4)
    eager, captured = on_gpu(batch), on_gpu(batch)
    wanted = eager.native()
    on_gpu(batch).native()  # what is loaded lazily is loaded before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = captured.native()
    fresh = on_gpu(batch)
    for mine, theirs in zip(captured.written(), fresh.written(), strict=True):
        mine.copy_(theirs)
    graph.replay()
    torch.cuda.synchronize()
    for mine, theirs in zip(found, wanted, strict=True):
        assert torch.equal(mine, theirs)


def on_gpu(batch: Batch) -> Batch:
    rows = [None if tensor is None else tensor.cuda() for tensor in batch.rows]
    return Batch(batch.packed.to("cuda"), ops.DecoderCache(*(memory.cuda() for memory in batch.cache)),
                 ops.DecoderRows(*rows), ops.SamplingRows(*(t.cuda() for t in batch.sampling)),  # type: ignore[arg-type]
                 batch.noise.cuda())  # fmt: skip
