"""Batches of utterances of similar length, the same ones for the same seed and step however often a run was stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voiceclone_vits.training.forward import Batch
from voiceclone_vits.training.store import Store

#: Batches whose utterances are sorted together: larger pools pad less and repeat more often in the same company.
_POOL = 16


class Batches:
    """Which utterances each step learns from. ``world`` processes share a step; this one is ``rank``."""

    def __init__(
        self, indices: Sequence[int], frames: Sequence[int], size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        if not indices:
            raise ValueError("there is no utterance to make batches of")
        self.indices, self.frames = np.asarray(indices), np.asarray(frames)
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @property
    def per_epoch(self) -> int:
        """Steps in which every utterance comes up once, the last few of an epoch together with repeated ones."""
        return max(1, -(-len(self.indices) // (self.size * self.world)))

    def epoch(self, step: int) -> int:
        return step // self.per_epoch

    def at(self, step: int) -> list[int]:
        """This process's utterances in ``step``."""
        together = self._order(self.epoch(step))[step % self.per_epoch]
        return [int(index) for index in together[self.rank :: self.world]]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        """``[steps, size * world]``: shuffled, then sorted by length within pools, then the steps shuffled."""
        rng = np.random.default_rng([self.seed, epoch])
        group = self.size * self.world
        order = np.resize(rng.permutation(len(self.indices)), self.per_epoch * group)
        pools = [
            part[np.argsort(self.frames[self.indices[part]], kind="stable")]
            for part in np.split(order, range(_POOL * group, len(order), _POOL * group))
        ]
        steps = self.indices[np.concatenate(pools)].reshape(self.per_epoch, group)
        return rng.permutation(steps)


class Collator:
    """Utterances of a store to padded tensors. ``speakers``: a number or a vector of each speaker, by name."""

    def __init__(
        self, store: Store, pad: int, speakers: Mapping[str, int | Tensor] | None = None, language: int | None = None
    ) -> None:
        self.store, self.pad, self.speakers, self.language = store, pad, speakers, language

    def __call__(self, indices: Sequence[int]) -> Batch:
        store, pad = self.store, self.pad
        audio = [np.pad(samples, pad, mode="reflect" if len(samples) > pad else "constant")
                 for samples in map(store.audio, indices)]  # fmt: skip
        tokens = [torch.tensor(store.tokens[index]) for index in indices]
        speakers = None
        if self.speakers is not None:
            speakers = torch.stack([torch.as_tensor(self.speakers[store.lines[index].speaker]) for index in indices])
        return Batch(
            tokens=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
            token_counts=torch.tensor([len(ids) for ids in tokens]),
            padded_audio=torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in audio], batch_first=True),
            frames=torch.tensor([store.frames[index] for index in indices]),
            speakers=speakers,
            languages=None if self.language is None else torch.full((len(indices),), self.language),
        )


def prefetch(collate: Collator, batches: Batches, step: int, threads: int, pinned: bool = False) -> Iterator[Batch]:
    """Batches from ``step`` on, made ahead by ``threads`` (0: when they are asked for)."""

    def make(number: int) -> Batch:
        batch = collate(batches.at(number))
        return _pin(batch) if pinned else batch

    if threads == 0:
        while True:
            yield make(step)
            step += 1
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        ahead: deque[Future[Batch]] = deque(pool.submit(make, step + offset) for offset in range(2 * threads))
        step += len(ahead)
        try:
            while True:
                batch = ahead.popleft().result()
                ahead.append(pool.submit(make, step))
                step += 1
                yield batch
        finally:
            for future in ahead:
                future.cancel()


def _pin(batch: Batch) -> Batch:
    """Page-locked copies: only from such memory does a transfer to a GPU not wait."""
    values = (getattr(batch, name) for name in batch.__slots__)
    return Batch(*(value if value is None else value.pin_memory() for value in values))
