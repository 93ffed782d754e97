"""A client's rooms: cursors, pages, what must have been shown before an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from hubbub import frames
from tests.faults import history

if TYPE_CHECKING:
    from tests.simulation.asking import Ask
    from tests.simulation.device import Device

Frame: TypeAlias = dict[str, Any]
KNOWN = 8  # messages of a room that are remembered, to be edited and the like
PAGE = 7  # entries of one page: so few that paging takes several


class Room:
    """One stay of one client in a room.

    Attributes:
        cursor: up to here it has everything.
        is_live: what follows comes by itself; else it is paged.
        fell: how often it fell behind.
        seen: the highest number of what came too early to be shown, in a stay that is disturbed.
        is_doubted: perhaps it is out of it; the owner was asked.
        is_disturbed: a page that was asked for in an earlier stay may have made this one live
            without what lies between, which is to be paged.
    """

    __slots__ = (
        "cursor",
        "fell",
        "is_disturbed",
        "is_doubted",
        "is_live",
        "is_private",
        "mine",
        "others",
        "seen",
    )

    def __init__(self, cursor: int, *, is_private: bool) -> None:
        self.cursor = cursor
        self.is_live = True
        self.is_private = is_private
        self.fell = 0
        self.is_disturbed = False
        self.is_doubted = False
        self.seen = 0
        self.mine: list[int] = []
        self.others: list[int] = []


class Rooms:
    """All rooms of a client."""

    def __init__(self, device: Device, *, newest: bool) -> None:
        self.epoch = 0
        self.comings = 0  # how often one was told to be in a room
        self.inside: dict[str, Room] = {}
        self.left: dict[str, int] = {}  # public rooms that one was in -> the cursor
        self._device = device
        self._newest = newest

    @property
    def are_live(self) -> bool:
        """Whether nothing is to be paged."""
        return all(room.is_live for room in self.inside.values())

    def cursors(self) -> dict[str, int]:
        """For `resume`."""
        return {name: room.cursor for name, room in self.inside.items()}

    # --- in and out -----------------------------------------------------------------------

    def enter(self, name: str, head: int, private: bool) -> None:
        """It is in a room, and what follows is above `head`."""
        device = self._device
        self.comings += 1
        known = self.inside.get(name)
        room = self.inside[name] = Room(head, is_private=private or name.startswith("@"))
        if known is not None:
            room.mine, room.others = known.mine, known.others
        device.note(history.Entered(device.world.now, device.client, name, head))

    def leave(self, name: str, why: str) -> None:
        """It is in a room no more."""
        device = self._device
        room = self.inside.pop(name, None)
        if room is not None and not room.is_private:
            self.left[name] = room.cursor
        device.note(history.Out(device.world.now, device.client, name, why))

    def forget(self) -> list[str]:
        """The session is over; the names of the rooms are returned."""
        names = list(self.inside)
        self.inside.clear()
        self.left.clear()
        return names

    def connection_lost(self) -> None:
        """What was asked for is asked for again when there is another one."""
        for room in self.inside.values():
            room.is_live = True  # `behind` will say where it is not so

    def welcomed(self, frame: Frame) -> None:
        """The rooms of the session, as a `welcome` tells; cursors were sent with `resume`."""
        device = self._device
        before = self.inside
        self.inside = {}
        self.epoch = frame["epoch"]
        for state in frame.get("rooms", ()):
            name, head = state["room"], state.get("head", 0)
            known = before.get(name)
            cursor = head if known is None else known.cursor
            self.enter(name, cursor, state.get("private", False))
            room = self.inside[name]
            if known is not None:
                room.mine, room.others = known.mine, known.others
            if cursor > head:
                device.find("reader", name, f"{device.client} has {cursor}, the head is {head}")
        for name, room in before.items():
            if name not in self.inside and not room.is_private:
                self.left[name] = room.cursor

    def answered(self, ask: Ask, seq: int, frame: Frame, *, comings: int) -> None:
        """Something that was asked for was answered.

        Args:
            comings: what they were when it was asked first.
        """
        name = ask.room
        if ask.op == "join":
            cursor = frame["head"] if ask.since is None else ask.since
            self.enter(name, cursor, frame.get("private", False))
        elif ask.op == "leave":
            room = self.inside.get(name)
            if room is not None and self.comings == comings:
                self.leave(name, "left")
            elif room is not None:
                room.is_doubted = True
                self._see_whether_inside(name, room)
        elif seq:
            self._is_shown(name, seq, "it was answered")
            if self._newest and (room := self.inside.get(name)) is not None:
                room.cursor = max(room.cursor, seq)

    def _see_whether_inside(self, name: str, room: Room) -> None:
        """The `ok` does not say whether what was told of rooms meanwhile came before or after the
        leave: the owner knows.
        """
        device = self._device

        def told(frame: Frame) -> None:
            if frame["t"] == "error":
                device.world.after(0.2, self._see_whether_inside, name, room)
            elif self.inside.get(name) is room:
                room.is_doubted = False
                room.fell += 1
                if all(state["room"] != name for state in frame["rooms"]):
                    self.leave(name, "left")

        if device.is_ready and self.inside.get(name) is room:
            device.send(frames.Unread(device.next_ref()), told)

    # --- entries --------------------------------------------------------------------------

    def entry(self, frame: Frame) -> None:
        """An entry that came by itself, or stood in a page."""
        device = self._device
        name, seq, kind = frame["room"], frame["seq"], frame["t"]
        if kind == "event":
            kind = frame["kind"]
        room = self.inside.get(name)
        if room is not None and room.is_disturbed and seq != room.cursor + 1:
            room.seen = max(seq, room.seen)
            if seq > room.cursor and room.is_live:
                room.is_live = False
                self._page(name, room)
            return
        sender = frame["sender"]
        text, of = frame.get("text", ""), frame.get("of", 0)
        device.note(
            history.Shown(device.world.now, device.client, name, seq, kind, sender, text, of)
        )
        if room is None:
            return
        room.cursor = max(seq, room.cursor) if self._newest else seq
        if kind == "joined" and sender == device.sender:
            self.comings += 1
        if kind == "message":
            known = room.mine if sender == device.sender else room.others
            known.append(seq)
            if len(known) > KNOWN:
                del known[0]

    def behind(self, frame: Frame) -> None:
        """What follows is to be paged."""
        device, name = self._device, frame["room"]
        room = self.inside.get(name)
        if room is None:
            device.find("reader", name, f"{device.client} is behind and not in it")
            return
        if frame["next"] != room.cursor + 1:
            text = f"{device.client} is told to go on at {frame['next']} after {room.cursor}"
            device.find("reader", name, text)
        device.world.counts["behind"] += 1
        room.fell += 1
        if self._newest:
            room.cursor = max(room.cursor, frame.get("head", 0))
        if room.is_live:
            room.is_live = False
            self._page(name, room)

    def _page(self, name: str, room: Room) -> None:
        device = self._device
        if self.inside.get(name) is not room or not device.is_ready:
            return
        ref = device.next_ref()
        question = frames.History(ref, name, after=room.cursor, limit=PAGE, epoch=self.epoch)
        device.send(question, lambda frame: self._paged(name, room, frame))

    def _paged(self, name: str, room: Room, frame: Frame) -> None:
        device = self._device
        current = self.inside.get(name)
        if current is not room:
            if current is not None:
                current.is_disturbed = True
            return
        if frame["t"] == "error":
            device.world.after(0.2, self._page, name, room)
            return
        for event in frame["events"]:
            self.entry(event)
        if frame.get("more") or room.seen > room.cursor:
            self._page(name, room)
        else:
            room.is_live = True

    # --- what stands before what ----------------------------------------------------------

    def ping(self) -> None:
        """Ask for the barrier; whether it was one is seen when it is there."""
        device = self._device
        expected = {
            name: (room, room.fell, device.acknowledged.get(name, 0))
            for name, room in self.inside.items()
            if room.is_live
        }
        device.send(frames.Ping(device.next_ref()), lambda frame: self._ponged(expected, frame))

    def _ponged(self, expected: dict[str, tuple[Room, int, int]], frame: Frame) -> None:
        if frame["t"] == "error":
            return
        self._device.world.counts["barriers"] += 1
        for name, (room, fell, seq) in expected.items():
            if self.inside.get(name) is room and room.fell == fell:
                self._is_shown(name, seq, "the barrier")

    def _is_shown(self, name: str, seq: int, before: str) -> None:
        device, room = self._device, self.inside.get(name)
        # Whoever has asked to leave is out some time before the answer.
        if any(ask.op == "leave" and ask.room == name for ask in device.asks.values()):
            return
        if room is not None and room.is_live and not room.is_doubted and room.cursor < seq:
            text = f"{device.client} was shown up to {room.cursor} of {seq} before {before}"
            device.find("barrier", name, text)
