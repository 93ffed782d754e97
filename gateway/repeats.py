"""When to ask again: after 0.2 s, then twice as long each time, at most every second. Pure."""

from __future__ import annotations

FIRST_REPEAT = 0.2  # seconds
LONGEST_REPEAT = 1.0  # seconds


class Repeats:
    """The schedule of one question that is repeated until answered."""

    __slots__ = ("_due", "_wait")

    def __init__(self, now: float) -> None:
        self._wait = FIRST_REPEAT
        self._due = now + FIRST_REPEAT

    def is_due(self, now: float) -> bool:
        """True when it is time to ask again; the next time is then set."""
        if now < self._due:
            return False
        self._wait = min(2 * self._wait, LONGEST_REPEAT)
        self._due = now + self._wait
        return True
