"""Token by token what GPT-SoVITS, VALL-E, VALL-E X and XTTS wrote, from their own weight files."""

from __future__ import annotations

import original_decoders as originals
import pytest
import torch
from original_decoders import FIXTURES
from torch import Tensor

from voiceclone.nn.decoder import Decoder
from voiceclone.ops import Sampling
from voiceclone.ops.decode_step import DONE, END, LIMIT

pytestmark = pytest.mark.skipif(not FIXTURES.exists(), reason=f"no recorded runs in {FIXTURES}")
S1 = "gpt_sovits/open/a_s1"


def run(decoder: Decoder, slot: int, sampling: Sampling, noise: Tensor) -> tuple[list[int], Tensor, int]:
    """Tokens and hiddens of one row in chunks of 16 steps, and why it ended."""
    tokens: list[int] = []
    hiddens = []
    for chunk in noise.split(16):
        found = decoder.run([slot], [sampling], chunk)
        drawn = found.tokens[0][found.tokens[0] >= 0].tolist()
        tokens += drawn
        hiddens.append(found.hiddens[0, : len(drawn)])
        if decoder.state[DONE, slot]:
            break
    return tokens, torch.cat(hiddens), int(decoder.state[DONE, slot])


def logits(decoder: Decoder, hidden: Tensor) -> Tensor:
    weight, bias = decoder._dense["head.weight"], decoder._dense["head.bias"]
    return torch.nn.functional.linear(hidden, weight, bias)


def check_close(found: Tensor, wanted: Tensor) -> None:
    assert float((found - wanted).abs().max()) <= 1e-4 + 1e-4 * float(wanted.abs().max())


@pytest.fixture(scope="module")
def s1() -> tuple[dict[str, object], Decoder]:
    checkpoint = originals.weights_of(f"{S1}/s1.ckpt")
    return checkpoint, originals.gpt_sovits(checkpoint, slots=3, capacity=320)


def s1_sampling(**options: object) -> Sampling:
    return Sampling(end_token=1024, min_tokens=11, top_p_first=True, end_on_argmax=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["greedy", "sampled", "noprompt"])
def test_gpt_sovits(s1: tuple[dict[str, object], Decoder], name: str) -> None:
    checkpoint, decoder = s1
    io = originals.case(S1, f"io_{name}.safetensors")
    prompt = io.get("prompt")
    x = originals.gpt_sovits_prompt(checkpoint, io["phones"], io["bert"], prompt)
    if name == "greedy":
        check_close(x, io["prefill_xy_pos"][0])
    start = 0 if prompt is None else len(prompt)
    hidden = decoder.prefill(0, x, prefix=len(io["phones"]), position=start, seen=prompt)
    if name == "sampled":
        noise = io["q_noise"].clone()[:, None]
        # The originals cut the end token's column in the first steps and drew one number fewer.
        noise[:11, :, 1024] = 1.0
        sampling = s1_sampling(top_k=15, top_p=0.92, temperature=0.85, repetition_penalty=1.2)
    else:
        noise = torch.ones(200, 1, 1025)
        sampling = s1_sampling(top_k=1, repetition_penalty=1.35, max_tokens=31 if name == "noprompt" else 0)
    tokens, hiddens, done = run(decoder, 0, sampling, noise)
    if done == END:
        tokens.pop()
    assert tokens == io["y"][start:].tolist()
    assert done == (LIMIT if name == "noprompt" else END)
    if name == "greedy":
        check_close(hidden, io["prefill_hidden"][0])
        check_close(logits(decoder, hiddens)[11:], io["logits_raw"][11:])


def test_gpt_sovits_ragged_batch(s1: tuple[dict[str, object], Decoder]) -> None:
    checkpoint, decoder = s1
    io = originals.case(S1, "io_batched.safetensors")
    for row in range(3):
        x = originals.gpt_sovits_prompt(checkpoint, io[f"phones.{row}"], io[f"bert.{row}"], io["prompt"])
        decoder.prefill(
            row, x, prefix=len(io[f"phones.{row}"]), position=len(io["prompt"]), seen=io["prompt"]
        )  # fmt: skip
    sampling = s1_sampling(top_k=1, repetition_penalty=1.35, max_tokens=111)
    found = decoder.run([0, 1, 2], [sampling] * 3, torch.ones(111, 3, 1025))
    for row in range(3):
        tokens = found.tokens[row][found.tokens[row] >= 0].tolist()
        if decoder.state[DONE, row] == END:
            tokens.pop()
        assert tokens == io[f"naive_y.{row}"][len(io["prompt"]) :].tolist()


def test_vall_e() -> None:
    name = "codec_lm/open/valle"
    found = originals.weights_of(f"{name}/best-valid-loss.pt")
    weights = found.get("model", found)
    io = originals.case(name)
    decoder = originals.vall_e(weights, 2, slots=1, capacity=320)
    text, audio = io["x"][0], io["y_prompt"][0, :, 0]
    decoder.prefill(0, originals.vall_e_prompt(weights, text, audio), prefix=len(text), position=len(audio))
    sampling = Sampling(top_k=1, end_token=1024, end_on_argmax=True, max_tokens=16 * len(text) + 1)
    tokens, hiddens, done = run(decoder, 0, sampling, torch.ones(300, 1, 1025))
    assert done == END
    assert tokens[:-1] == io["mode0.codes"][0, :, 0].tolist()
    steps = io["ar_logits_steps"]
    check_close(logits(decoder, hiddens)[steps], io["ar_logits"])


@pytest.mark.parametrize("name", ["eos", "cap"])
def test_vall_e_x(name: str) -> None:
    folder = "codec_lm/open/vallex"
    weights = originals.weights_of(f"{folder}/vallex-checkpoint.pt")["model"]
    io = originals.case(folder)
    if name == "cap":
        weights["ar_predict_layer.weight"][1024] = io["cap.ar_predict_eos_row"]
    decoder = originals.vall_e(weights, 2, slots=1, capacity=320)
    text, prompt = io["x"][0], io["y_prompt"][0, :, 0].long()
    audio = torch.cat((torch.tensor([1025]), prompt))  # a start token comes before the prompt
    languages = torch.tensor([1] * 9 + [0] * 4 + [2] * 3)
    x = originals.vall_e_prompt(weights, text, audio, languages)
    decoder.prefill(0, x, prefix=len(text), position=len(audio))
    sampling = Sampling(top_k=1, end_token=1024, max_tokens=16 * len(text))
    tokens, hiddens, done = run(decoder, 0, sampling, torch.zeros(300, 1, 1))
    tokens = tokens[:-1] if done == END else tokens
    assert done == (END if name == "eos" else LIMIT)
    assert tokens == io[f"{name}.codes"][0, :, 0].tolist()
    steps = io[f"{name}.ar_logits_steps"]
    kept = steps[steps < len(hiddens)]
    check_close(logits(decoder, hiddens)[kept], io[f"{name}.ar_logits"][: len(kept)])


@pytest.mark.parametrize(("name", "penalty"), [("rp1", 1.0), ("rp10", 10.0)])
def test_xtts(name: str, penalty: float) -> None:
    folder = "codec_lm/open/xtts"
    found = originals.weights_of(f"{folder}/model.pth")
    weights = found.get("model", found)
    io = originals.case(folder)
    decoder = originals.xtts(weights, 2, slots=1, capacity=320)
    text = torch.cat((torch.tensor([108]), io["text_tokens"][0], torch.tensor([0])))
    x = originals.xtts_prompt(weights, io["gpt_cond_latent"][0], text, 1024)
    # The original counts its prefix as ids 1, and the start of audio.
    decoder.prefill(0, x, position=1, seen=torch.tensor([1, 1024]))
    sampling = Sampling(top_k=1, end_token=1025, repetition_penalty=penalty, max_tokens=140)
    tokens, hiddens, done = run(decoder, 0, sampling, torch.ones(160, 1, 1026))
    wanted = io[f"{name}.codes"][0].tolist()
    assert done == END
    assert tokens[: len(wanted)] == wanted
    check_close(hiddens[: len(wanted)], io[f"{name}.latents"][0])
    steps = io[f"{name}.logits_steps"]
    check_close(logits(decoder, hiddens)[steps], io[f"{name}.logits"])
