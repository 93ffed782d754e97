"""The owner's stream as one gateway takes it: positions in order, gaps, terms. Pure."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from gateway.repeats import Repeats
from hubbub.wire import Item, Kind, StreamBatch, peek_stream, unpack_stream

HELD_BYTES = 8 * 1024 * 1024  # of batches that came too early; what is beyond is asked for again
RECENT_BYTES = 4 * 1024 * 1024  # of batches kept for replay
RECENT_BATCHES = 500  # ten seconds of a busy stream
RECENT_SECONDS = 30  # of a quiet one: longer than requests are waited for, unless set otherwise
_EVERYBODY = (False, 0)
_OF_SESSIONS = (Kind.SESSION_OVER, Kind.SESSION_RENAMED)  # their `sender` is a session


class Place(NamedTuple):
    """Where an item stands in the stream."""

    position: int
    number: int  # in its batch, from 0


def _concerns(item: Item) -> tuple[bool, int]:
    """Whom an item concerns: whether a session is meant, and its number, or a person's."""
    if item.kind == Kind.ANNOUNCEMENT:
        return _EVERYBODY
    return item.kind in _OF_SESSIONS, item.sender


class _Kept:
    """A batch that was delivered."""

    __slots__ = ("_personal", "items", "position", "size")

    def __init__(self, batch: StreamBatch, size: int) -> None:
        self.position = batch.position
        self.items = batch.items
        self.size = size
        self._personal: dict[tuple[bool, int], list[int]] | None = None

    def personal(self, sender: int, session: int) -> list[tuple[Place, Item]]:
        """What concerns one person, one session, or everybody who has one."""
        index = self._personal
        if index is None:
            index = self._personal = {}
            for at, item in enumerate(self.items):
                if item.kind >= Kind.SESSION_OVER:
                    index.setdefault(_concerns(item), []).append(at)
        if not index:
            return []
        found = [
            at
            for key in ((False, sender), (True, session), _EVERYBODY)
            for at in index.get(key, ())
        ]
        return [(Place(self.position, at), self.items[at]) for at in sorted(found)]


class Stream:
    """Takes batches as they come and gives them out in the order of their positions, once each.

    It begins out of step: until `begin` says at which position to go on, what comes is held.
    """

    def __init__(self) -> None:
        self.term = 0  # the highest seen
        self.position = 0  # delivered up to here
        self.in_step = False
        self._known = 0  # the highest position heard of, in this term
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        self._recent: deque[_Kept] = deque()
        self._recent_bytes = 0
        self._seconds: deque[int] = deque(maxlen=RECENT_SECONDS)  # positions, one a second
        self._repeats: Repeats | None = None
        self._asked = 0  # up to here, when a gap was last asked for

    def see_term(self, term: int) -> bool:
        """Note the term of any frame of the owner's: False when it is of the past.

        A new one puts the stream out of step: what was held belongs to the old numbering.
        """
        if term < self.term:
            return False
        if term > self.term:
            self.term = term
            self._known = 0
            self.lose_step()
            self._drop_held()
        return True

    def lose_step(self) -> None:
        """Deliver nothing until `begin`."""
        self.in_step = False
        self._repeats = None

    def begin(self, position: int) -> list[StreamBatch]:
        """Go on after `position`; what was held and comes next is returned, to be delivered."""
        self.in_step = True
        self.position = position
        self._recent.clear()
        self._recent_bytes = 0
        self._seconds.clear()
        for early in [at for at in self._held if at <= position]:
            self._held_bytes -= len(self._held.pop(early))
        return self._release()

    def offer(self, data: bytes, offset: int) -> list[StreamBatch]:
        """Take one batch as it came; what is now in turn is returned, to be delivered.

        Raises:
            RemoteProtocolError: it is no batch.
        """
        term, position, count = peek_stream(data, offset)
        if not self.see_term(term):
            return []
        if position > self._known:
            self._known = position
        if count == 0 or (self.in_step and position <= self.position):
            return []
        if self.in_step and position == self.position + 1:
            batch = self._deliver(data, offset)
            return [batch, *self._release()] if self._held else [batch]
        self._hold(position, data[offset:])
        return []

    def second(self) -> None:
        """Another second has passed: let go of what was delivered long ago."""
        if len(self._seconds) == RECENT_SECONDS:
            while self._recent and self._recent[0].position <= self._seconds[0]:
                self._forget_oldest()
        self._seconds.append(self.position)

    def see_position(self, position: int) -> None:
        """Note a position that the owner speaks of."""
        self._known = max(self._known, position)

    def gap(self) -> tuple[int, int] | None:
        """The first stretch of positions that is missing."""
        if not self.in_step or self._known <= self.position:
            return None
        last = min(self._held) - 1 if self._held else self._known
        return self.position + 1, last

    def refill(self, now: float) -> tuple[int, int, bool] | None:
        """The stretch that is to be asked for, and whether it is asked again; None: nothing yet."""
        missing = self.gap()
        if missing is None:
            self._repeats = None
            return None
        if self._repeats is None:
            self._repeats = Repeats(now)
            if not self._held:
                # Only spoken of so far, by an answer that went ahead: most likely on its way.
                return None
        elif not self._repeats.is_due(now):
            return None
        again = self._asked >= missing[1]
        self._asked = missing[1]
        return *missing, again

    def replay(self, room: int, after: int, *, skip: int = 0) -> Iterator[Item] | None:
        """What the room had in positions above `after`, up to now; None: not kept so long.

        `skip` items of the first of these positions are left out.
        """
        batches = self._above(after)
        if batches is None:
            return None
        return (
            item
            for kept in batches
            for item in (kept.items[skip:] if kept is batches[0] else kept.items)
            if item.room == room and item.kind < Kind.SESSION_OVER
        )

    def personal(self, sender: int, session: int, after: int) -> list[tuple[Place, Item]] | None:
        """What concerned one person (who has this session) above position `after`, and no room.

        None: not kept so long.
        """
        batches = self._above(after)
        if batches is None:
            return None
        return [found for kept in batches for found in kept.personal(sender, session)]

    # --- inside ---------------------------------------------------------------------------

    def _above(self, after: int) -> list[_Kept] | None:
        """The batches in positions above `after`, in order; None: not kept so long."""
        if after >= self.position:
            return []
        if not self._recent or self._recent[0].position > after + 1:
            return None
        # Most often that is the last one or two of hundreds.
        above = list(
            itertools.takewhile(lambda kept: kept.position > after, reversed(self._recent))
        )
        return above[::-1]

    def _deliver(self, data: bytes, offset: int) -> StreamBatch:
        batch = unpack_stream(data, offset)
        self.position = batch.position
        size = len(data)
        self._recent.append(_Kept(batch, size))
        self._recent_bytes += size
        while self._recent_bytes > RECENT_BYTES or len(self._recent) > RECENT_BATCHES:
            self._forget_oldest()
        if self.position >= self._asked:
            self._repeats = None  # what was asked for is here: another gap is another question
        return batch

    def _forget_oldest(self) -> None:
        self._recent_bytes -= self._recent.popleft().size

    def _release(self) -> list[StreamBatch]:
        batches = []
        while (data := self._held.pop(self.position + 1, None)) is not None:
            self._held_bytes -= len(data)
            batches.append(self._deliver(data, 0))
        return batches

    def _hold(self, position: int, data: bytes) -> None:
        if position in self._held:
            return
        unpack_stream(data)  # one that is none is refused now, not when its turn comes
        self._held[position] = data
        self._held_bytes += len(data)
        while self._held_bytes > HELD_BYTES:
            # The farthest ahead is needed last.
            self._held_bytes -= len(self._held.pop(max(self._held)))

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
