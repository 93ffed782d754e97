"""How what happens becomes lines on a screen: which of it, with which marks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from hubbub.cli.render import Shown, is_direct, json_line, line_of, time_of, visible
from hubbub.client import Client
from hubbub.frames import Event, Message, Presence
from hubbub.names import name_key

# What is not shown of somebody who is blocked; what they do to a room concerns everybody in it.
_BLOCKED_KINDS = frozenset(
    {"edited", "deleted", "reacted", "unreacted", "joined", "parted", "renamed"}
)


@dataclasses.dataclass(kw_only=True)
class Look:
    """How things are shown. `typed`: a person sits at a terminal and sees the last of a room."""

    json: bool = False
    timestamps: bool = False
    typed: bool = False
    numbers: bool = True
    bell: bool = True


class Screen(Protocol):
    """Where a conversation is shown, and who is asked."""

    def show(self, line: Shown) -> None:
        """One line of the conversation."""

    def tell(self, text: str) -> None:
        """One line about it: errors, and the state of the connection."""

    def ring(self) -> None:
        """Somebody wants attention."""

    def redraw(self) -> None:
        """What stands around the typed line may have changed."""

    def end(self) -> None:
        """Nothing more is to be typed."""

    async def secret(self, what: str) -> str | None:
        """A password, None when the person would rather not say it."""


class Transcript:
    """What one client is shown, on one screen. `current` is the room that one is talking in."""

    def __init__(self, client: Client, look: Look, screen: Screen) -> None:
        self._client = client
        self._look = look
        self._screen = screen
        self._renaming = (0, "")  # the last that was shown

    def show(self, event: Message | Event | Presence, current: str) -> None:
        """An event of a room, if there is anything to see."""
        if self._look.json:
            self._screen.show(Shown(json_line(event)))
            return
        line = line_of(event)
        if line is None:
            return
        if self._look.typed and isinstance(event, Event) and event.kind == "renamed":
            renaming = (event.sender, event.to)
            if renaming == self._renaming:
                return  # told in each room that one shares with them
            self._renaming = renaming
        if self.names_room(event.room, current):
            line = f"[{visible(event.room)}] {line}"
        if self._look.timestamps:
            line = f"{time_of(event)} {line}"
        loud = self._client.sender in getattr(event, "mentions", ())
        number = event.seq if isinstance(event, Message) and self._look.numbers else 0
        self._screen.show(Shown(line, number, loud, quiet=not isinstance(event, Message)))

    def hides(self, event: Message | Event | Presence) -> bool:
        """Whether it is of somebody whom one has blocked."""
        if event.sender not in self._client.blocked:
            return False
        return not isinstance(event, Event) or event.kind in _BLOCKED_KINDS

    def rings(self, message: Message, current: str) -> bool:
        """Whether it calls for attention: it names one, or was said to one alone, elsewhere."""
        if not self._look.bell or message.sender == self._client.sender:
            return False
        alone = is_direct(message.room) and name_key(message.room) != name_key(current)
        return alone or self._client.sender in message.mentions

    def names_room(self, room: str, current: str) -> bool:
        """Whether a line must say where it was said."""
        if self._look.typed:
            return name_key(room) != name_key(current)
        # A program is not told which is current.
        return is_direct(room) or sum(not is_direct(each) for each in self._client.joined) > 1

    def note(self, line: str, frame: object = None) -> None:
        """One line about the conversation; in a stream of JSON objects `frame`, if it is one."""
        if not self._look.json:
            self._screen.show(Shown(line, quiet=True))
        elif frame is not None:
            self._screen.show(Shown(json_line(frame)))
        else:
            self._screen.tell(line)

    def answer(self, frame: object, lines: Sequence[str]) -> None:
        """What was asked for, as lines or as JSON."""
        for line in [json_line(frame)] if self._look.json else lines:
            self._screen.show(Shown(line, quiet=True))
