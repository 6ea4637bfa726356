"""The checker of attention over a KV cache: prefill, then token by token, against float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report


@checks("^$", when=lambda meta: meta.get("case") == "kv_attention")
def attention_over_a_cache(case: Case, device: torch.device) -> Iterator[Call]:
    """Slots and pages: the same arithmetic, found in different places."""
    for facts in case.meta["cases"]:
        for page_size in (None, 5):
            name = f"{facts['case']} {facts['kind']} {'slots' if page_size is None else f'pages of {page_size}'}"
            yield Call(
                name, lambda report, facts=facts, page_size=page_size: _attend(case, facts, page_size, device, report)
            )


def _attend(case: Case, facts: dict[str, Any], page_size: int | None, device: torch.device, report: Report) -> None:
    from voiceclone.nn.kv_cache import KVCache
    from voiceclone.ops import attention_decode

    prefix = f"{facts['case']}."
    io = {
        name.removeprefix(prefix): value.to(device) for name, value in case.tensors().items() if name.startswith(prefix)
    }
    lengths, prefill, steps = io["lengths"].tolist(), facts["T_prefill"], facts["steps"]
    cache = KVCache(1, facts["H"], facts["D"], rows=len(lengths), capacity=facts["max_len"], page_size=page_size,
                    device=device)  # fmt: skip
    batch = cache.batch([cache.open() for _ in lengths])
    batch.reserve(max(lengths) + 1)
    for begin, end in ((0, prefill), *((prefill + step, prefill + step + 1) for step in range(steps))):
        if begin:
            batch.reserve()
        found = attention_decode(
            *(io[name][:, begin:end] for name in "qkv"), cache.layer(0), batch.pages, batch.lengths,
            counts=None if begin else io["lengths"], prefix=None if begin else io["prefix"], mask=io.get("key_mask"),
            scale=facts["scale"],
        )  # fmt: skip
        expected = io["step_out"][begin - prefill][:, None] if begin else io["prefill_out"]
        report.close(f"step {begin - prefill}" if begin else "prefill", found.double(), expected)
        batch.advance(1 if begin else lengths)
