"""When to try again, and when a server counts as dead. Values and rules, no I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client waits for what. All in seconds."""

    connect_within: float = 10.0  # the first connection, over all tries
    greet_within: float = 2.0  # from dialing to `welcome`; the first dials wait less
    answer_within: float = 3.0  # silence after a request, then the server counts as dead
    ask_within: float = 60.0  # one request over all connections
    ping_after: float = 20.0  # silence of the server; it sends a beat after 15
    speak_after: float = 30.0  # own silence; the server closes after 90
    bye_within: float = 1.0  # for the answer to the goodbye; 0: it is not waited for


def delays(random: Callable[[], float], longest: float = 3.0) -> Iterator[float]:
    """Seconds to wait before each try: almost nothing, then from 0.1 doubling to `longest`.

    All of them are spread, or the people of a killed gateway would come back in one burst.

    Args:
        random: gives numbers from 0 up to 1.
    """
    yield 0.1 * random()
    ceiling = 0.1
    while True:
        yield ceiling * (0.5 + 0.5 * random())
        ceiling = min(2 * ceiling, longest)


def greet_waits(longest: float) -> Iterator[float]:
    """Seconds to wait for a greeting, for each dial in turn.

    Little at first: of several processes on one port one may be frozen, and the kernel goes on
    handing it connections. The next dial probably meets another, and eight fit into five seconds.
    """
    for share in (0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.5):
        yield share * longest
    while True:
        yield longest


class Liveness:
    """Whether the server at the other end of one connection still lives, judged by its bytes."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self.heard = now
        self.spoke = now
        self.waiting_since: float | None = None  # an answer has been owed since then

    def is_dead(self, now: float) -> bool:
        """It owes an answer and has not sent a byte for too long."""
        if self.waiting_since is None:
            return False
        return now - max(self.heard, self.waiting_since) >= self._patience.answer_within

    def wants_ping(self, now: float) -> bool:
        """It should be asked whether it is there."""
        return self.waiting_since is None and now >= self._ping_at()

    def next_check(self) -> float:
        """When to look again."""
        if self.waiting_since is None:
            return self._ping_at()
        return max(self.heard, self.waiting_since) + self._patience.answer_within

    def _ping_at(self) -> float:
        return min(self.heard + self._patience.ping_after, self.spoke + self._patience.speak_after)
