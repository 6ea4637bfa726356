"""The decision which sessions are stepped next, as a function of slack, lead and predicted cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone.engine.costs import StepCosts
from voiceclone.engine.scheduler import Candidate, choose, playout, wake_after


def one(index: int, slack: float, **more: object) -> Candidate:
    return Candidate(index, **{"model": "m", "slack": slack, "lead": 0.0, **more})  # type: ignore[arg-type]


def indices(chosen: list[Candidate]) -> list[int]:
    return [candidate.index for candidate in chosen]


def test_least_slack_goes_first() -> None:
    candidates = [one(0, 3.0), one(1, 1.0), one(2, 2.0)]
    assert indices(choose(candidates, lambda _: 2, lambda *_: 0.0)) == [1, 2]


def test_equal_slack_keeps_the_order_of_arrival() -> None:
    assert indices(choose([one(0, 1.0), one(1, 1.0)], lambda _: 1, lambda *_: 0.0)) == [0]


def test_sessions_of_another_model_wait_for_their_own_step() -> None:
    candidates = [one(0, 1.0, model="a"), one(1, 1.5, model="b"), one(2, 2.0, model="a")]
    assert indices(choose(candidates, lambda _: 8, lambda *_: 0.0)) == [0, 2]


def test_held_sessions_are_left_out() -> None:
    candidates = [one(0, 9.0, lead=5.0, max_lead=5.0), one(1, 10.0, has_room=False), one(2, 11.0, lead=4.9, max_lead=5)]
    assert indices(choose(candidates, lambda _: 8, lambda *_: 0.0)) == [2]
    assert choose(candidates[:2], lambda _: 8, lambda *_: 0.0) == []


def test_the_batch_shrinks_until_the_tightest_is_in_time() -> None:
    candidates = [one(0, 0.05), *(one(i, 1.0 + i) for i in range(1, 8))]
    assert indices(choose(candidates, lambda _: 8, lambda _, batch: 0.012 * batch)) == [0, 1, 2, 3]


def test_a_session_that_is_late_anyway_does_not_shrink_the_batch() -> None:
    candidates = [one(0, -0.5), *(one(i, 1.0 + i) for i in range(1, 4))]
    assert len(choose(candidates, lambda _: 8, lambda _, batch: 0.01 * batch)) == 4


def test_wake_after_is_when_the_first_held_session_is_played_down_to_its_bound() -> None:
    candidates = [one(0, 9.0, lead=5.5, max_lead=5.0), one(1, 9.0, lead=5.2, max_lead=5.0)]
    assert wake_after(candidates) == pytest.approx(0.2)
    assert wake_after([one(0, 9.0, has_room=False)]) is None


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 9), st.sampled_from("ab"), st.booleans()), max_size=12),
    st.integers(1, 6),
    st.floats(0, 0.5),
)
def test_whoever_is_tightest_and_free_is_always_in(
    rows: list[tuple[float, float, str, bool]], max_batch: int, cost: float
) -> None:
    candidates = [Candidate(i, model, slack, lead, 5.0, room) for i, (slack, lead, model, room) in enumerate(rows)]
    chosen = choose(candidates, lambda _: max_batch, lambda _, batch: cost * batch)
    free = [candidate for candidate in candidates if not candidate.held]
    assert bool(chosen) == bool(free)
    assert len(chosen) <= max_batch
    assert len({candidate.model for candidate in chosen}) <= 1
    assert all(not candidate.held for candidate in chosen)
    if free:
        assert chosen[0].slack == min(candidate.slack for candidate in free)
        waiting = [c.slack for c in free if c.model == chosen[0].model and c not in chosen]
        assert all(slack >= chosen[-1].slack for slack in waiting)


def test_a_new_session_has_the_goal_as_its_slack() -> None:
    slack, lead = playout(sent=0, taken=0, since_start=None, reported=None, waited=0.03, goal=0.1)
    assert (slack, lead) == (pytest.approx(0.07), 0)


def test_playout_by_the_clock_stops_where_the_reader_stops() -> None:
    slack, lead = playout(sent=10, taken=10, since_start=4, reported=None, waited=9, goal=0.1)
    assert (slack, lead) == (6, 6)
    slack, lead = playout(sent=10, taken=1, since_start=4, reported=None, waited=9, goal=0.1)
    assert (slack, lead) == (6, 9)


def test_playout_by_report_does_not_move_with_the_clock() -> None:
    for since in (0.0, 3.0, math.inf):
        assert playout(sent=10, taken=10, since_start=since, reported=2, waited=9, goal=0.1) == (8, 8)


def test_costs_are_told_apart_by_model_and_size_and_unknown_sizes_borrow() -> None:
    costs = StepCosts()
    assert costs.predict("m", 4) == 0.0
    costs.record("m", 1, 0.01)
    costs.record("m", 8, 0.03)
    assert costs.predict("m", 1) == 0.01
    assert costs.predict("m", 4) == 0.01
    assert costs.predict("m", 5) == 0.03
    assert costs.predict("m", 64) == 0.03
    assert costs.predict("other", 1) == 0.0
    costs.record("m", 1, 0.02)
    assert 0.01 < costs.predict("m", 1) < 0.02
