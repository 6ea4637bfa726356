"""The measurements, each taken by a client in a process of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

import grpc
import numpy as np

from voiceclone._proto.v1 import speech_service_pb2 as speech
from voiceclone.client import AsyncClient, Audio, Consent, Header, Summary
from voiceclone.client.channel import Stubs

SENTENCE = "The old clock in the hall struck nine, and nobody in the house was listening."
WORD = "Hi."
#: A chunk later than this after its turn is heard as a gap, in seconds.
LATE = 0.06


@dataclass(frozen=True)
class Target:
    """Where the measured process listens, and what it has loaded."""

    address: str
    bare: str
    model: str


def recording() -> tuple[np.ndarray, int]:
    """Something like speech, 3 s at 16 kHz; its content does not matter to speed."""
    seconds = np.arange(48_000) / 16_000
    pitch = np.cumsum(130 + 25 * np.sin(2 * np.pi * 0.7 * seconds)) / 16_000
    voiced = sum(np.sin(2 * np.pi * harmonic * pitch) / harmonic for harmonic in range(1, 20))
    return np.float32(0.1 * voiced * np.clip(3 * np.sin(2 * np.pi * 2 * seconds), 0, 1)), 16_000


async def enrol(target: Target) -> None:
    async with AsyncClient(target.address) as client:
        for voice, model in (("tone", "tone"), ("speaker", target.model)):
            await client.clone(voice, recording(), consent=Consent("Nobody", "synthetic_speaker"), model=model)


async def overhead(target: Target, calls: int) -> dict[str, Any]:
    """What a call of one word costs beside the engine behind bare gRPC and an echo of as many bytes.

    The three are called in an order drawn anew each round: who comes after whom decides what is in the caches.
    """
    async with grpc.aio.insecure_channel(target.address) as ours, grpc.aio.insecure_channel(target.bare) as bare:
        stubs = Stubs(ours)
        request = speech.SynthesizeRequest(voice="voices/tone", input=speech.SynthesisInput(text=WORD))
        size = str((await stubs.speech.Synthesize(request)).ByteSize()).encode()
        echo, engine, cpu = (bare.unary_unary(f"/bare/{name}") for name in ("echo", "engine", "cpu"))
        kinds: dict[str, Callable[[], Awaitable[Any]]] = {
            "call": lambda: stubs.speech.Synthesize(request),
            "engine": lambda: engine(WORD.encode()),
            "echo": lambda: echo(size),
        }

        async def cpu_of(call: Callable[[], Awaitable[Any]]) -> float:
            begin = float(await cpu(b""))
            for _ in range(calls):
                await call()
            return (float(await cpu(b"")) - begin) / calls

        source = random.Random(1)
        waits: dict[str, list[float]] = {name: [] for name in kinds}
        for index in range(calls + 50):
            for name in source.sample(list(kinds), len(kinds)):
                begin = time.perf_counter()
                await kinds[name]()
                if index >= 50:  # the first ones warm up
                    waits[name].append(time.perf_counter() - begin)
        figures = {name: median(values) * 1e3 for name, values in waits.items()}
        return {
            "calls": calls,
            **{f"{name}_p50_ms": value for name, value in figures.items()},
            "overhead_p50_ms": figures["call"] - figures["engine"],
            **{f"{name}_server_cpu_us": await cpu_of(call) * 1e6 for name, call in kinds.items()},
        }


async def first_audio(target: Target, calls: int) -> dict[str, Any]:
    """Time to first audio and real-time factor of one sentence at a time, seen by the client."""
    async with AsyncClient(target.address) as client:
        waits, factors = [], []
        for index in range(calls + 3):
            begin, first, rate = time.perf_counter(), 0.0, 1
            async for event in client.stream(SENTENCE, "speaker", seed=index, max_lead=600.0):
                if isinstance(event, Header):
                    rate = event.sample_rate
                elif isinstance(event, Audio) and not first:
                    first = time.perf_counter() - begin
                elif isinstance(event, Summary) and index >= 3:  # the first ones warm up
                    waits.append(first)
                    factors.append((time.perf_counter() - begin) * rate / event.sample_count)
        p95 = quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
        return {
            "calls": calls,
            "ttfa_p50_ms": median(waits) * 1e3,
            "ttfa_p95_ms": p95 * 1e3,
            "rtf_p50": median(factors),
        }


async def listen(client: AsyncClient, seconds: float, seed: int) -> float:
    """Play a long text in real time; the worst lateness of a chunk in seconds, negative where all came early."""
    text = " ".join([SENTENCE] * (1 + int(seconds / 4)))
    start, rate, worst, end = 0.0, 1, -1.0, time.perf_counter() + seconds
    async for event in client.stream(text, "speaker", seed=seed, max_lead=1.0, min_chunk=0.08):
        now = time.perf_counter()
        if isinstance(event, Header):
            rate = event.sample_rate
        elif isinstance(event, Audio):
            start = start or now
            worst = max(worst, now - start - event.start_sample / rate)
        if now > end:
            break
    return worst


async def sustained(target: Target, seconds: float, counts: Sequence[int]) -> dict[str, Any]:
    """Streams at once of which no chunk comes late; doubles until one does."""
    rows, best = [], 0
    for count in counts:
        async with AsyncClient(target.address) as client:
            worst = max(await asyncio.gather(*(listen(client, seconds, seed) for seed in range(count))))
        rows.append({"streams": count, "worst_lateness_ms": worst * 1e3})
        if worst > LATE:
            break
        best = count
    return {"seconds": seconds, "late_ms": LATE * 1e3, "streams": best, "steps": rows}


async def overhead_alone(target: Target, calls: int) -> dict[str, Any]:
    await enrol(target)
    return await overhead(target, calls)


async def everything(target: Target, calls: int, seconds: float) -> dict[str, Any]:
    await enrol(target)
    return {
        "target": asdict(target),
        "overhead": await overhead(target, calls),
        "first_audio": await first_audio(target, max(calls // 10, 5)),
        "sustained": await sustained(target, seconds, (1, 2, 4, 8, 16, 32, 64)),
    }
