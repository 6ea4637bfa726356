"""Which sessions are stepped next: a pure decision over how much audio each listener still has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """One open session as the scheduler sees it; times in seconds."""

    #: Position of the session in the caller's list.
    index: int
    #: Sessions of one model can share a step.
    model: str
    #: Time until its listener runs out of audio; below zero it is late already.
    slack: float
    #: Audio made beyond what can have been played.
    lead: float
    max_lead: float = math.inf
    #: False while its reader has too many chunks still to take.
    has_room: bool = True

    @property
    def held(self) -> bool:
        """True where stepping it now would run too far ahead."""
        return not self.has_room or self.lead >= self.max_lead


def choose(
    candidates: Sequence[Candidate],
    max_batch: Callable[[str], int],
    step_seconds: Callable[[str, int], float],
) -> list[Candidate]:
    """The sessions of the next step, least slack first; empty where all are held.

    The tightest session names the model. Others of that model join while the step, which ``step_seconds(model, batch)``
    predicts, still ends in time for the tightest; one that is late whatever happens does not make the batch small,
    because a full batch is what gets everybody out of lateness soonest.
    """
    ready = sorted((c for c in candidates if not c.held), key=lambda c: (c.slack, c.index))
    if not ready:
        return []
    tightest = ready[0]
    batch = [c for c in ready if c.model == tightest.model][: max(1, max_batch(tightest.model))]
    if tightest.slack > step_seconds(tightest.model, 1):
        while len(batch) > 1 and step_seconds(tightest.model, len(batch)) > tightest.slack:
            batch.pop()
    return batch


def wake_after(candidates: Sequence[Candidate]) -> float | None:
    """Seconds until playout alone lets a held session go on; None where only its reader or a report can."""
    waits = [c.lead - c.max_lead for c in candidates if c.has_room and c.held]
    return max(0.0, min(waits)) if waits else None


def playout(
    *, sent: float, taken: float, since_start: float | None, reported: float | None, waited: float, goal: float
) -> tuple[float, float]:
    """(slack, lead) of a session in seconds.

    ``sent``: audio made; ``taken``: of it, what the reader took; ``since_start``: time since playout began, None
    before it; ``reported``: what the client says it has played; ``waited``: time since the request; ``goal``: time
    within which first audio is aimed at. Nobody can have played what was not taken, so a reader that stops reading
    stops its own playout. A session without audio has the slack left to ``goal``.
    """
    if since_start is None:
        return goal - waited, sent
    played = min(since_start, taken) if reported is None else min(reported, sent)
    lead = sent - played
    return (sent - since_start if reported is None else lead), lead
