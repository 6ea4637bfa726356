"""Who uses which page of a KV cache: reference counts, page tables that share prefixes, when a page must be copied.

No memory is owned here but the bookkeeping; a page is a number. Every operation is constant time a page it touches, and
one that raises changes nothing. `csrc/host/pages.cpp` is the same in C++: results are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


class Exhausted(RuntimeError):
    """More pages are needed than are free: wait until a sequence closes, or refuse."""


class Pages:
    """A pool of pages, or of slots, with a reference count each. The page given back last is taken first."""

    def __init__(self, count: int) -> None:
        _require(count >= 0, f"a pool must have 0 pages or more, got {count}")
        self._references = [0] * count
        self._free = list(range(count - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._references)

    @property
    def free(self) -> int:
        """Pages that nobody uses."""
        return len(self._free)

    def references(self, page: int) -> int:
        """How many use ``page``; 0 where it is free."""
        _require(0 <= page < len(self._references), f"there is no page {page}")
        return self._references[page]

    def take(self, count: int = 1) -> list[int]:
        """Take ``count`` pages with one reference each. Raises Exhausted, and takes none, where fewer are free."""
        _require(count >= 0, f"cannot take {count} pages")
        if count > len(self._free):
            raise Exhausted(f"{count} pages are needed, {len(self._free)} are free")
        taken = [self._free.pop() for _ in range(count)]
        for page in taken:
            self._references[page] = 1
        return taken

    def share(self, pages: Sequence[int]) -> None:
        """Add a reference to each of ``pages``."""
        for page in pages:
            _require(self.references(page) > 0, f"page {page} is not in use")
        for page in pages:
            self._references[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """End one reference to each of ``pages``; a page whose last one ends is free."""
        for page in pages:
            _require(self.references(page) > 0, f"page {page} is not in use")
        for page, ended in Counter(pages).items():
            _require(ended <= self._references[page], f"page {page} is not in use that often")
        for page in pages:
            self._references[page] -= 1
            if not self._references[page]:
                self._free.append(page)


@dataclass(slots=True)
class _Table:
    pages: list[int] = field(default_factory=list)
    length: int = 0


class Sequences:
    """The page table of each open sequence. Position ``p`` stands in entry ``p // page_size`` at ``p % page_size``.

    A sequence that forks from another shares its pages. Whoever writes first to a page that several use is given a copy
    of its own, which :meth:`extend` asks the caller to make.
    """

    def __init__(self, pages: int, page_size: int) -> None:
        self._pages = Pages(pages)
        _require(page_size >= 1, f"a page must hold 1 position or more, got {page_size}")
        self._page_size = page_size
        self._next = 0
        self._tables: dict[int, _Table] = {}

    def __len__(self) -> int:
        return len(self._tables)

    @property
    def page_size(self) -> int:
        """Positions a page holds."""
        return self._page_size

    @property
    def free(self) -> int:
        """Pages that no sequence uses."""
        return self._pages.free

    def references(self, page: int) -> int:
        """How many sequences use ``page``."""
        return self._pages.references(page)

    def open(self) -> int:
        """Begin an empty sequence; its number is never given again."""
        return self._add(_Table())

    def fork(self, sequence: int, length: int) -> int:
        """Begin a sequence with the first ``length`` positions of another, on the same pages; takes no page."""
        parent = self._table(sequence)
        most = parent.length
        _require(0 <= length <= most, f"a fork may begin with 0 to {most} positions, got {length}")
        child = _Table(parent.pages[: self._pages_for(length)], length)
        self._pages.share(child.pages)
        return self._add(child)

    def length(self, sequence: int) -> int:
        """Positions that ``sequence`` holds."""
        return self._table(sequence).length

    def pages(self, sequence: int) -> list[int]:
        """The page table of ``sequence``."""
        return list(self._table(sequence).pages)

    def needed(self, sequence: int, count: int = 1) -> int:
        """Free pages that :meth:`extend` would take."""
        own = self._table(sequence)
        _require(count >= 0, f"cannot extend by {count} positions")
        return self._pages_for(own.length + count) - len(own.pages) + self._must_copy(own, count)

    def extend(self, sequence: int, count: int = 1) -> tuple[list[int], list[tuple[int, int]]]:
        """Add ``count`` positions; returns the pages taken and the copies ``(from, to)`` to make before writing.

        Raises Exhausted, and changes nothing, where too few pages are free.
        """
        taken = self._pages.take(self.needed(sequence, count))
        own, fresh, copies = self._tables[sequence], list(taken), []
        if self._must_copy(own, count):
            copies.append((own.pages[-1], fresh[0]))
            self._pages.release(own.pages[-1:])
            own.pages[-1] = fresh.pop(0)
        own.pages += fresh
        own.length += count
        return taken, copies

    def truncate(self, sequence: int, length: int) -> None:
        """Forget the positions from ``length`` on, and give back the pages that held only them."""
        own = self._table(sequence)
        _require(0 <= length <= own.length, f"length must be 0 to {own.length}, got {length}")
        kept = self._pages_for(length)
        self._pages.release(own.pages[kept:])
        del own.pages[kept:]
        own.length = length

    def close(self, sequence: int) -> None:
        """End ``sequence``; pages that no other one uses are free."""
        self._pages.release(self._table(sequence).pages)
        del self._tables[sequence]

    def _add(self, table: _Table) -> int:
        number = self._next
        self._tables[number] = table
        self._next += 1
        return number

    def _table(self, sequence: int) -> _Table:
        _require(sequence in self._tables, f"sequence {sequence} is not open")
        return self._tables[sequence]

    def _pages_for(self, positions: int) -> int:
        return -(-positions // self._page_size)

    def _must_copy(self, table: _Table, count: int) -> bool:
        partly = table.length % self._page_size != 0
        return count > 0 and partly and self._pages.references(table.pages[-1]) > 1


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
