"""Connections on the bare protocol: what the servers really send, in the order in which it comes.

A `Connection` is a client of its own in the history, an exact one. `Hand` (hands.py) makes them,
one after the other, and retries and resumes by hand.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgpack

from tests.faults.notes import UNSURE, Notes, Request
from tests.faults.people import People, Person, Wish
from tests.native import AnsweredError, ClosedError, Fields, RawClient
from tests.support import Address, slack

PAGE = 100  # entries asked for at once
GREET_WITHIN = 2.0  # seconds
SMALLEST = 4096  # bytes: as small a receive buffer as the kernel gives

# What a request of each kind is on the wire, besides its room.
_FRAMES: dict[str, Callable[[Wish], Fields]] = {
    "say": lambda wish: {"t": "say", "text": wish.text},
    "edit": lambda wish: {"t": "edit", "seq": wish.of, "text": wish.text},
    "delete": lambda wish: {"t": "delete", "seq": wish.of},
    "react": lambda wish: {"t": "react", "seq": wish.of, "reaction": wish.text},
    "unreact": lambda wish: {"t": "react", "seq": wish.of, "reaction": wish.text, "on": False},
    "join": lambda wish: {"t": "join"},
    "leave": lambda wish: {"t": "leave"},
    "topic": lambda wish: {"t": "topic", "text": wish.text},
    "private": lambda wish: {"t": "visibility", "private": True},
    "public": lambda wish: {"t": "visibility", "private": False},
    "invite": lambda wish: {"t": "invite", "name": wish.whom},
    "kick": lambda wish: {"t": "kick", "name": wish.whom, "text": wish.text},
    "ban": lambda wish: {"t": "ban", "name": wish.whom, "text": wish.text},
    "unban": lambda wish: {"t": "unban", "name": wish.whom},
    "role": lambda wish: {"t": "role", "name": wish.whom, "role": wish.text},
    "mute": lambda wish: {"t": "mute", "name": wish.whom, "text": wish.text},
    "unmute": lambda wish: {"t": "mute", "name": wish.whom, "on": False},
    "nick": lambda wish: {"t": "nick", "name": wish.text},
}


async def dial(address: Address, *, deaf: bool = False) -> RawClient:
    """A connection on which nothing was said yet. `deaf`: little fits into it unread."""
    own = socket.socket()
    try:
        if deaf:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST)
        own.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(slack(GREET_WITHIN)):
            await loop.sock_connect(own, address)
            _, client = await loop.create_connection(RawClient, sock=own)
    except BaseException:
        own.close()
        raise
    return client


class Connection:
    """One connection of a person.

    Args:
        unsure: is told of each request whose outcome is not known.

    Attributes:
        cursors: room that it is in -> the number up to which it was shown everything.
        behind: rooms of them that it has to page.
        pending: requests on their way.
    """

    def __init__(
        self,
        client: RawClient,
        notes: Notes,
        people: People,
        person: Person,
        name: str,
        unsure: Callable[[Request], None],
    ) -> None:
        self.client = client
        self.name = name
        self.person = person
        self.token = ""
        self.epoch = 0
        self.cursors: dict[str, int] = {}
        self.behind: set[str] = set()
        self.pending: dict[int, Request] = {}
        self._notes = notes
        self._people = people
        self._unsure = unsure
        self._marks: dict[str, int] = {}
        self._leaving: Counter[str] = Counter()
        self._undone: set[str] = set()  # joins answered when the person was out again
        self._comings = 0  # how often the server said by itself that one is in a room
        self._ref = 10**6  # above those that the client itself gives
        self._waiting: dict[int, Callable[[Fields], None]] = {}
        self._greeted = False
        self._cursors: Mapping[str, int] = {}  # that it resumed with
        client.on_frame = self._take
        self._lost = asyncio.create_task(self._until_lost(), name=f"{name} is lost")

    # --- greeting -------------------------------------------------------------------------------

    async def login(self) -> None:
        """Begin a session, by the device that the person has.

        Raises:
            AnsweredError, ClosedError, TimeoutError: it could not.
        """
        await self._greet({}, "login", token=self.person.token)

    async def resume(self, token: str, epoch: int, cursors: Mapping[str, int]) -> None:
        """Continue a session of another connection where that one was.

        Raises:
            AnsweredError, ClosedError, TimeoutError: it could not.
        """
        await self._greet(cursors, "resume", token=token, epoch=epoch, rooms=dict(cursors))

    async def _greet(self, cursors: Mapping[str, int], t: str, **fields: Any) -> None:
        self._cursors = cursors
        answer = self.client.send(t, id=os.urandom(16), **fields)
        async with asyncio.timeout(slack(GREET_WITHIN)):
            frame = await answer
        if frame["t"] == "error":
            raise AnsweredError(frame)

    def _welcome(self, frame: Fields) -> None:
        self._greeted = True
        self.token, self.epoch = frame["token"], frame["epoch"]
        notes, name = self._notes, self.name
        notes.client(name, self.person, frame["sender"], exact=True)
        notes.back(name, frame.get("gateway", ""), bool(self._cursors))
        for state in frame.get("rooms", []):
            room = state["room"]
            self._enter(room, self._cursors.get(room, state.get("head", 0)))

    # --- its end --------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self.client.is_closed

    def abort(self) -> None:
        """Cut it, without a word."""
        self.client.abort()

    async def ends(self, within: float | None = None) -> bool:
        """Wait for its end, for so many seconds; whether it has come."""
        await asyncio.wait([self._lost], timeout=within)
        return self._lost.done()

    async def _until_lost(self) -> None:
        while not self.client.is_closed:
            try:
                await self.client.closed(within=600)
            except TimeoutError:
                continue
        for request in self.pending.values():
            self._notes.unknown(request)
            self._unsure(request)
        self.pending.clear()
        if self._greeted:
            self._notes.cut(self.name, "the connection ended")
            self._notes.over(self.name, "the connection ended")

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, wish: Wish, id: bytes | None = None) -> Request | None:
        """Ask for something, or with its `id` once more; None when nothing can be asked here."""
        if self.is_closed:
            return None
        request = self._notes.asks(self.name, wish, id)
        fields = _FRAMES[wish.op](wish)
        if wish.op == "leave":
            self._leaving[wish.room] += 1
        ref = self._send(partial(self._outcome, request, self._comings), fields, wish.room, request)
        self.pending[ref] = request
        return request

    def _send(
        self,
        take: Callable[[Fields], None],
        fields: Fields,
        room: str,
        request: Request | None = None,
    ) -> int:
        self._ref += 1
        own = {} if request is None else {"id": request.id}
        self.client.send_bytes(msgpack.packb({"ref": self._ref, "room": room, **own, **fields}))
        self._waiting[self._ref] = take
        return self._ref

    async def settled(self, within: float) -> bool:
        """Wait until everything asked here has an outcome, for so many seconds; whether it has."""
        try:
            await self.client.until(lambda: not self.pending, within)
        except (ClosedError, TimeoutError):
            return False
        return True

    def _outcome(self, request: Request, comings: int, frame: Fields) -> None:
        self.pending.pop(frame["ref"], None)
        wish, notes = request.wish, self._notes
        if wish.op == "leave":
            self._leaving[wish.room] -= 1
        if frame["t"] == "error":
            code = frame["code"]
            if code in UNSURE:
                notes.unknown(request)
                self._unsure(request)
            else:
                notes.refused(request, code, frame["text"])
            return
        seq = frame.get("seq", 0)
        notes.answered(request, seq)
        self._people.fulfilled(self.person, wish, seq, request.id)
        room = frame.get("room", "")
        if wish.op == "join":
            if room not in self.cursors and frame.get("members"):
                self._enter(room, frame.get("head", 0))
            elif room not in self.cursors:
                self._undone.add(room)
        elif wish.op == "leave" and room in self.cursors:
            if comings != self._comings:
                self.abort()  # whether the room was entered again since, it does not say
            else:
                self._out(room, "left")
        elif wish.op == "say" and room not in self.behind and self.cursors.get(room, seq) < seq:
            shown = self.cursors[room]
            notes.find(f"{self.name} was answered {seq} in {room} when it was shown {shown}")

    # --- what comes -----------------------------------------------------------------------------

    def _take(self, frame: Fields) -> None:
        waiting = self._waiting.pop(frame["ref"], None) if "ref" in frame else None
        room = frame.get("room", "")
        match frame["t"]:
            case _ if waiting is not None:
                waiting(frame)
            case "welcome":
                self._welcome(frame)
            case "message" | "event":
                self._entry(frame)
            case "joined":
                self._comings += 1
                if room in self.cursors and not self._leaving[room]:
                    self._find(f"was told that it joined {room}, where it was")
                self._enter(room, frame.get("head", 0))
            case "parted":
                if room not in self.cursors and room not in self._undone:
                    self._find(f"was told that it parted from {room}, where it was not")
                self._undone.discard(room)
                self._out(room, frame.get("why", "parted"))
            case "marked":
                if frame["mark"] < self._marks.get(room, 0):
                    self._find(f"the mark in {room} went back to {frame['mark']}")
                self._marks[room] = frame["mark"]
            case "presence" if room not in self.cursors and not self._leaving[room]:
                self._find(f"was told of presence in {room}, where it was not: {frame}")
            case "behind":
                self._fall_behind(room, frame)

    def _find(self, text: str) -> None:
        self._notes.find(f"{self.name} {text}")

    def _enter(self, room: str, head: int) -> None:
        self.cursors[room] = head
        self.behind.discard(room)
        self._notes.entered(self.name, room, head)

    def _out(self, room: str, why: str) -> None:
        self.cursors.pop(room, None)
        self.behind.discard(room)
        self._notes.out(self.name, room, why)

    def _entry(self, frame: Fields) -> None:
        if frame["room"] in self.behind:
            self._find(f"was sent {frame['seq']} of {frame['room']}, where it is behind")
        self._show(frame)

    def _show(self, entry: Fields) -> None:
        room, seq = entry["room"], entry["seq"]
        self.cursors[room] = seq
        kind = "message" if entry["t"] == "message" else entry["kind"]
        text, of, to = entry.get("text", ""), entry.get("of", 0), entry.get("to", "")
        self._notes.shown(self.name, room, seq, kind, entry["sender"], text, of, to)

    def _fall_behind(self, room: str, frame: Fields) -> None:
        self._notes.behind["resumed" if room in self._cursors else "slow"] += 1
        if room not in self.cursors:
            self._find(f"was told to be behind in {room}, where it was not")
            return
        if frame["next"] > self.cursors[room] + 1:
            self._find(f"was told to page {room} from {frame['next']}, not {self.cursors[room]}")
        self.behind.add(room)
        self._page(room)

    def _page(self, room: str) -> None:
        if room in self.behind and not self.is_closed:
            after = {"t": "history", "after": self.cursors[room], "limit": PAGE}
            self._send(partial(self._paged, room), {**after, "epoch": self.epoch}, room)

    def _paged(self, room: str, frame: Fields) -> None:
        if room not in self.behind:
            return  # it was left meanwhile
        if frame["t"] == "error":
            if frame["code"] in ("not_member", "no_such_room", "not_allowed", "banned"):
                self.abort()  # the answer is of a time at which it was out already
            elif frame["code"] in UNSURE:
                asyncio.get_running_loop().call_later(0.2, self._page, room)
            else:
                self._find(f"was refused a page of {room}: {frame['code']}, {frame['text']}")
            return
        if frame.get("first", 1) > self.cursors[room] + 1:
            first, last = self.cursors[room] + 1, frame["first"] - 1
            self._notes.lacking(self.name, room, first, last)
            self.cursors[room] = last
        for entry in frame["events"]:
            self._show(entry)
        if frame.get("more"):
            self._page(room)
        else:
            self.behind.discard(room)
