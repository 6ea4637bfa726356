"""The KV cache: who owns which page, prefixes stored once, nothing that moves."""

from __future__ import annotations

import pytest
import torch

from voiceclone.nn.kv_cache import CacheFull, KVCache


def test_a_slot_cache_is_one_page_a_row() -> None:
    cache = KVCache(2, 3, 32, rows=2, capacity=10)
    assert cache.keys.shape == (2, 2, 3, 10, 32)
    first, second = cache.open(), cache.open()
    with pytest.raises(CacheFull, match="every row"):
        cache.open()
    batch = cache.batch([first, second], size=3)
    batch.reserve(10)
    assert batch.pages[0, 0] != batch.pages[1, 0]
    assert batch.counts is not None
    assert batch.counts.tolist() == [1, 1, 0]
    batch.advance([10, 4])
    assert batch.lengths.tolist() == [10, 4, 0]
    with pytest.raises(CacheFull, match="holds 10 positions"):
        cache.reserve(first)
    cache.truncate(second, 2)
    assert cache.length(second) == 2


def test_pages_come_when_they_are_needed_and_go_back() -> None:
    cache = KVCache(1, 1, 8, rows=4, capacity=40, page_size=8, pages=6)
    row = cache.open()
    batch = cache.batch([row])
    table = batch.pages.data_ptr()
    for _ in range(17):
        batch.reserve()
        batch.advance()
    assert batch.pages.data_ptr() == table
    assert cache.free_pages == 3
    other = cache.open()
    with pytest.raises(CacheFull, match="4 pages are needed, 3 are free"):
        cache.reserve(other, 25)
    assert cache.free_pages == 3
    cache.close(row)
    cache.close(other)
    assert cache.free_pages == 6


def test_a_prefix_is_stored_once_and_freed_with_its_last_user() -> None:
    cache = KVCache(1, 1, 8, rows=4, capacity=40, page_size=8)
    row = cache.open()
    cache.reserve(row, 40)
    cache.advance(row, 11)
    free = cache.free_pages
    prefix = cache.share(row)
    assert (prefix.length, len(prefix.pages)) == (11, 2)
    assert cache.free_pages == free + 3
    rows = [cache.open(prefix) for _ in range(3)]
    batch = cache.batch(rows)
    batch.reserve(9)
    assert batch.shared is not None
    assert batch.shared.tolist() == batch.lengths.tolist() == [11, 11, 11]
    assert (batch.pages[:, :2] == torch.tensor(prefix.pages)).all()
    assert batch.pages[:, 2:4].unique().numel() == 6
    with pytest.raises(ValueError, match="begins with a shared prefix"):
        cache.share(rows[0])
    with pytest.raises(ValueError, match="between 11 and 11"):
        cache.truncate(rows[0], 5)
    cache.release(prefix)
    for each in rows:
        cache.close(each)
    assert cache.free_pages == 20


def test_scales_stand_beside_int8_only() -> None:
    assert KVCache(1, 2, 8, rows=1, capacity=4, dtype=torch.int8).layer(0).key_scales.shape == (1, 2, 4)
    assert KVCache(1, 2, 8, rows=1, capacity=4).layer(0).key_scales.numel() == 0
    with pytest.raises(ValueError, match="must be positive"):
        KVCache(0, 2, 8, rows=1, capacity=4)
