"""The numbered batches of each gateway: taken in order, once; repeats answered again. Pure."""

from __future__ import annotations

from typing import NamedTuple

from hubbub.wire import Batch
from worker.tasks import Outcome, Task

MOST_HELD = 256  # batches that wait for one before them
MOST_HELD_BYTES = 16 * 1024 * 1024
MOST_KEPT = 100_000  # answers kept for one gateway until it has confirmed them
MISSING_EVERY = 0.1  # seconds


class Received(NamedTuple):
    """What a batch leads to."""

    tasks: list[Task]
    again: list[tuple[int, Outcome]]  # answers of before, to be sent through every broker
    missing: tuple[int, int] | None = None


class _Taken:
    """One batch that was taken: the asks that have no answer yet, and answers to be kept."""

    __slots__ = ("kept", "open")

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.kept: dict[int, Outcome] = {}


class Inbox:
    """What one gateway asks under one term."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._first = 0  # the highest `first` seen: nobody waits for what is below it
        self._expected = 0  # the number of the batch to be taken next; 0: none seen so far
        self._held: dict[int, Batch] = {}
        self._held_bytes = 0
        self._sizes: dict[int, int] = {}
        self._taken: dict[int, _Taken] = {}
        self._batch_of: dict[int, int] = {}  # open or kept ask -> its batch
        self._asked_at = float("-inf")

    @property
    def taken(self) -> int:
        """How many batches have been taken, without a hole."""
        return max(0, self._expected - 1)

    def receive(self, batch: Batch, size: int, now: float) -> Received:
        """Take a batch, and those held that follow it; or say what to do about it."""
        if self._expected == 0:
            # The first that is seen: whatever is below `first` nobody waits for.
            self._expected = max(1, batch.first)
        self._confirm(batch.first)
        number = batch.number
        if number < self._expected:
            return self._repeated(batch)
        if number > self._expected and number not in self._held and self._has_space(size):
            self._held[number] = batch
            self._sizes[number] = size
            self._held_bytes += size
        tasks: list[Task] = []
        if number == self._expected:
            tasks += self._take(batch)
        self._take_held(tasks)
        return Received(tasks, [], self._missing(number, now))

    def answered(self, no: int, outcome: Outcome, kept: bool) -> None:
        """Ask `no` has its answer; `kept`: the same one is to be given when it is repeated."""
        number = self._batch_of.get(no)
        taken = self._taken.get(number) if number is not None else None
        if taken is None:
            self._batch_of.pop(no, None)
            return
        taken.open.discard(no)
        if kept and len(self._batch_of) <= MOST_KEPT:
            taken.kept[no] = outcome
        else:
            del self._batch_of[no]

    def keeps(self, no: int) -> bool:
        """Whether the gateway has not confirmed yet that it has the answer to `no`."""
        return no in self._batch_of

    # --- inside ---------------------------------------------------------------------------

    def _has_space(self, size: int) -> bool:
        return len(self._held) < MOST_HELD and self._held_bytes + size <= MOST_HELD_BYTES

    def _take(self, batch: Batch) -> list[Task]:
        self._expected = batch.number + 1
        return self._tasks(batch, again=False)

    def _tasks(self, batch: Batch, *, again: bool) -> list[Task]:
        taken = self._taken.setdefault(batch.number, _Taken())
        tasks = []
        for ask in batch.asks:
            if ask.no not in self._batch_of:
                self._batch_of[ask.no] = batch.number
                taken.open.add(ask.no)
                repeat = again or batch.repeat
                first = 0 if repeat else batch.first
                tasks.append(Task(self._gateway, ask, again, repeat, batch.number, first))
        return tasks

    def _take_held(self, tasks: list[Task]) -> None:
        while (batch := self._held.pop(self._expected, None)) is not None:
            self._held_bytes -= self._sizes.pop(batch.number)
            tasks += self._take(batch)

    def _repeated(self, batch: Batch) -> Received:
        """It was taken before: answers that are kept are given again, lost reads are read anew."""
        if batch.number < self._first:
            return Received([], [])
        taken = self._taken.get(batch.number)
        again = []
        if taken is not None:
            again = [(ask.no, taken.kept[ask.no]) for ask in batch.asks if ask.no in taken.kept]
        return Received(self._tasks(batch, again=True), again)

    def _confirm(self, first: int) -> None:
        """Nobody waits for what is below `first`: answered, or given up."""
        first = self._first = max(first, self._first)
        while self._taken and (lowest := next(iter(self._taken))) < first:
            taken = self._taken.pop(lowest)
            for no in (*taken.open, *taken.kept):
                self._batch_of.pop(no, None)
        if first > self._expected:
            self._expected = first
            for number in [number for number in self._held if number < first]:
                del self._held[number]
                self._held_bytes -= self._sizes.pop(number)

    def _missing(self, number: int, now: float) -> tuple[int, int] | None:
        if number < self._expected or now - self._asked_at < MISSING_EVERY:
            return None
        self._asked_at = now
        return self._expected, min(self._held, default=number) - 1
