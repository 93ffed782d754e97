"""One's own lines that are on their way: shown beneath the transcript until they stand in it. Pure.

A line is *pending* until the server has stored it, also over lost connections; then its message
comes back with a number, and either may be heard of first.
"""

from __future__ import annotations

import dataclasses

from hubbub.frames import Event, Message
from hubbub.names import name_key

MOST = 5  # lines shown; more would push the transcript off the screen
WIDEST = 200  # characters of one


@dataclasses.dataclass(eq=False)
class PendingLine:
    """One line. `seq`: its number once it is stored."""

    room: str
    text: str
    shown: str
    seq: int = 0


class Pending:
    """The lines on their way, in the order they were said."""

    def __init__(self) -> None:
        self._lines: list[PendingLine] = []
        self._heads: dict[str, int] = {}  # room key: the highest number shown

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, room: str, text: str, shown: str) -> PendingLine:
        """A line was said; `shown` is how it is to look."""
        line = PendingLine(room, text, shown)
        self._lines.append(line)
        return line

    def stored(self, line: PendingLine, seq: int) -> None:
        """The server has it."""
        line.seq = seq
        if self._heads.get(name_key(line.room), 0) >= seq:
            self.drop(line)

    def drop(self, line: PendingLine) -> None:
        """It failed, or will not be shown."""
        if line in self._lines:
            self._lines.remove(line)

    def drop_room(self, room: str) -> None:
        """Nothing of this room will be shown any more."""
        key = name_key(room)
        self._lines = [line for line in self._lines if not line.seq or name_key(line.room) != key]

    def shown(self, room: str, seq: int, own: Message | Event | None = None) -> None:
        """An entry of a room stands in the transcript; `own`: and is one's own message."""
        key = name_key(room)
        self._heads[key] = max(seq, self._heads.get(key, 0))
        done = next(
            (line for line in self._lines if line.seq and line.seq <= seq
             and name_key(line.room) == key), None
        )  # fmt: skip
        text = own.text if isinstance(own, Message) else None
        if done is None and text is not None:
            # Not acknowledged yet. Lines are stored in their order, so the first such is meant.
            done = next(
                (line for line in self._lines if not line.seq and line.text == text
                 and name_key(line.room) == key), None
            )  # fmt: skip
        if done is not None:
            self.drop(done)

    def lines(self) -> list[str]:
        """What to show, the oldest first; of long ones the beginning."""
        shown = [line.shown[:WIDEST] for line in self._lines[:MOST]]
        more = len(self._lines) - len(shown)
        return [*shown, *([f"({more} more)"] if more else [])]
