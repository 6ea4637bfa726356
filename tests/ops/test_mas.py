"""The alignment search: golden paths of the original, kernels against the reference, odd shapes, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from voiceclone import ops
from voiceclone.ops import Alignment, mas, reference
from voiceclone.ops.mas import Layout

#: Paths that the Cython search of jaywalnut310/vits found: "NAME/value", "/frames", "/tokens", "/index".
GOLDEN = load_file(Path(__file__).with_name("golden_mas.safetensors"))
CASES = sorted({name.split("/")[0] for name in GOLDEN})
needs_native = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")


def by_reference(value: Tensor, frames: Tensor, tokens: Tensor) -> Alignment:
    return Alignment(*reference.mas(value, frames, tokens))


def check_equal(got: Alignment, wanted: Alignment) -> None:
    assert torch.equal(got.tokens, wanted.tokens), f"{got.tokens} is not {wanted.tokens}"
    assert torch.equal(got.durations, wanted.durations), f"{got.durations} is not {wanted.durations}"


def random_batch(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Values ``[B, T_mel, T_text]`` with ragged lengths, no sample with more tokens than frames."""
    batch, mel, text = shape
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, text + 1, (batch,), generator=random)
    frames = torch.stack([torch.randint(int(t), mel + 1, (), generator=random) for t in tokens])
    return torch.randn(batch, mel, text, generator=random), frames, tokens


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("layout", ["frames_tokens", "tokens_frames", "reference"])
def test_golden(name: str, layout: Layout | str) -> None:
    value, frames, tokens = (GOLDEN[f"{name}/{part}"] for part in ("value", "frames", "tokens"))
    if layout == "reference":
        found = by_reference(value, frames, tokens)
    elif layout == "frames_tokens":
        found = mas(value, frames, tokens, layout="frames_tokens")
    else:
        found = mas(value.transpose(1, 2).contiguous(), frames, tokens, layout="tokens_frames")
    index = GOLDEN[f"{name}/index"].int()
    columns = torch.arange(value.shape[2])
    check_equal(found, Alignment(index, (index[:, :, None] == columns).sum(1).int()))


@needs_native
@pytest.mark.parametrize("level", ["avx2", "plain", "off"])
def test_golden_on_lesser_machines(level: str) -> None:
    """The same cases in a process that was told to use less than this processor has."""
    environment = {**os.environ, **({"VOICECLONE_NATIVE": "off"} if level == "off" else {"VOICECLONE_CPU": level})}
    probe = "from voiceclone import ops; import sys; sys.stderr.write(str(ops.describe()))"
    code = f"import pytest, sys; {probe}; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = ["-q", "-p", "no:cacheprovider", "-k", "test_golden and not lesser", __file__]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-2000:]
    assert f"{3 * len(CASES)} passed" in result.stdout
    if level == "off":
        assert "none (switched off" in result.stderr
    elif ops.describe().cpu != "plain":
        assert f"CPU {level}" in result.stderr


@needs_native
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_with_the_reference(data: st.DataObject) -> None:
    batch = data.draw(st.integers(0, 4))
    mel, text = data.draw(st.integers(0, 70)), data.draw(st.integers(0, 50))
    lengths = st.lists(st.integers(0, mel), min_size=batch, max_size=batch)
    frames = torch.tensor(data.draw(lengths), dtype=torch.int32)
    lengths = st.lists(st.integers(0, text), min_size=batch, max_size=batch)
    tokens = torch.tensor(data.draw(lengths), dtype=torch.int32)
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    levels = data.draw(st.sampled_from([2, 5, 1 << 20]))  # few levels: most comparisons tie
    value = torch.randint(-levels, levels, (batch, mel, text), generator=random).float()
    if data.draw(st.booleans()) and value.numel():
        value.view(-1)[torch.randint(0, value.numel(), (3,), generator=random)] = torch.tensor(
            [float("nan"), float("inf"), -float("inf")]
        )
    wanted = by_reference(value, frames, tokens)
    check_equal(mas(value, frames, tokens, layout="frames_tokens"), wanted)
    check_equal(mas(value.transpose(1, 2).contiguous(), frames, tokens, layout="tokens_frames"), wanted)


def test_the_path_is_the_best_one() -> None:
    """Against all paths of a small problem, counted out."""
    value, _, _ = random_batch(1, 7, 4)
    found = mas(value, layout="frames_tokens")
    index = found.tokens[0].long()
    best = -float("inf")
    for bits in range(1 << 6):
        steps = torch.tensor([0] + [bits >> i & 1 for i in range(6)]).cumsum(0)
        if steps[-1] == 3:
            best = max(best, float(value[0, torch.arange(7), steps].sum()))
    assert float(value[0, torch.arange(7), index].sum()) == pytest.approx(best, abs=1e-5)
    assert index.tolist() == sorted(index.tolist())
    assert found.durations.sum() == 7
    assert found.durations.min() >= 1


@pytest.mark.parametrize("shape", [(3, 17, 9), (2, 129, 64), (5, 100, 31), (1, 200, 33), (40, 300, 150)])
def test_a_sample_alone_is_the_same_as_in_a_batch(shape: tuple[int, int, int]) -> None:
    value, frames, tokens = random_batch(*shape)
    for sample in range(shape[0]):  # padding is never read
        value[sample, frames[sample] :] = float("nan")
        value[sample, :, tokens[sample] :] = float("nan")
    together = mas(value, frames, tokens, layout="frames_tokens")
    for sample, (mel, text) in enumerate(zip(frames.tolist(), tokens.tolist(), strict=True)):
        alone = mas(value[sample : sample + 1, :mel, :text], layout="frames_tokens")
        one = slice(sample, sample + 1)
        check_equal(alone, Alignment(together.tokens[one, :mel], together.durations[one, :text]))
        assert (together.tokens[sample, mel:] == -1).all()
        assert (together.durations[sample, text:] == 0).all()


def test_threads_do_not_change_the_result() -> None:
    value, frames, tokens = random_batch(64, 700, 120)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = mas(value, frames, tokens, layout="frames_tokens")
        torch.set_num_threads(4)
        check_equal(mas(value, frames, tokens, layout="frames_tokens"), one)
    finally:
        torch.set_num_threads(before)


def test_any_strides_and_types() -> None:
    value, frames, tokens = random_batch(3, 40, 15)
    wanted = mas(value, frames, tokens, layout="frames_tokens")
    wide = torch.zeros(3, 80, 30)
    wide[:, ::2, ::2] = value
    check_equal(mas(wide[:, ::2, ::2], frames, tokens, layout="frames_tokens"), wanted)
    check_equal(mas(value.double(), frames.short(), tokens.long(), layout="frames_tokens"), wanted)
    half = value.bfloat16()
    check_equal(mas(half, layout="frames_tokens"), mas(half.float(), layout="frames_tokens"))
    kept = value.clone()
    mas(value, layout="frames_tokens")
    assert torch.equal(value, kept), "the caller's tensor was written to"


def test_empty_and_tokenless_samples() -> None:
    assert mas(torch.zeros(0, 5, 3), layout="frames_tokens").tokens.shape == (0, 5)
    assert mas(torch.zeros(2, 0, 3), layout="frames_tokens").durations.tolist() == [[0] * 3] * 2
    found = mas(torch.zeros(2, 4, 2), torch.tensor([4, 0]), torch.tensor([0, 2]), layout="frames_tokens")
    assert found.tokens.tolist() == [[-1] * 4] * 2
    assert found.durations.tolist() == [[0, 0]] * 2


def test_dense_paths() -> None:
    value, frames, tokens = random_batch(2, 12, 5)
    found = mas(value, frames, tokens, layout="frames_tokens")
    path = found.path("frames_tokens")
    assert path.shape == (2, 12, 5)
    assert path.dtype == torch.float32
    assert torch.equal(path.sum(2), (torch.arange(12) < frames[:, None]).float())
    assert torch.equal(path.sum(1).int(), found.durations)
    assert torch.equal(found.path("tokens_frames", torch.int8), path.transpose(1, 2).to(torch.int8))


def test_no_gradient_flows() -> None:
    value = torch.randn(1, 6, 3, requires_grad=True)
    assert not mas(value, layout="frames_tokens").tokens.requires_grad


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.zeros(4, 3), None, None), "three dimensions"),
        ((torch.zeros(1, 4, 3, dtype=torch.int32), None, None), "floating"),
        ((torch.zeros(2, 4, 3), torch.tensor([4]), None), r"frames must be integers of shape \[2\]"),
        ((torch.zeros(1, 4, 3), None, torch.tensor([1.0])), "tokens must be integers"),
        ((torch.zeros(1, 4, 3), torch.tensor([5]), None), "frames must be between 0 and 4"),
        ((torch.zeros(1, 4, 3), None, torch.tensor([-1])), "tokens must be between 0 and 3"),
    ],
)
def test_bad_arguments(arguments: tuple[Tensor, Tensor | None, Tensor | None], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mas(*arguments, layout="frames_tokens")


def test_the_layout_must_be_known() -> None:
    with pytest.raises(ValueError, match="layout must be"):
        mas(torch.zeros(1, 4, 3), layout="rows")  # type: ignore[arg-type]


def test_compiles_whole() -> None:
    value, frames, tokens = random_batch(3, 20, 7)
    compiled = torch.compile(lambda *args: mas(*args, layout="frames_tokens"), fullgraph=True, backend="aot_eager")
    check_equal(compiled(value, frames, tokens), mas(value, frames, tokens, layout="frames_tokens"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "shape", [pytest.param((1, 1, 1), id="smallest"), (3, 33, 12), (4, 300, 150), (2, 2100, 1100), (2, 700, 6500)]
)
@pytest.mark.parametrize("layout", ["frames_tokens", "tokens_frames"])
def test_the_gpu_agrees_with_the_cpu(shape: tuple[int, int, int], layout: Layout) -> None:
    batch, mel, text = shape
    random = torch.Generator().manual_seed(1)
    value = torch.randn(shape, generator=random)
    frames = torch.randint(0, mel + 1, (batch,), generator=random)
    tokens = torch.randint(0, text + 1, (batch,), generator=random)
    value = value if layout == "frames_tokens" else value.transpose(1, 2).contiguous()
    wanted = mas(value, frames, tokens, layout=layout)
    found = mas(value.cuda(), frames.cuda(), tokens.cuda(), layout=layout)
    check_equal(Alignment(found.tokens.cpu(), found.durations.cpu()), wanted)
