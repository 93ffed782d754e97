"""Whether this gateway is in step with the owner, and the question that puts it in step. Pure."""

from __future__ import annotations

from gateway.repeats import Repeats


class Sync:
    """One question at a time, repeated until its own answer comes; it begins as needed."""

    def __init__(self) -> None:
        self.needed = True
        self.no = 0
        self._repeats: Repeats | None = None

    def need(self) -> None:
        """Ask anew: an answer on its way was given before what happened now."""
        self.needed = True
        self.no += 1
        self._repeats = None

    def ask(self, now: float) -> tuple[bool, bool]:
        """Whether to send the question now, and whether it has been sent before."""
        if not self.needed:
            return False, False
        if self._repeats is None:
            self._repeats = Repeats(now)
            return True, False
        return self._repeats.is_due(now), True

    def answer(self, no: int) -> bool:
        """Take the answer to question `no`: False when it is not the one that is waited for."""
        if not self.needed or no != self.no:
            return False
        self.needed = False
        return True
