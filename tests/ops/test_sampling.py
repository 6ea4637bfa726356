"""Drawing tokens: the distributions of GPT-SoVITS and VALL-E X as recorded, and the kernel's draws from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from voiceclone.ops import (
    DecoderCache,
    DecoderRows,
    DecoderShape,
    Sampling,
    Steps,
    decode_step,
    pack_decoder,
    sampling_rows,
)
from voiceclone.ops.reference.sampling import draw, filtered, keep_top_p

#: Logits, tokens seen and the probabilities that each set of options left of them: "ORIGINAL/logits", "/seen", "/N".
GOLDEN = load_file(Path(__file__).with_name("golden_sampling.safetensors"))
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "gpt_sovits": [
        {}, {"temperature": 0.7}, {"top_k": 15}, {"top_k": 1}, {"top_p": 0.6}, {"top_p": 0.95, "top_k": 5},
        {"repetition_penalty": 1.35}, {"repetition_penalty": 1.35, "top_k": 15},
        {"repetition_penalty": 1.2, "top_k": 20, "top_p": 0.8, "temperature": 0.6},
        {"temperature": 0.0, "top_k": 50}, {"top_k": 5000, "top_p": 0.01},
        {"repetition_penalty": 0.8, "top_p": 0.9, "temperature": 1.7},
    ],
    "vall_e_x": [
        {}, {"top_k": 10}, {"top_k": 1}, {"top_k": 50, "top_p": 0.9, "temperature": 0.8}, {"top_p": 0.5},
        {"top_p": 0.05, "temperature": 1.7}, {"top_k": 2000, "top_p": 0.99, "temperature": 0.6},
    ],
}  # fmt: skip
CASES = [(original, index) for original, options in OPTIONS.items() for index in range(len(options))]


def golden(original: str, index: int) -> tuple[Tensor, Tensor, Sampling, Tensor]:
    """Logits ``[N, V]``, tokens seen as a mask, how to draw, and the probabilities that are left."""
    logits = GOLDEN[f"{original}/logits"]
    seen = torch.zeros_like(logits, dtype=torch.bool)
    if f"{original}/seen" in GOLDEN:
        seen.scatter_(1, GOLDEN[f"{original}/seen"], True)
    sampling = Sampling(top_p_first=original == "gpt_sovits", **OPTIONS[original][index])
    # Where all logits are equal, top-p of the original kept those that an unstable sort happened to put first.
    kept = (logits != logits[:, :1]).any(1) | (sampling.top_p == 1)
    return logits[kept], seen[kept], sampling, GOLDEN[f"{original}/{index}"][kept]


def drawn_from(logits: Tensor, seen: Tensor, sampling: list[Sampling], noise: Tensor) -> Steps:
    """One draw a row by the op: a head whose column b holds the logits of row b."""
    batch, vocabulary = logits.shape
    shape = DecoderShape(1, 64, 2, 8, vocabulary, vocabulary, 1)
    weights = {name: torch.zeros(sizes) for name, sizes in shape.tensors().items()}
    weights["head.weight"][:, :batch] = logits.T
    state = torch.zeros(5, batch, dtype=torch.int32)
    state[2] = -1
    pages = torch.zeros(batch, 1, dtype=torch.int32)
    rows = DecoderRows(state, torch.eye(64)[:batch].contiguous(), seen.clone(), pages)
    cache = DecoderCache.empty(shape, 1, 1, torch.float32)
    return decode_step(pack_decoder(shape, weights, "float32"), cache, rows, sampling_rows(sampling), noise)


@pytest.mark.parametrize(("original", "index"), CASES)
def test_the_distribution_is_the_original_one(original: str, index: int) -> None:
    logits, seen, sampling, wanted = golden(original, index)
    rows = sampling_rows([sampling])
    for row in range(len(logits)):
        left, _ = filtered(logits[row].clone(), seen[row], rows.settings[0], rows.rules[0], 0)
        shares = torch.softmax(left, 0)
        assert torch.equal(shares > 0, wanted[row] > 0)
        assert torch.allclose(shares, wanted[row], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("original", "index"), CASES)
def test_the_kernel_draws_from_it(original: str, index: int) -> None:
    logits, seen, sampling, wanted = golden(original, index)
    random = torch.Generator().manual_seed(index)
    draws = 20
    rows = len(logits)
    for _ in range(draws):
        noise = -torch.rand(1, rows, logits.shape[1], generator=random).log()
        found = drawn_from(logits, seen, [sampling] * rows, noise)
        race = wanted / noise[0]
        two = race.topk(2, dim=1).values
        clear = two[:, 0] > two[:, 1] * (1 + 1e-5)
        tokens = found.tokens[:, 0].long()
        assert torch.equal(tokens[clear], race.argmax(1)[clear])
        shares = wanted.gather(1, tokens[:, None])[:, 0]
        assert torch.allclose(found.logprobs[:, 0], shares.log(), atol=2e-4)


@pytest.mark.parametrize(("original", "index"), CASES)
def test_uniform_noise_inverts_the_sum(original: str, index: int) -> None:
    logits, seen, sampling, wanted = golden(original, index)
    rows = len(logits)
    total = wanted.double().cumsum(1)
    for share in (0.0, 0.25, 0.5, 0.9, 0.999999):
        tokens = drawn_from(logits, seen, [sampling] * rows, torch.full((1, rows, 1), share)).tokens[:, 0].long()
        before = torch.where(tokens > 0, total.gather(1, (tokens - 1).clamp(min=0)[:, None])[:, 0], 0)
        assert (wanted.gather(1, tokens[:, None]) > 0).all()
        assert (before <= share + 1e-5).all()
        assert (total.gather(1, tokens[:, None])[:, 0] >= share - 1e-5).all()


def test_the_end_token_is_cut_before_the_minimum() -> None:
    """GPT-SoVITS cuts the last column in its first steps; its own noise gives its own tokens."""
    logits, seen = GOLDEN["gpt_sovits/logits"], golden("gpt_sovits", 0)[1]
    noise = torch.cat((GOLDEN["gpt_sovits/noise"], torch.ones(3, 1)), 1)
    # The recorded distribution decides which options these were: those whose shares it equals.
    for options in OPTIONS["gpt_sovits"]:
        sampling = Sampling(top_p_first=True, end_token=1024, min_tokens=11, **options)
        rows = sampling_rows([sampling])
        left = torch.stack(
            [
                torch.softmax(filtered(logits[row].clone(), seen[row], rows.settings[0], rows.rules[0], 0)[0], 0)
                for row in range(3)
            ]
        )
        if torch.allclose(left[:, :1024], GOLDEN["gpt_sovits/no_end"], atol=1e-6):
            found = drawn_from(logits, seen, [sampling] * 3, noise[None])
            assert found.tokens[:, 0].tolist() == GOLDEN["gpt_sovits/token"].tolist()
            return
    pytest.fail("no options leave the recorded distribution")


def test_each_row_has_its_own_settings() -> None:
    logits, seen, _, _ = golden("gpt_sovits", 0)
    chosen = [golden("gpt_sovits", index)[2] for index in range(12)]
    noise = -torch.rand(1, 12, 1025, generator=torch.Generator().manual_seed(3)).log()
    together = drawn_from(logits[:1].repeat(12, 1), seen[:1].repeat(12, 1), chosen, noise)
    for row, sampling in enumerate(chosen):
        alone = drawn_from(logits[:1], seen[:1], [sampling], noise[:, row : row + 1].contiguous())
        assert torch.equal(alone.tokens[0], together.tokens[row])
        assert torch.equal(alone.logprobs[0], together.logprobs[row])


def test_edges() -> None:
    tied = torch.zeros(1, 33)
    none = torch.zeros(1, 33, dtype=torch.bool)
    for sampling, reach in ((Sampling(top_k=1), 33), (Sampling(top_p=0.0), 1), (Sampling(top_p=0.5), 17),
                            (Sampling(top_p=0.5, top_p_first=True), 16)):  # fmt: skip
        drawn = set()
        for token in range(33):
            noise = torch.ones(1, 1, 33)
            noise[0, 0, token] = 1e-6
            drawn.add(int(drawn_from(tied, none, [sampling], noise).tokens))
        assert drawn == set(range(reach)), sampling
    impossible = torch.full((1, 33), -torch.inf)
    impossible[0, 7] = 0
    assert int(drawn_from(impossible, none, [Sampling(end_token=7)], torch.ones(1, 1, 33)).tokens) == 7
    nothing = drawn_from(impossible, none, [Sampling(end_token=7, min_tokens=1)], torch.ones(1, 1, 33))
    assert int(nothing.tokens) == -1
    rows = sampling_rows([Sampling(end_token=7, min_tokens=1)])
    assert draw(impossible[0].clone(), none[0], rows.settings[0], rows.rules[0], 0, torch.ones(33)).token == -1
    assert (keep_top_p(torch.tensor([0.0, 3.0, 1.0]), 0.0, inclusive=True) > -torch.inf).tolist() == [
        False,
        True,
        False,
    ]
