"""Whether this gateway is in step with the owner, and the question that puts it in step. Pure."""

from __future__ import annotations

import msgspec

from gateway.repeats import Repeats
from hubbub.wire import Synced


class Sync:
    """One question at a time, repeated until its own answer comes; it begins as needed."""

    def __init__(self) -> None:
        self.needed = True
        self.no = 0
        self._repeats: Repeats | None = None
        self._place = (0, 0)  # term and position of the parts that are there
        self._parts: dict[int, Synced] = {}

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

    def answer(self, frame: Synced) -> Synced | None:
        """Take one part of an answer: the whole of it once all parts are there, else None.

        Parts belong together when they have one position: asked again, the owner answers anew.
        """
        if not self.needed or frame.no != self.no:
            return None
        place = frame.term, frame.position
        if place != self._place:
            self._place = place
            self._parts = {}
        self._parts[frame.part] = frame
        if len(self._parts) < frame.parts:
            return None
        parts = [self._parts[part] for part in sorted(self._parts)]
        self.needed = False
        self._parts = {}
        return msgspec.structs.replace(
            frame,
            over=sorted({session for part in parts for session in part.over}),
            rooms=[room for part in parts for room in part.rooms],
            unknown_rooms=sorted({room for part in parts for room in part.unknown_rooms}),
            inside=list(dict(one for part in parts for one in part.inside).items()),
            part=0,
            parts=1,
        )
