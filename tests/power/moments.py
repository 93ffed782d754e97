"""When to cut the power: at random, and most often where it hurts most. Pure."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from random import Random
from typing import TypeAlias

from tests.power.crash import Cut, Loss
from tests.power.recording import Act, Name, Recording, Sync, Write
from tests.power.talk import Talk
from worker.active import NOTE_FILE
from worker.version import DATABASE

Span: TypeAlias = tuple[float, float]

JUST_AFTER = 0.0005  # seconds after an answer
NOTED = 0.01  # seconds after a note: what it tells of is to be in the database
# Of a hundred and some; of every other kind there are few.
_SHARES = {"answer": 33, "commit": 22, "checkpoint": 20, "anywhere": 8, "first start": 2}
_SHARE_OF_OTHERS = 5


def choose(recording: Recording, talk: Talk, count: int, seed: int) -> list[Cut]:
    """Moments in the order of time, the same for the same run and seed."""
    random = Random(seed)
    spans = spans_of(recording, talk)
    kinds = [kind for kind in spans if spans[kind]]
    shares = [_SHARES.get(kind, _SHARE_OF_OTHERS) for kind in kinds]
    cuts: list[Cut] = []
    for kind in random.choices(kinds, shares, k=count):
        at = random.uniform(*random.choice(spans[kind]))
        losses = random.choice(list(Loss)), random.choice(list(Loss))
        cuts.append(Cut(at, *losses, random.randrange(2**32), kind))
    return sorted(cuts, key=lambda cut: cut.at)


def spans_of(recording: Recording, talk: Talk) -> dict[str, list[Span]]:
    """By kind, the times between which such a moment lies."""
    begin, end = recording.acts[0].began, max(act.ended for act in recording.acts)
    spans = {
        "answer": [(each.at, each.at + JUST_AFTER) for each in talk.promises],
        "commit": commits(recording),
        "checkpoint": checkpoints(recording),
        "note": notes(recording),
        "anywhere": [(begin, end)],
        "first start": [(begin, talk.promises[0].at)],
    }
    return spans | {period.what: [(period.begin, period.end)] for period in talk.periods}


def commits(recording: Recording) -> list[Span]:
    """From the first write into a log to the return of the sync that makes it safe."""
    return [
        span
        for file, name in recording.names.items()
        if name == f"{DATABASE}-wal"
        for span in _between_syncs(recording.acts, file)
    ]


def checkpoints(recording: Recording) -> list[Span]:
    """From the first page that is copied into the database to the return of the sync after it.

    What the making of the database wrote into it is none: there was no log yet.
    """
    found = commits(recording)
    first_log = min((begin for begin, _ in found), default=float("inf"))
    return [
        span
        for file, name in recording.names.items()
        if name == DATABASE
        for span in _between_syncs(recording.acts, file)
        if span[0] > first_log
    ]


def notes(recording: Recording) -> list[Span]:
    """When the note beside the database was replaced, and a little after."""
    names = (act for act in recording.acts if isinstance(act, Name) and act.name == NOTE_FILE)
    return [(act.began, act.ended + NOTED) for act in names]


def answered_before(talk: Talk, spans: list[Span]) -> Talk:
    """The same talk, had each answer been given when the last commit before it began."""
    begins = {end: begin for begin, end in spans}
    ends = sorted(begins)
    earlier = talk.until(math.inf)
    earlier.promises.clear()
    for promise in talk.promises:
        last = bisect.bisect(ends, promise.at) - 1
        if last >= 0:
            earlier.promises.append(promise._replace(at=begins[ends[last]]))
    return earlier


def _between_syncs(acts: list[Act], file: int) -> Iterator[Span]:
    begin: float | None = None
    for act in acts:
        if isinstance(act, Write) and act.file == file and begin is None:
            begin = act.began
        elif isinstance(act, Sync) and act.file == file and begin is not None:
            yield begin, act.ended
            begin = None
