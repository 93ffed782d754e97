"""What a gateway asks of the owner: numbered batches, repeated until answered. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from gateway.repeats import Repeats
from hubbub.wire import BATCH_BYTES, Ask, Batch, OwnerFrame

T = TypeVar("T")
ASK_OVERHEAD = 64  # bytes of an ask besides its frame, generously


class _Open(Generic[T]):
    """One ask without an answer."""

    __slots__ = ("ask", "batch", "context", "deadline", "size")

    def __init__(self, ask: Ask, context: T, deadline: float, size: int) -> None:
        self.ask = ask
        self.context = context
        self.deadline = deadline
        self.size = size
        self.batch = 0  # the number of the batch that it is, or was, in; 0: none yet


class _Sent:
    """A batch of which not everything is answered."""

    __slots__ = ("nos", "repeats")

    def __init__(self, nos: list[int], now: float) -> None:
        self.nos = dict.fromkeys(nos)  # in order, and quick to strike out
        self.repeats = Repeats(now)


class Asks(Generic[T]):
    """All open requests of this gateway, in the order in which they were made.

    Batches of one (gateway, term) are numbered 1, 2, 3 ...; the owner takes them in that order,
    so what one connection says is done in the order it said it. `context` is whatever the caller
    wants back with the answer.

    Args:
        gateway: this process's id.
        within: seconds until a request is given up; the caller then answers `unknown`.
    """

    def __init__(self, gateway: str, within: float) -> None:
        self._gateway = gateway
        self._within = within
        self._no = 0
        self._term = 0
        self._number = 0  # of the newest batch of this term
        self._active = False
        self._open: dict[int, _Open[T]] = {}  # by no, rising: deadlines rise too
        self._queued: list[int] = []
        self._sent: dict[int, _Sent] = {}  # by number, rising

    def __len__(self) -> int:
        """How many requests have no answer yet."""
        return len(self._open)

    def add(
        self,
        frame: OwnerFrame,
        context: T,
        now: float,
        *,
        session: int = 0,
        generation: int = 0,
        address: str = "",
        snapshot: bool = False,
        size: int = 0,
    ) -> int:
        """Queue one request, to be in the next batch; its number is returned."""
        self._no += 1
        ask = Ask(self._no, session, generation, frame, address, snapshot)
        self._open[self._no] = _Open(ask, context, now + self._within, size + ASK_OVERHEAD)
        self._queued.append(self._no)
        return self._no

    def oldest(self) -> float | None:
        """When the oldest request without an answer was made; None when there is none."""
        for entry in self._open.values():
            return entry.deadline - self._within
        return None

    def context(self, no: int) -> T | None:
        """What request `no` was made with; None when it is not open any more."""
        entry = self._open.get(no)
        return None if entry is None else entry.context

    def answered(self, no: int) -> T | None:
        """Close request `no` and return its context; None when it is not open any more."""
        entry = self._open.pop(no, None)
        if entry is None:
            return None
        self._forget(no, entry.batch)
        return entry.context

    def withdraw(self, which: Callable[[Ask], bool]) -> list[T]:
        """Take back what waits to be sent, and was to no owner yet; the contexts, oldest first."""
        queued = ((no, self._open.get(no)) for no in self._queued)
        nos = [no for no, entry in queued if entry and not entry.batch and which(entry.ask)]
        return [context for no in nos if (context := self.answered(no)) is not None]

    def expire(self, now: float) -> list[T]:
        """Give up what is past its deadline; the contexts, oldest first."""
        over = []
        for no, entry in self._open.items():
            if entry.deadline > now:
                break
            over.append(no)
        return [context for no in over if (context := self.answered(no)) is not None]

    # --- batches --------------------------------------------------------------------------

    @property
    def has_queued(self) -> bool:
        """Whether `flush` would give something."""
        return self._active and bool(self._queued)

    def flush(self, now: float) -> list[Batch]:
        """What is queued, as new batches; nothing while suspended."""
        if not self._queued or not self._active:
            return []
        batches = []
        queued = [no for no in self._queued if no in self._open]
        self._queued = []
        for nos in self._split(queued):
            self._number += 1
            self._sent[self._number] = _Sent(nos, now)
            for no in nos:
                self._open[no].batch = self._number
            batches.append(self._batch(self._number, repeat=False))
        return batches

    def due(self, now: float) -> list[Batch]:
        """Batches to be published again, through every broker."""
        if not self._active:
            return []
        numbers = [number for number, sent in self._sent.items() if sent.repeats.is_due(now)]
        return [self._batch(number, repeat=True) for number in numbers]

    def missing(self, first: int, last: int) -> list[Batch]:
        """What the owner lacks of batches first..last.

        What is given up by now cannot be sent: the lowest batch that is left then tells by its
        `first` that nobody waits for them.
        """
        if not self._active:
            return []
        numbers = [number for number in self._sent if first <= number <= last]
        if not numbers:
            numbers = list(itertools.islice(self._sent, 1))
        return [self._batch(number, repeat=True) for number in numbers]

    # --- terms ----------------------------------------------------------------------------

    def suspend(self) -> None:
        """Send nothing until `begin`: it is not known who the owner is."""
        self._active = False

    def begin(self, term: int, now: float) -> None:
        """Go on under `term`; a new one has everything that is open sent to it, in order."""
        self._active = True
        if term == self._term:
            for sent in self._sent.values():
                sent.repeats = Repeats(now)
            return
        self._term = term
        self._number = 0
        self._sent.clear()
        self._queued = list(self._open)

    # --- inside ---------------------------------------------------------------------------

    def _forget(self, no: int, number: int) -> None:
        sent = self._sent.get(number)
        if sent is not None:
            sent.nos.pop(no, None)
            if not sent.nos:
                del self._sent[number]

    def _split(self, nos: Iterable[int]) -> list[list[int]]:
        parts: list[list[int]] = []
        room = 0
        for no in nos:
            size = self._open[no].size
            if size > room or not parts:
                parts.append([])
                room = BATCH_BYTES
            parts[-1].append(no)
            room -= size
        return parts

    def _batch(self, number: int, *, repeat: bool) -> Batch:
        first = next(iter(self._sent), number)
        asks = [self._open[no].ask for no in self._sent[number].nos]
        return Batch(self._gateway, self._term, number, first, repeat, asks)
