"""The PCM chunker: cuts change nothing, joints are where they are said to be, C++ and numpy agree bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from .conftest import NATIVE, PYTHON, needs_native

FLOATS = st.one_of(
    st.floats(-1.25, 1.25, width=32), st.sampled_from([float("nan"), float("inf"), -float("inf"), 2.0**126])
)
SEEDS = st.one_of(st.none(), st.integers(0, 2**64 - 1))


def rendered(made: Any, segments: list[list[float]], cuts: list[int], **options: Any) -> tuple[Any, list[int]]:
    """All samples of a stream whose segments are pushed in pieces of these lengths, and where its joints are."""
    chunker = made.PcmChunker(**options)
    out, joints, sizes = [], [], iter(cuts * 1000)
    for number, segment in enumerate(segments):
        if number:
            joints.append(chunker.join())
        rest = np.array(segment, np.float32)
        while len(rest):
            size = next(sizes)
            out.append(chunker.push(rest[:size]))
            rest = rest[size:]
            assert chunker.position == sum(map(len, out))
    out.append(chunker.finish())
    return np.concatenate(out), joints


def speech(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, count).astype(np.float32)


def test_rounding_saturates_and_takes_nan_for_silence(made: Any) -> None:
    given_samples = np.array([0, 1, -1, 2, -2, 0.5, -1.6 / 32768, np.nan, np.inf, -np.inf, 3e38], np.float32)
    found = made.to_pcm16(given_samples)
    assert found.dtype == np.int16
    assert found.tolist() == [0, 32767, -32768, 32767, -32768, 16384, -2, 0, 32767, -32768, 32767]


def test_dither_is_triangular_and_hides_the_steps(made: Any) -> None:
    count = 1 << 16
    noise = made.to_pcm16(np.zeros(count, np.float32), seed=5).astype(float)
    assert set(noise) == {-1.0, 0.0, 1.0}
    assert abs(noise.mean()) < 0.02
    assert noise.var() == pytest.approx(1 / 6 + 1 / 12, abs=0.01), "a triangle's variance and that of rounding"
    for level in (0.25, 0.5, 0.8):
        quiet = np.full(count, level / 32768, np.float32)
        assert made.to_pcm16(quiet, seed=5).mean() == pytest.approx(level, abs=0.02), "no level is lost"
        assert set(made.to_pcm16(quiet)) <= {0, 1}
    assert np.any(noise != made.to_pcm16(np.zeros(count, np.float32), seed=6))
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02


def test_dither_belongs_to_the_position(made: Any) -> None:
    samples = speech(1000)
    whole = made.to_pcm16(samples, seed=9, position=2**63)
    parts = [made.to_pcm16(samples[at : at + 77], seed=9, position=2**63 + at) for at in range(0, 1000, 77)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_equal_overlaps_join_without_a_trace(made: Any) -> None:
    samples = speech(500)
    segments = [samples[:200].tolist(), samples[180:350].tolist(), samples[330:].tolist()]
    found, joints = rendered(made, segments, [33], crossfade=20)
    assert joints == [180, 330]
    assert np.array_equal(found, made.to_pcm16(samples))


def test_a_crossfade_moves_evenly_from_one_to_the_other(made: Any) -> None:
    found, joints = rendered(made, [[0.5] * 100, [-0.5] * 100], [7], crossfade=40)
    assert joints == [60]
    assert len(found) == 160
    assert set(found[:60]) == {16384}
    assert set(found[100:]) == {-16384}
    faded = found[60:100].astype(int)
    assert (np.diff(faded) <= 0).all()
    assert np.abs(faded + faded[::-1]).max() <= 1, "the middle of the fade is its point of symmetry"
    assert np.abs(np.diff(found.astype(int))).max() < 1.6 * 32768 / 40


def test_no_crossfade_holds_nothing_back(made: Any) -> None:
    chunker = made.PcmChunker()
    assert len(chunker.push(speech(10))) == 10
    assert chunker.join() == 10
    assert len(chunker.push(speech(5))) == 5
    assert len(chunker.finish()) == 0


def test_segments_shorter_than_the_crossfade_have_a_meaning(made: Any) -> None:
    found, joints = rendered(made, [[0.1] * 5, [0.2] * 3, [], [0.3] * 50], [4], crossfade=20)
    assert joints == [0, 0, 0]
    assert len(found) == 50


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda made: made.PcmChunker(crossfade=-1), "crossfade must be 0 to 1048576 samples, got -1"),
        (lambda made: made.PcmChunker(seed=-1), "seed must be 0 to"),
        (lambda made: made.PcmChunker(seed=2**64), "seed must be 0 to"),
        (lambda made: made.to_pcm16(np.zeros((2, 2), np.float32)), "one dimension, got 2"),
        (lambda made: made.PcmChunker().push(np.zeros((2, 2), np.float32)), "one dimension, got 2"),
        (lambda made: made.to_pcm16(np.zeros(2, np.float32), None, -1), "position must be 0 to"),
    ],
)
def test_bad_arguments_are_named(made: Any, work: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        work(made)


@settings(max_examples=80, deadline=None)
@given(
    segments=st.lists(st.lists(FLOATS, max_size=60), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    crossfade=st.integers(0, 25),
    seed=SEEDS,
)
def test_cuts_change_nothing_and_cpp_agrees(
    segments: list[list[float]], cuts: list[int], crossfade: int, seed: int | None
) -> None:
    whole, joints = rendered(PYTHON, segments, [1 << 20], crossfade=crossfade, seed=seed)
    for made in (PYTHON, NATIVE) if NATIVE else (PYTHON,):
        found, found_joints = rendered(made, segments, cuts, crossfade=crossfade, seed=seed)
        assert np.array_equal(found, whole)
        assert found_joints == joints
    held = [min(len(segment), crossfade) for segment in segments[:-1]]
    if all(len(segment) >= 2 * crossfade for segment in segments):
        assert len(whole) == sum(map(len, segments)) - sum(held)


@needs_native
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, position=st.integers(0, 2**64 - 1), salt=st.integers(0, 99))
def test_any_position_agrees(seed: int | None, position: int, salt: int) -> None:
    samples = speech(300, salt)
    wanted = PYTHON.to_pcm16(samples, seed, position)
    assert np.array_equal(NATIVE.to_pcm16(samples, seed, position), wanted)
    assert np.array_equal(NATIVE.to_pcm16(samples.astype(np.float64)[::-1], seed, position),
                          PYTHON.to_pcm16(samples.astype(np.float64)[::-1], seed, position))  # fmt: skip
