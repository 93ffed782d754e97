"""Who can be named, and who is typing, as far as a conversation has been told. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hubbub.cli.completer import Known
from hubbub.cli.render import visible
from hubbub.frames import Event, Message, Person, Presence, Typists
from hubbub.names import name_key

TYPING_FOR = 5.0  # seconds that "is typing" holds
SAID_JUST_NOW = 0.7  # seconds after a message in which its "is typing" may still be on its way
TYPING_EVERY = 3.0  # seconds between tellings that one is typing
MOST_NAMES = 5000  # remembered beside the rosters


class People:
    """Names and rooms heard of, and who is typing. Times are in seconds."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}  # the last heard of last
        self._rooms: dict[str, str] = {}  # key: as it is spelled
        self._typing: dict[tuple[str, int], tuple[str, float]] = {}  # until when
        self._said: dict[tuple[str, int], float] = {}  # when, of late
        self._told_typing: tuple[str, float] = ("", -TYPING_EVERY)

    # --- what is heard -------------------------------------------------------------------------

    def take(self, event: Message | Event | Presence, now: float) -> None:
        """Something happened in a room."""
        self._hear(event.name)
        if isinstance(event, Message) or (isinstance(event, Presence) and event.change == "left"):
            who = (name_key(event.room), event.sender)
            self._typing.pop(who, None)
            self._said = {at: t for at, t in self._said.items() if t > now - SAID_JUST_NOW}
            self._said[who] = now
        elif isinstance(event, Event) and event.kind == "renamed":
            self._names.pop(event.name, None)
            self._hear(event.to)

    def take_names(self, names: Iterable[str], rooms: Iterable[str]) -> None:
        """People and rooms that there are."""
        for name in names:
            self._hear(name)
        self._rooms |= {name_key(room): room for room in rooms}

    def take_typing(self, event: Typists, now: float) -> None:
        """Somebody is typing."""
        who = (name_key(event.room), event.sender)
        if now - self._said.get(who, -SAID_JUST_NOW) >= SAID_JUST_NOW:
            self._typing[who] = (event.name, now + TYPING_FOR)

    def _hear(self, name: str) -> None:
        self._names.pop(name, None)
        self._names[name] = None
        if len(self._names) > MOST_NAMES:
            del self._names[next(iter(self._names))]

    # --- what is known -------------------------------------------------------------------------

    def known(self, here: Iterable[Person], joined: Iterable[str]) -> Known:
        """What Tab offers, with those who are in the room and the rooms that one is in."""
        names = {name_key(name): name for name in (*self._names, *(one.name for one in here))}
        rooms = self._rooms | {name_key(room): room for room in joined}
        return Known(list(names.values()), list(rooms.values()))

    def toolbar(self, room: str, peer: Person | None, now: float) -> str:
        """What stands beneath the typed line: who is typing, or that the other is not here."""
        key = name_key(room)
        self._typing = {at: who for at, who in self._typing.items() if who[1] > now}
        names = sorted(name for (where, _), (name, _) in self._typing.items() if where == key)
        if len(names) > 3:
            return "several people are typing"
        if names:
            listed = " and ".join(map(visible, names))
            return f"{listed} {'is' if len(names) == 1 else 'are'} typing"
        if peer is None or peer.state == "here":
            return ""
        said = f": {visible(peer.away)}" if peer.away else ""
        return f"{visible(peer.name)} is {visible(peer.state)}{said}"

    # --- what one types oneself ----------------------------------------------------------------

    def tells_typing(self, room: str, line: str, now: float) -> bool:
        """Whether others are to be told now that one is typing; at most every few seconds."""
        if not room or not line.strip() or (line.startswith("/") and not line.startswith("//")):
            return False
        where, since = self._told_typing
        if where == room and now - since < TYPING_EVERY:
            return False
        self._told_typing = (room, now)
        return True
