"""Attention over a KV cache: recorded cases, a float64 oracle, and what must not change a single bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import CacheLayer, attention_decode, reference
from voiceclone.ops.attention import CACHE_TYPES

GOLDEN = Path(__file__).parents[1] / "golden" / "cases" / "kv_attention"
RECORDED = load_file(GOLDEN / "io.safetensors")
CASES = {case["case"]: case for case in json.loads((GOLDEN / "meta.json").read_text("utf-8"))["cases"]}
needs_native = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many small calls: on a busy machine threads would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ints(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def check_close(found: Tensor, wanted: Tensor | None, *, atol: float, rtol: float) -> None:
    """As torch.testing's, whose import costs many seconds."""
    assert wanted is not None
    assert found.shape == wanted.shape
    worst = ((found - wanted).abs() - rtol * wanted.abs()).nan_to_num(nan=torch.inf).max()
    assert worst <= atol, f"off by {worst}"


def poisoned(pages: int, heads: int, size: int, dim: int, dtype: torch.dtype = torch.float32) -> CacheLayer:
    """A cache whose every number would show in a result."""
    keys = torch.empty(pages, heads, size, dim).fill_(float("nan")).to(dtype)
    keys = torch.full_like(keys, 99) if dtype == torch.int8 else keys
    scales = torch.full((pages, heads, size) if dtype == torch.int8 else (0,), float("nan"))
    return CacheLayer(keys, keys.clone(), scales, scales.clone())


class Rows:
    """A ragged batch: lengths held, new tokens, page tables in no order, a shared prefix where asked for."""

    def __init__(
        self,
        held: list[int],
        counts: list[int],
        *,
        dim: int = 32,
        heads: int = 2,
        group: int = 1,
        size: int | None = None,
        shared: int = 0,
        dtype: torch.dtype = torch.float32,
        query: torch.dtype = torch.float32,
        masked: bool = False,
        prefix: list[int] | None = None,
        seed: int = 0,
    ) -> None:
        random = torch.Generator().manual_seed(seed)
        batch, self.new = len(held), max(counts)
        most = max(length + count for length, count in zip(held, counts, strict=True))
        size = most + 1 if size is None else size
        own = -(-(most - shared) // size)
        first = -(-shared // size)
        order = torch.randperm(first + batch * own, generator=random).int()
        self.pages = torch.cat((order[:first].expand(batch, first), order[first:].view(batch, own)), 1).contiguous()
        self.layer = poisoned(first + batch * own, heads, size, dim, dtype)
        self.held, self.counts = ints(*held), ints(*counts)
        self.shared = ints(*[shared] * batch) if shared else None
        self.prefix = None if prefix is None else ints(*prefix)
        self.mask = None
        if masked:
            self.mask = torch.randn(batch, most, generator=random)
            self.mask[:, 1:][torch.rand(batch, most - 1, generator=random) < 0.3] = -torch.inf
        self.query = torch.randn(batch, most, heads * group, dim, generator=random).to(query)
        self.keys, self.values = (torch.randn(batch, most, heads, dim, generator=random).to(query) for _ in range(2))
        self.keys[:, :shared], self.values[:, :shared] = self.keys[:1, :shared], self.values[:1, :shared]
        if shared:
            self.fill(slice(0, 1), 0, ints(shared))
        begin = ints(*[shared] * batch)
        self.fill(slice(0, batch), shared, self.held - begin)

    def fill(self, rows: slice, begin: int, counts: Tensor) -> None:
        """Put what is held before the call, by the call itself."""
        end = begin + int(counts.max())
        lengths = torch.full_like(counts, begin)
        new = (part[rows, begin:end] for part in (self.query, self.keys, self.values))
        shared = None if self.shared is None or not begin else self.shared[rows]
        attention_decode(*new, self.layer, self.pages[rows], lengths, counts=counts, shared=shared)

    def tokens(self, part: Tensor) -> Tensor:
        """The new tokens of each row, padded with NaN."""
        found = torch.full((len(part), self.new, *part.shape[2:]), float("nan"), dtype=part.dtype)
        for row, (length, count) in enumerate(zip(self.held.tolist(), self.counts.tolist(), strict=True)):
            found[row, :count] = part[row, length : length + count]
        return found

    def run(self, **changes: Any) -> Tensor:
        query, key, value = (self.tokens(part) for part in (self.query, self.keys, self.values))
        keywords = {"counts": self.counts, "shared": self.shared, "prefix": self.prefix, "mask": self.mask, **changes}
        out = torch.full_like(query, float("nan"))
        found = attention_decode(query, key, value, self.layer, self.pages, self.held, out=out, **keywords)
        assert found is out
        return found

    def oracle(self) -> Tensor:
        """The same in float64 from the numbers that the cache has stored."""
        batch, _, heads, dim = self.query.shape
        group = heads // self.keys.shape[2]
        out = torch.zeros(batch, self.new, heads, dim, dtype=torch.float64)
        for row in range(batch):
            held, count = int(self.held[row]), int(self.counts[row])
            total = held + count
            shared = 0 if self.shared is None else int(self.shared[row])
            position = torch.arange(total)
            page, offset = reference.attention.places(
                self.pages[row : row + 1], ints(shared), self.layer.keys.shape[2], position[None]
            )
            k, v = (
                reference.attention.read(cache, scales, page, offset, torch.float64)[0].repeat_interleave(group, 1)
                for cache, scales in (
                    (self.layer.keys, self.layer.key_scales),
                    (self.layer.values, self.layer.value_scales),
                )
            )
            for token in range(count):
                limit = max(held + token + 1, 0 if self.prefix is None else min(int(self.prefix[row]), total))
                query = self.query[row, held + token].double()
                scores = torch.einsum("hd,shd->hs", query, k[:limit]) * dim**-0.5
                if self.mask is not None:
                    scores = scores + self.mask[row, :limit].double()
                out[row, token] = torch.einsum("hs,shd->hd", torch.softmax(scores, -1), v[:limit])
        return out


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, size: int | None) -> None:
    case = CASES[name]
    io = {part: RECORDED.get(f"{name}.{part}") for part in ("key_mask", "prefill_out", "step_out", "lengths", "prefix")}
    query, key, value = (RECORDED[f"{name}.{part}"] for part in "qkv")
    batch, first = case["B"], case["T_prefill"]
    entries = 1 if size is None else -(-case["max_len"] // size)
    layer = poisoned(batch * entries, case["H"], size or case["max_len"], case["D"])
    pages = torch.arange(batch * entries, dtype=torch.int32).flip(0).view(batch, entries)

    def run(begin: int, end: int, held: Tensor, **keywords: Any) -> Tensor:
        parts = (part[:, begin:end] for part in (query, key, value))
        return attention_decode(*parts, layer, pages, held, mask=io["key_mask"], scale=case["scale"], **keywords)

    lengths = io["lengths"]
    assert lengths is not None
    found = run(0, first, torch.zeros_like(lengths), counts=lengths, prefix=io["prefix"])
    check_close(found.double(), io["prefill_out"], atol=1e-5, rtol=1e-5)
    for step in range(case["steps"]):
        found = run(first + step, first + step + 1, lengths + step)[:, 0]
        check_close(found.double(), io["step_out"][step], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", CACHE_TYPES, ids=str)
@pytest.mark.parametrize("dim", [8, 32, 40, 64, 80, 128])
def test_agrees_with_float64(dim: int, dtype: torch.dtype) -> None:
    """Ragged, grouped queries, masked, pages of odd size, rows with nothing held and nothing new."""
    rows = Rows([0, 37, 130, 5], [3, 1, 2, 0], dim=dim, group=2, size=17, masked=True, dtype=dtype, seed=dim)
    found = rows.run()
    check_close(found.double(), rows.oracle(), atol=2e-6, rtol=1e-5)
    assert not found[3].any()


@pytest.mark.parametrize("query", [torch.bfloat16, torch.float16])
def test_half_precision_tokens(query: torch.dtype) -> None:
    rows = Rows([40, 3], [1, 4], query=query, dtype=query)
    check_close(rows.run().double(), rows.oracle(), atol=0.0, rtol=1e-2 if query == torch.bfloat16 else 1e-3)


@pytest.mark.parametrize("prefix", [[7, 0, 30], [5, 1, 4]])
def test_a_text_sees_itself_both_ways(prefix: list[int]) -> None:
    rows = Rows([0, 0, 0], [9, 6, 12], prefix=prefix)
    check_close(rows.run().double(), rows.oracle(), atol=2e-6, rtol=1e-5)


def test_more_positions_than_one_chunk() -> None:
    rows = Rows([2600, 1023, 1024], [1, 2, 1], heads=1, masked=True)
    check_close(rows.run().double(), rows.oracle(), atol=2e-6, rtol=1e-5)


def test_scores_of_any_size() -> None:
    """Weights that vanish, a maximum that grows from chunk to chunk."""
    rows = Rows([2100], [1], heads=1)
    for position in range(2100):
        rows.layer.keys[rows.pages[0, 0], 0, position] *= 1 + position / 100
    check_close(rows.run().double(), rows.oracle(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", CACHE_TYPES, ids=str)
def test_a_row_alone_is_the_same_as_in_a_batch(dtype: torch.dtype) -> None:
    held = [(37 * row) % 300 for row in range(16)]
    rows = Rows(held, [1] * 16, dim=64, dtype=dtype, masked=True)
    layer = CacheLayer(*(part.clone() for part in rows.layer))
    together = rows.run()
    for row in range(16):
        one = slice(row, row + 1)
        query, key, value = (rows.tokens(part)[one] for part in (rows.query, rows.keys, rows.values))
        mask = rows.mask[one] if rows.mask is not None else None
        alone = attention_decode(query, key, value, layer, rows.pages[one], rows.held[one], mask=mask)
        assert torch.equal(alone, together[one]), row
    assert torch.equal(layer.keys.view(torch.uint8), rows.layer.keys.view(torch.uint8))


@needs_native
@pytest.mark.parametrize("dtype", CACHE_TYPES, ids=str)
@pytest.mark.parametrize(("size", "shared"), [(None, 0), (1, 0), (7, 0), (16, 37), (None, 21), (64, 64)])
def test_pages_sharing_and_steps_do_not_change_a_bit(size: int | None, shared: int, dtype: torch.dtype) -> None:
    """Against tokens one by one in slots of their own."""
    held, counts = [64, 71, 66], [9, 3, 5]
    paged = Rows(held, counts, dim=40, size=size, shared=shared, dtype=dtype)
    found = paged.run()
    slots = Rows(held, counts, dim=40, dtype=dtype)
    slots.query, slots.keys, slots.values = paged.query, paged.keys, paged.values
    slots.fill(slice(0, 3), 0, slots.held)
    for step in range(max(counts)):
        query, key, value = (paged.tokens(part)[:, step : step + 1] for part in (paged.query, paged.keys, paged.values))
        active, length = (paged.counts > step).int(), slots.held + paged.counts.clamp(max=step)
        one = attention_decode(query, key, value, slots.layer, slots.pages, length, counts=active)
        assert torch.equal(one[:, 0], found[:, step]), step


@needs_native
def test_threads_do_not_change_a_bit() -> None:
    rows = Rows([900, 30, 500, 1], [1, 1, 1, 1], dim=128, heads=8)
    one = rows.run()
    torch.set_num_threads(4)
    assert torch.equal(rows.run(), one)


@pytest.mark.parametrize("dtype", CACHE_TYPES, ids=str)
def test_numbers_are_stored_as_torch_rounds_them(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(1)
    value = torch.randn(1, 64, 1, 32, generator=random) * 10 ** torch.linspace(-9, 5, 64)[:, None, None]
    value[0, 7], value[0, 9, 0, :3] = 0.0, torch.tensor([1e-30, -1e-42, 65504.0])
    value[0, 11, 0, 4], value[0, 12, 0, 5], value[0, 13, 0, 6] = float("nan"), float("inf"), -float("inf")
    layer, wanted = poisoned(1, 1, 64, 32, dtype), poisoned(1, 1, 64, 32, dtype)
    lengths, pages = ints(0), torch.zeros(1, 1, dtype=torch.int32)
    attention_decode(value, value, value.flip(1), layer, pages, lengths)
    arguments = (value, value, value.flip(1), *wanted, pages, lengths, None, None, None, None, 1.0)
    reference.attention_decode(*arguments, torch.empty_like(value))
    for ours, theirs in zip(layer, wanted, strict=True):
        assert torch.equal(ours.float().nan_to_num(nan=7e30), theirs.float().nan_to_num(nan=7e30))
    if dtype == torch.int8:
        assert layer.key_scales[0, 0, 11:14].isnan().all()


def test_what_is_not_finite_shows() -> None:
    for dtype in CACHE_TYPES:
        rows = Rows([20, 20], [1, 1], dtype=dtype)
        rows.keys[0, 20, 0, 3] = float("nan")
        found = rows.run()
        assert found[0, 0, 0].isnan().all()
        assert found[1].isfinite().all()
        assert found[0, 0, 1].isfinite().all()


def test_nothing_to_see_yields_zeros() -> None:
    rows = Rows([3, 1200], [1, 1])
    assert not rows.run(mask=torch.full((2, 1201), -torch.inf)).any()
    layer, pages = poisoned(1, 2, 4, 32), torch.zeros(0, 1, dtype=torch.int32)
    for shape in ((0, 1, 2, 32), (0, 0, 2, 32)):
        empty = torch.empty(shape)
        assert attention_decode(empty, empty, empty, layer, pages, ints()).shape == shape
    empty = torch.empty(2, 0, 2, 32)
    assert attention_decode(empty, empty, empty, layer, pages.new_zeros(2, 1), ints(0, 1)).shape == empty.shape


def test_packed_projections_are_taken_as_they_are() -> None:
    """query, key and value as parts of one tensor, the result written into another."""
    packed = torch.randn(2, 3, 3 * 64, generator=torch.Generator().manual_seed(0))
    query, key, value = (part.view(2, 3, 2, 32) for part in packed.chunk(3, -1))
    pages = ints(0, 1)[:, None]
    out = torch.full((3, 2, 2, 32), float("nan")).transpose(0, 1)
    attention_decode(query, key, value, poisoned(2, 2, 3, 32), pages, ints(0, 0), out=out)
    dense = (part.contiguous() for part in (query, key, value))
    assert torch.equal(out, attention_decode(*dense, poisoned(2, 2, 3, 32), pages, ints(0, 0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": torch.zeros(2, 1, 2, 12)}, "a multiple of 8"),
        ({"query": torch.zeros(2, 1, 2, 32).double()}, "floating type"),
        ({"query": torch.zeros(2, 1, 3, 32)}, "key and value must be"),
        ({"key": torch.zeros(2, 1, 1, 32)}, "key and value must be"),
        ({"layer": poisoned(2, 2, 4, 64)}, "the cache must be"),
        ({"pages": torch.zeros(2, 1)}, "pages must be int32"),
        ({"lengths": ints(1)}, r"lengths must be int32 \[2\]"),
        ({"counts": torch.ones(2)}, r"counts must be int32 \[2\]"),
        ({"mask": torch.zeros(1, 9)}, r"mask must be float32 \[2, positions\]"),
        ({"out": torch.zeros(2, 1, 2, 64)}, "out must be"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    token = torch.zeros(2, 1, 2, 32)
    right = {"query": token, "key": token, "value": token, "layer": poisoned(2, 2, 4, 32),
             "pages": ints(0, 1)[:, None], "lengths": ints(0, 0)}  # fmt: skip
    attention_decode(**right)
    with pytest.raises(ValueError, match=message):
        attention_decode(**{**right, **change})


@needs_native
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": ints(0, 4)}, "row 1 needs 2 pages for 5 positions"),
        ({"lengths": ints(-1, 0)}, "row 0 has length -1"),
        ({"pages": ints(0, 2)[:, None]}, "row 1 names a page outside the cache's 2"),
        ({"pages": ints(-1, 0)[:, None]}, "row 0 names a page"),
        ({"counts": ints(1, 2)}, "row 1 has length 0 and count 2 of 1"),
        ({"shared": ints(0, 1)}, "row 1 shares 1 of 0 positions"),
        ({"mask": torch.zeros(2, 0)}, "mask must be contiguous float32"),
        ({"mask": torch.zeros(2, 1), "lengths": ints(0, 1)}, "mask has 1 positions, row 1 needs 2"),
    ],
)
def test_what_does_not_fit_the_cache_is_refused(change: dict[str, Any], message: str) -> None:
    token = torch.zeros(2, 1, 2, 32)
    right = {"pages": ints(0, 1)[:, None], "lengths": ints(0, 0), **change}
    with pytest.raises(RuntimeError, match=message):
        attention_decode(token, token, token, poisoned(2, 2, 4, 32), **right)


@pytest.mark.parametrize("level", ["off", "plain", "avx2"])
def test_on_lesser_processors_and_without_kernels(level: str) -> None:
    if level != "off" and not ops.describe().loaded:
        pytest.skip("native kernels were not built")
    name = "VOICECLONE_NATIVE" if level == "off" else "VOICECLONE_CPU"
    wanted = "golden or float64 or both_ways or torch_rounds or chunk or not_finite"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__, "-k", wanted]
    done = subprocess.run(command, env={**os.environ, name: level}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", CACHE_TYPES, ids=str)
@pytest.mark.parametrize(("group", "new"), [(1, 1), (2, 1), (1, 6)])
def test_the_gpu_agrees(dtype: torch.dtype, group: int, new: int) -> None:
    """Within rounding, whatever the batch bit for bit, and the same again from a graph at other lengths."""
    rows = Rows([37, 300, 0], [new, new, max(new - 1, 0)], dim=80, group=group, size=16, dtype=dtype, masked=True)
    wanted = rows.oracle() if rows.run() is not None else None
    layer = CacheLayer(*(part.cuda() for part in rows.layer))
    query, key, value = (rows.tokens(part).cuda() for part in (rows.query, rows.keys, rows.values))
    pages, held, counts = rows.pages.cuda(), rows.held.cuda(), rows.counts.cuda()
    mask = None if rows.mask is None else rows.mask.cuda()
    found = attention_decode(query, key, value, layer, pages, held, counts=counts, mask=mask)
    check_close(found.cpu().double(), wanted, atol=1e-5, rtol=1e-4)
    one = slice(1, 2)
    alone = attention_decode(query[one], key[one], value[one], layer, pages[one], held[one], counts=counts[one],
                             mask=None if mask is None else mask[one])  # fmt: skip
    assert torch.equal(alone, found[one])
    out, graph = torch.full_like(query, float("nan")), torch.cuda.CUDAGraph()
    lengths = torch.zeros_like(held)
    with torch.cuda.graph(graph):
        attention_decode(query, key, value, layer, pages, lengths, counts=counts, mask=mask, out=out)
    lengths.copy_(held)
    graph.replay()
    assert torch.equal(out, found)
