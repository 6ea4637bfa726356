"""Pages and page tables: nothing leaks, nothing is written that others read, C++ and Python decide alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import NATIVE, PYTHON, needs_native


def test_a_page_is_free_when_its_last_user_lets_go(made: Any) -> None:
    pool = made.Pages(3)
    first, second = pool.take(2)
    assert (first, second, pool.free, len(pool)) == (0, 1, 1, 3)
    pool.share([first])
    pool.release([first])
    assert (pool.references(first), pool.free) == (1, 1)
    pool.release([first, second])
    assert pool.free == 3
    assert pool.take() == [second], "the page given back last is still in the caches"


def test_exhaustion_is_its_own_error_and_takes_nothing(made: Any) -> None:
    pool = made.Pages(2)
    with pytest.raises(made.Exhausted, match="3 pages are needed, 2 are free"):
        pool.take(3)
    assert pool.free == 2
    assert issubclass(made.Exhausted, RuntimeError)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda pool: pool.release([1]), "page 1 is not in use"),
        (lambda pool: pool.release([0, 0]), "page 0 is not in use that often"),
        (lambda pool: pool.share([7]), "there is no page 7"),
        (lambda pool: pool.references(-1), "there is no page -1"),
        (lambda pool: pool.take(-1), "cannot take -1 pages"),
    ],
)
def test_misuse_is_refused_and_changes_nothing(made: Any, work: Any, words: str) -> None:
    pool = made.Pages(3)
    pool.take(1)
    with pytest.raises(ValueError, match=words):
        work(pool)
    assert (pool.free, pool.references(0)) == (2, 1)


def test_a_fork_shares_pages_until_one_of_them_writes(made: Any) -> None:
    cache = made.Sequences(10, 4)
    prompt = cache.open()
    assert cache.extend(prompt, 6) == ([0, 1], [])
    child = cache.fork(prompt, 6)
    assert (cache.pages(child), cache.length(child), cache.free) == ([0, 1], 6, 8)
    assert cache.needed(child, 1) == 1
    assert cache.extend(child, 1) == ([2], [(1, 2)]), "the page that is partly filled is copied, the full one shared"
    assert cache.pages(child) == [0, 2]
    assert cache.extend(prompt, 1) == ([], []), "the prompt is alone on its page again"
    cache.close(prompt)
    assert (cache.references(0), cache.references(1)) == (1, 0)
    cache.close(child)
    assert (cache.free, len(cache)) == (10, 0)


def test_a_fork_at_a_page_border_copies_nothing(made: Any) -> None:
    cache = made.Sequences(4, 4)
    prompt = cache.open()
    cache.extend(prompt, 8)
    child = cache.fork(prompt, 4)
    assert cache.extend(child, 1) == ([2], [])
    assert cache.pages(child) == [0, 2]


def test_truncating_gives_pages_back(made: Any) -> None:
    cache = made.Sequences(4, 4)
    sequence = cache.open()
    cache.extend(sequence, 13)
    cache.truncate(sequence, 5)
    assert (cache.length(sequence), cache.pages(sequence), cache.free) == (5, [0, 1], 2)
    cache.truncate(sequence, 0)
    assert cache.free == 4


def test_a_sequence_that_does_not_fit_stays_as_it_was(made: Any) -> None:
    cache = made.Sequences(2, 4)
    one = cache.open()
    cache.extend(one, 7)
    two = cache.fork(one, 7)
    with pytest.raises(made.Exhausted):
        cache.extend(two, 1)
    assert (cache.pages(two), cache.length(two), cache.free) == ([0, 1], 7, 0)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda cache: cache.extend(9), "sequence 9 is not open"),
        (lambda cache: cache.close(1), "sequence 1 is not open"),
        (lambda cache: cache.fork(0, 4), "0 to 3 positions, got 4"),
        (lambda cache: cache.truncate(0, -1), "0 to 3, got -1"),
        (lambda cache: cache.needed(0, -1), "cannot extend by -1"),
    ],
)
def test_bad_sequences_and_lengths_are_refused(made: Any, work: Any, words: str) -> None:
    cache = made.Sequences(2, 4)
    cache.extend(cache.open(), 3)
    with pytest.raises(ValueError, match=words):
        work(cache)


def test_bad_sizes_are_refused(made: Any) -> None:
    with pytest.raises(ValueError, match="1 position or more, got 0"):
        made.Sequences(4, 0)
    with pytest.raises(ValueError, match="0 pages or more, got -1"):
        made.Pages(-1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "fork", "extend", "extend", "truncate", "close"]), st.integers(0, 9),
              st.integers(0, 11)),
    max_size=40,
)  # fmt: skip


class Memory:
    """What the pages of a cache would hold, kept as a caller must: copies first, then the new positions."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.cells: dict[tuple[int, int], int] = {}
        self.wanted: dict[int, list[int]] = {}
        self.written = 0

    def step(self, name: str, which: int, count: int) -> tuple[Any, ...]:
        """Do one thing; returns what was answered, for comparison."""
        if name == "open":
            number = self.cache.open()
            self.wanted[number] = []
            return ("open", number)
        if not self.wanted:
            return ("nothing open",)
        sequence = sorted(self.wanted)[which % len(self.wanted)]
        content = self.wanted[sequence]
        if name == "fork":
            length = min(count, len(content))
            number = self.cache.fork(sequence, length)
            self.wanted[number] = content[:length]
            return ("fork", number)
        if name == "truncate":
            self.cache.truncate(sequence, min(count, len(content)))
            del content[count:]
        elif name == "close":
            self.cache.close(sequence)
            del self.wanted[sequence]
        else:
            return self.extend(sequence, count)
        return (name,)

    def extend(self, sequence: int, count: int) -> tuple[Any, ...]:
        needed, free, before = self.cache.needed(sequence, count), self.cache.free, self.cache.pages(sequence)
        try:
            taken, copies = self.cache.extend(sequence, count)
        except RuntimeError as error:
            assert needed > free
            assert (self.cache.pages(sequence), self.cache.free) == (before, free)
            return ("exhausted", str(error))
        assert needed == len(taken)
        size, content = self.cache.page_size, self.wanted[sequence]
        for source, target in copies:
            for offset in range(size):
                self.cells[target, offset] = self.cells.get((source, offset), -1)
        for position in range(len(content), len(content) + count):
            page = self.cache.pages(sequence)[position // size]
            assert self.cache.references(page) == 1, "a page is written to that others read"
            self.written += 1
            self.cells[page, position % size] = self.written
            content.append(self.written)
        return ("extend", taken, copies)

    def check(self) -> None:
        size, used = self.cache.page_size, {}
        for sequence, content in self.wanted.items():
            pages = self.cache.pages(sequence)
            assert self.cache.length(sequence) == len(content)
            assert len(pages) == -(-len(content) // size)
            assert [self.cells[pages[p // size], p % size] for p in range(len(content))] == content
            for page in pages:
                used[page] = used.get(page, 0) + 1
        assert self.cache.free == 12 - len(used), "a page leaked or is in two hands"
        assert all(self.cache.references(page) == count for page, count in used.items())
        assert len(self.cache) == len(self.wanted)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, page_size=st.integers(1, 5))
def test_every_sequence_reads_what_it_wrote(steps: list[tuple[str, int, int]], page_size: int) -> None:
    memory = Memory(PYTHON.Sequences(12, page_size))
    for step in steps:
        memory.step(*step)
        memory.check()
    for sequence in list(memory.wanted):
        memory.cache.close(sequence)
    assert memory.cache.free == 12


@needs_native
@settings(max_examples=100, deadline=None)
@given(steps=STEPS, page_size=st.integers(1, 5))
def test_cpp_and_python_decide_alike(steps: list[tuple[str, int, int]], page_size: int) -> None:
    one, other = (Memory(made.Sequences(12, page_size)) for made in (PYTHON, NATIVE))
    for step in steps:
        assert one.step(*step) == other.step(*step)
        other.check()
