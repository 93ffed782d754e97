"""Looks after all connections once in a while: deadlines, beats, silence, slow readers, log lines.

One pass a second for all of them, instead of a timer each.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping

from gateway.connection import Connection
from gateway.native import State
from gateway.outbox import Outbox
from hubbub.errors import Code
from hubbub.frames import Beat, encoder
from hubbub.settings import Settings

SLICES = 5  # silence is looked at in so many parts, one a second
FAILED_EVERY = 10.0  # seconds between the lines that count failed handshakes
TICK = 1.0  # seconds between calls of `second`
_BEAT = encoder.encode(Beat())


class Keeper:
    """All open connections of the process.

    Args:
        settings: the deadlines.
        wake: have the turn ended soon, so that what was put into an outbox is written.
        log: one line when a session's connection closes; failed handshakes are counted.
    """

    def __init__(self, settings: Settings, wake: Callable[[], None], log: logging.Logger) -> None:
        self._settings = settings
        self._wake = wake
        self._log = log
        self._handshakes: dict[Connection, None] = {}  # not welcomed yet
        self._farewells: deque[Connection] = deque()  # in the order of their deadlines
        self._slow: dict[Outbox, Connection] = {}  # written to, and perhaps not taken yet
        slices = max(1, min(SLICES, int(settings.beat_after / 3)))
        self._slices: list[dict[Connection, None]] = [{} for _ in range(slices)]
        self._turn = 0
        self._failed: Counter[str] = Counter()
        self._failed_logged = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._slices))

    def open(self) -> list[Connection]:
        """The connections that are not closing."""
        return [one for part in self._slices for one in part if not one.is_closing]

    # --- what happens to connections ------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A socket is open; it is to be welcomed before its deadline."""
        self._slices[connection.number % len(self._slices)][connection] = None
        self._handshakes[connection] = None

    def welcomed(self, connection: Connection) -> None:
        """It has a session."""
        self._handshakes.pop(connection, None)

    def written(self, outboxes: Mapping[Outbox, Connection]) -> None:
        """These outboxes were written; whether the sockets take it is looked at each second."""
        self._slow.update(outboxes)

    def lingering(self, connection: Connection) -> None:
        """It waits for its peer to read the reason, no longer than its deadline."""
        self._handshakes.pop(connection, None)
        self._farewells.append(connection)

    def closed(self, connection: Connection) -> None:
        """Its socket is closed: the one place that says why."""
        self._slices[connection.number % len(self._slices)].pop(connection, None)
        self._slow.pop(connection.outbox, None)
        self._handshakes.pop(connection, None)
        session = connection.session
        if session is None:
            # Strangers must not fill the log: they are counted.
            self._failed[connection.why.partition(":")[0]] += 1
            return
        self._log.info(
            "what=connection_closed conn=%d session=%d why=%r",
            connection.number,
            session.number,
            connection.why,
        )

    def forgive(self, seconds: float) -> None:
        """Nobody could be heard for so long: it is counted against nobody."""
        for part in self._slices:
            for connection in part:
                connection.heard += seconds
                connection.deadline += seconds

    # --- each second ----------------------------------------------------------------------

    def second(self, now: float) -> None:
        """Look at those whose turn it is; call once a second."""
        self._look_at_handshakes(now)
        self._look_at_farewells(now)
        self._look_at_outboxes(now)
        self._turn = (self._turn + 1) % len(self._slices)
        for connection in list(self._slices[self._turn]):
            self._look_at_silence(connection, now)
            if connection.buckets is not None and connection.buckets.is_full(now):
                connection.buckets = None  # new ones would be the same: who idles needs none
        if self._failed and now - self._failed_logged >= FAILED_EVERY:
            self._failed_logged = now
            counts = " ".join(f"{why.replace(' ', '_')}={n}" for why, n in self._failed.items())
            self._log.info("what=handshakes_failed %s", counts)
            self._failed.clear()

    def reassure_newcomers(self) -> None:
        """Show those who wait to be welcomed, once, that this gateway lives.

        The kernel accepts connections for a frozen process, too; a client takes silence for one,
        and would dial again in vain.
        """
        for connection in self._handshakes:
            if connection.core.state is State.WAITING and not connection.reassured:
                connection.reassured = True
                connection.put(_BEAT)

    def reassure(self) -> None:
        """Show all who wait for an answer that this gateway lives: it is the owner who is late."""
        for part in self._slices:
            for connection in part:
                waits = connection.asked or connection.core.state is State.WAITING
                if waits and not connection.is_closing:
                    connection.put(_BEAT)

    def _look_at_handshakes(self, now: float) -> None:
        late = [one for one in self._handshakes if one.deadline <= now]
        for connection in late:
            del self._handshakes[connection]
            if connection.core.state is State.WAITING:
                connection.end(Code.UNAVAILABLE, "the cluster does not answer; try again")
            else:
                connection.end(Code.TIMEOUT, "no hello in time")

    def _look_at_farewells(self, now: float) -> None:
        while self._farewells and self._farewells[0].deadline <= now:
            connection = self._farewells.popleft()
            connection.transport.abort()

    def _look_at_outboxes(self, now: float) -> None:
        stalled_after = self._settings.stalled_after
        for outbox, connection in list(self._slow.items()):
            connection.spoke = now  # within the last second, or since: that is near enough
            stalled = outbox.look(now, TICK)
            if stalled is None:
                del self._slow[outbox]
            elif stalled >= stalled_after and not connection.is_closing:
                connection.end(Code.TIMEOUT, "what was sent to you was not read")

    def _look_at_silence(self, connection: Connection, now: float) -> None:
        if connection.is_closing or connection.session is None:
            return
        if now - connection.heard >= self._settings.close_after:
            connection.end(Code.TIMEOUT, "nothing was heard of you; a ping now and then will do")
        elif now - connection.spoke >= self._settings.beat_after - TICK:
            connection.put(_BEAT)
