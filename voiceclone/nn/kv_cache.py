"""The keys and values of decoded positions: preallocated pages for many rows, a prompt that several rows share once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from voiceclone.ops.attention import CacheLayer


class CacheFull(RuntimeError):
    """No free row or page is left, or a row is asked to be longer than its page table allows."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """Positions ``[0, length)`` that any number of rows begin with; made by :meth:`KVCache.share`."""

    pages: tuple[int, ...]
    length: int


@dataclass(slots=True)
class _Row:
    pages: list[int] = field(default_factory=list)  # those of the prefix first
    length: int = 0  # with the prefix
    prefix: Prefix | None = None

    @property
    def shared(self) -> int:
        return self.prefix.length if self.prefix else 0


class KVCache:
    """Keys and values ``[layers, pages, heads, page_size, head_dim]`` of up to ``rows`` sequences.

    A row owns pages, listed in its page table; with ``page_size`` as long as a row it is a slot. Memory is claimed once
    and never grows or moves. Lengths live on the host; :meth:`batch` makes the tensors that
    :func:`voiceclone.ops.attention_decode` reads. ``dtype`` is float32, bfloat16, float16, int8 (with a scale for each
    position and head) or float8_e4m3fn.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        head_dim: int,
        *,
        rows: int,
        capacity: int,
        page_size: int | None = None,
        pages: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Room for ``rows`` of ``capacity`` positions; by default slots, one page each.

        ``page_size`` cuts rows into pages; ``pages`` is their number (default: enough for every row at full length).
        Each shared prefix takes pages of its own, so ask for some more where prefixes are used.
        """
        if min(layers, heads, head_dim, rows, capacity) < 1:
            raise ValueError("layers, heads, head_dim, rows and capacity must be positive")
        self.page_size = capacity if page_size is None else page_size
        if self.page_size < 1:
            raise ValueError(f"page_size must be positive, got {page_size}")
        self.capacity = capacity
        a_row = -(-capacity // self.page_size)
        #: Entries of a page table: one more than the pages, because a prefix ends in a page that is not filled up.
        self.entries = a_row + 1
        count = rows * a_row if pages is None else pages
        shape = (layers, count, heads, self.page_size)
        self.keys = torch.zeros(*shape, head_dim, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        scales = shape if dtype == torch.int8 else (layers, 0)
        self.key_scales = torch.zeros(scales, device=device)
        self.value_scales = torch.zeros(scales, device=device)
        self._free_pages = list(range(count - 1, -1, -1))
        self._free_rows = list(range(rows - 1, -1, -1))
        self._rows: dict[int, _Row] = {}
        self._users: dict[Prefix, int] = {}

    @property
    def device(self) -> torch.device:
        return self.keys.device

    @property
    def free_pages(self) -> int:
        return len(self._free_pages)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.keys, self.values, self.key_scales, self.value_scales))

    def layer(self, index: int) -> CacheLayer:
        """The tensors of one layer, views of the whole."""
        return CacheLayer(self.keys[index], self.values[index], self.key_scales[index], self.value_scales[index])

    def open(self, prefix: Prefix | None = None) -> int:
        """A new row, empty or beginning with ``prefix``."""
        if not self._free_rows:
            raise CacheFull("every row of the cache is in use")
        row = _Row()
        if prefix is not None:
            self._users[prefix] += 1
            row = _Row(list(prefix.pages), prefix.length, prefix)
        index = self._free_rows.pop()
        self._rows[index] = row
        return index

    def length(self, row: int) -> int:
        """Positions that ``row`` holds, those of its prefix included."""
        return self._rows[row].length

    def reserve(self, row: int, count: int = 1) -> bool:
        """Give ``row`` pages for ``count`` more positions; whether its page table changed. All or nothing."""
        state = self._rows[row]
        own = state.length + count - state.shared
        wanted = -(-state.shared // self.page_size) + -(-own // self.page_size)
        if state.length + count > self.capacity:
            raise CacheFull(f"a row holds {self.capacity} positions, {state.length} + {count} were asked for")
        missing = wanted - len(state.pages)
        if missing > len(self._free_pages):
            raise CacheFull(f"{missing} pages are needed, {len(self._free_pages)} of the cache are free")
        for _ in range(missing):
            state.pages.append(self._free_pages.pop())
        return missing > 0

    def advance(self, row: int, count: int = 1) -> None:
        """Count positions that were appended."""
        self._rows[row].length += count

    def truncate(self, row: int, length: int) -> None:
        """Forget the positions from ``length`` on, as after tokens that were drafted in vain; pages stay with the row."""
        state = self._rows[row]
        if not state.shared <= length <= state.length:
            raise ValueError(f"length must be between {state.shared} and {state.length}, got {length}")
        state.length = length

    def share(self, row: int) -> Prefix:
        """Turn all that ``row`` holds into a prefix for rows to come; the row itself is gone."""
        state = self._rows[row]
        if state.prefix is not None:
            raise ValueError("the row itself begins with a shared prefix")
        used = -(-state.length // self.page_size)
        self._free_pages += state.pages[used:]
        prefix = Prefix(tuple(state.pages[:used]), state.length)
        self._users[prefix] = 1
        del self._rows[row]
        self._free_rows.append(row)
        return prefix

    def release(self, prefix: Prefix) -> None:
        """The prefix will start no more rows: its pages are free when the last row that begins with it closes."""
        self._users[prefix] -= 1
        if not self._users[prefix]:
            del self._users[prefix]
            self._free_pages += prefix.pages

    def close(self, row: int) -> None:
        """Give the row and its own pages back."""
        state = self._rows.pop(row)
        self._free_rows.append(row)
        self._free_pages += state.pages[len(state.prefix.pages) if state.prefix else 0 :]
        if state.prefix is not None:
            self.release(state.prefix)

    def batch(self, rows: Sequence[int], size: int | None = None) -> CacheBatch:
        """The rows as tensors, padded to ``size`` (for CUDA graphs of few sizes) with rows that append nothing."""
        return CacheBatch(self, rows, size)

    def _table(self, rows: Sequence[int], size: int) -> Tensor:
        table = torch.zeros(size, self.entries, dtype=torch.int32)
        for line, row in zip(table, rows, strict=False):
            pages = self._rows[row].pages
            line[: len(pages)] = torch.tensor(pages, dtype=torch.int32)
        return table.to(self.device)

    def _of_rows(self, values: Sequence[int], size: int) -> Tensor:
        padded = [*values, *[0] * (size - len(values))]
        return torch.tensor(padded, dtype=torch.int32, device=self.device)


class CacheBatch:
    """Some rows of a cache as ``attention_decode`` takes them; the tensors stay in place while the rows grow.

    ``pages`` ``[B, entries]``, ``lengths`` ``[B]``, ``shared`` ``[B]`` (None where no row has a prefix) and ``counts``
    ``[B]`` (None where every row takes part) are int32 on the cache's device.
    """

    def __init__(self, cache: KVCache, rows: Sequence[int], size: int | None = None) -> None:
        size = len(rows) if size is None else size
        if size < len(rows):
            raise ValueError(f"{len(rows)} rows do not fit a batch of {size}")
        self.cache = cache
        self.rows = tuple(rows)
        states = [cache._rows[row] for row in rows]
        self.pages = cache._table(rows, size)
        self.lengths = cache._of_rows([state.length for state in states], size)
        shared = [state.shared for state in states]
        self.shared = cache._of_rows(shared, size) if any(shared) else None
        self.counts = cache._of_rows([1] * len(rows), size) if size > len(rows) else None

    def reserve(self, count: int = 1) -> None:
        """Pages for ``count`` more positions of every row."""
        if any([self.cache.reserve(row, count) for row in self.rows]):
            self.pages.copy_(self.cache._table(self.rows, self.pages.shape[0]))

    def advance(self, counts: int | Sequence[int] = 1) -> None:
        """Count what every layer has appended, the same for each row or one number a row."""
        if isinstance(counts, int):
            self.lengths[: len(self.rows)] += counts
            counts = [counts] * len(self.rows)
        else:
            self.lengths += self.cache._of_rows(counts, self.lengths.shape[0])
        for row, count in zip(self.rows, counts, strict=True):
            self.cache.advance(row, count)
