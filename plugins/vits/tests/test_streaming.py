"""Pieces equal the whole, batches equal their rows, seeds equal themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from voiceclone_vits.checkpoint import read_checkpoint
from voiceclone_vits.model import VitsModel
from voiceclone_vits.net import Vits
from voiceclone_vits.options import VitsOptions
from voiceclone_vits.streaming import LatentStream, decode_frames, flow_context
from voiceclone_vits.synthesis import Controls, Planned, decode, expand, plan, row_noise

from voiceclone import Chunk, Utterance
from voiceclone.nn.hifigan_inference import PackedGenerator

from .conftest import GOLDEN

TEXT = "The birch canoe slid on the smooth planks, and nobody saw it go."


@pytest.fixture(scope="module")
def model(several: Path) -> VitsModel:
    return VitsModel(read_checkpoint(several))


def prepared(net: Vits, counts: list[int], seed: int = 1) -> tuple[Planned, Tensor, Tensor]:
    """A padded batch of ``counts`` tokens: its plan, latent and mask."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(len(counts), max(counts), dtype=torch.int64)
    for row, count in enumerate(counts):
        tokens[row, :count] = torch.randint(1, net.config.text.vocabulary, (count,), generator=generator)
    controls, noise = Controls(), row_noise([torch.Generator().manual_seed(row) for row in range(len(counts))])
    planned = plan(net, tokens, torch.tensor(counts), controls, noise, speakers=torch.arange(len(counts)) % 3)
    prior = expand(planned, controls, noise)
    return planned, net.flow(prior.z_p, prior.mask, planned.g, reverse=True), prior.mask


@torch.inference_mode()
@pytest.mark.parametrize("size", [1, 7, 40])
def test_pieces_equal_the_whole(model: VitsModel, size: int) -> None:
    planned, z, _ = prepared(model.net, [30])
    whole = decode(model.net, z, planned.frames, planned.g, decoder=model.decoder)[0]
    controls, noise = Controls(), row_noise([torch.Generator().manual_seed(0)])
    noise(torch.empty(1, 2, 30), torch.tensor([30]))  # what the durations drew
    stream = LatentStream(model.net, expand(planned, controls, noise), planned.g)
    ends = [*range(size, stream.frames, size), stream.frames]
    pieces = [decode_frames(model.decoder, stream, end - (end - 1) % size - 1, end, planned.g) for end in ends]
    joined = torch.cat(pieces)
    assert joined.shape == whole.shape
    # The decoder gives the very bits; the flow, computed in two windows, may round another way.
    assert (joined - whole).abs().max() <= 1e-5
    assert flow_context(model.config.flow) == 32


@torch.inference_mode()
def test_a_batch_equals_its_rows(model: VitsModel) -> None:
    counts = [30, 3, 12]
    planned, z, _ = prepared(model.net, counts)
    together = decode(model.net, z, planned.frames, planned.g, decoder=model.decoder)
    leaked = decode(model.net, z, planned.frames, planned.g, leak=True)
    generator = torch.Generator().manual_seed(1)
    tokens = [torch.randint(1, model.config.text.vocabulary, (1, count), generator=generator) for count in counts]
    for row, count in enumerate(counts):
        controls, noise = Controls(), row_noise([torch.Generator().manual_seed(row)])
        own = plan(model.net, tokens[row], torch.tensor([count]), controls, noise, speakers=torch.tensor([row % 3]))
        prior = expand(own, controls, noise)
        z_own = model.net.flow(prior.z_p, prior.mask, own.g, reverse=True)
        alone = decode(model.net, z_own, own.frames, own.g, decoder=model.decoder)[0]
        assert alone.shape == together[row].shape
        assert (alone - together[row]).abs().max() <= 1e-5
    short = together[1]
    assert (short - leaked[1][: len(short)]).abs().max() > 1e-4, "the originals' padding is heard"


def say(model: VitsModel, text: str = TEXT, **more: object) -> list[Chunk]:
    voice = model.speaker_voice("1")
    session, chunks, done = model.open(Utterance(text, voice, **more)), [], False  # type: ignore[arg-type]
    while not done:
        (step,) = model.step([session])
        chunks += step.chunks
        done = step.done
    model.release(session)
    return chunks


def join(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_the_first_chunk_is_short_and_the_flow_does_not_run_ahead(model: VitsModel) -> None:
    session = model.open(Utterance(TEXT, model.speaker_voice("")))
    (step,) = model.step([session])
    assert 0 < len(step.chunks[0].samples) <= 0.3 * model.capabilities.sample_rate
    latent = session._latent
    assert latent is not None
    assert latent._z.shape[2] < latent.frames
    model.release(session)


def test_seeds_speakers_and_scales(model: VitsModel) -> None:
    one, same, other = (join(say(model, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    still = VitsOptions(noise_scale=0.0, duration_noise_scale=0.0)
    np.testing.assert_array_equal(join(say(model, seed=1, options=still)), join(say(model, seed=2, options=still)))
    by_name = join(say(model, seed=1, options=VitsOptions(speaker="2")))
    assert not np.array_equal(by_name, one)


def test_ids_and_symbols_are_said_as_they_stand(model: VitsModel) -> None:
    ids = join(say(model, "0 50 0 61 0", options=VitsOptions(text_form="ids")))
    symbols = model.frontend.symbols
    letters = "".join(symbol for symbol, numbers in symbols.ids.items() if numbers[0] in (50, 61))
    assert letters
    np.testing.assert_array_equal(ids, join(say(model, letters, options=VitsOptions(text_form="symbols"))))


@torch.inference_mode()
def test_other_flows_stream_too() -> None:
    """The plain duration predictor of transformers' layout, in pieces."""
    net = read_checkpoint(GOLDEN / "e_hf_vits_dp").build()
    controls, noise = Controls(), row_noise([torch.Generator().manual_seed(0)])
    planned = plan(net, torch.randint(0, 30, (1, 41)), torch.tensor([41]), controls, noise)
    prior = expand(planned, controls, noise)
    decoder = PackedGenerator(net.dec)
    z = net.flow(prior.z_p, prior.mask, None, reverse=True)
    whole = decode(net, z, planned.frames, None, decoder=decoder)[0]
    stream = LatentStream(net, prior, None)
    middle = stream.frames // 3
    pieces = [decode_frames(decoder, stream, *ends, None) for ends in ((0, middle), (middle, stream.frames))]
    # Waves near 1 of a latent near 1e2: the tolerance is that of the golden cases.
    assert (torch.cat(pieces) - whole).abs().max() <= 5e-5
