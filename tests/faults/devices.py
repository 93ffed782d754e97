"""Devices on the client library: they reconnect, resume and retry by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import hubbub
from hubbub.client import Client
from hubbub.client_events import ClientEvent, Lacking, RoomLost
from hubbub.errors import HubbubError, OutcomeUnknown, Refused
from hubbub.frames import Event, Joined, Marked, Message, Parted
from tests.faults.notes import UNSURE, Notes, Request, passes
from tests.faults.people import MOVES, PRIVATE, People, Person, Wish
from tests.support import slack

PASSWORD = "correct horse battery"
AT_ONCE = 8  # wishes of one device under way: a cluster that is away piles up no more
ACT_WITHIN = 90.0  # seconds; the library gives up after 60


class Device:
    """One client of the library for all its life; its own task, `run`.

    Attributes:
        name: of its client in the history. A guest that becomes another has another.
        open: done when it has come; its result is whether it has.
        over: why it has ended; None while it has not.
        connected: whether it has a connection, as far as it was told.
        at: room -> the number up to which it was shown everything.
    """

    def __init__(
        self, notes: Notes, people: People, person: Person, servers: Sequence[str], name: str
    ) -> None:
        self.person = person
        self.name = name
        self.open: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.over: str | None = None
        self.connected = False
        self.sender = 0
        self.at: dict[str, int] = {}
        self._notes = notes
        self._people = people
        self._base = name
        self._inside: set[str] = set()
        self._marks: dict[str, int] = {}
        self._under_way: dict[Request, None] = {}  # in the order in which they were asked
        self._moving: set[str] = set()
        is_known = person.account and person.sender
        by_password = is_known and person.has_own_name  # else nobody knows what it is called now
        self.client: Client = hubbub.connect(
            *servers,
            name=person.name,
            password=PASSWORD if by_password else None,
            device=person.token if is_known else None,
            connect_within=slack(20),
        )

    # --- its life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Come, and read until it has ended or is cancelled."""
        try:
            async with self.client as client:
                if self.person.account and not self.person.sender:
                    await client.register(PASSWORD)
                self._begin()
                async for event in client:
                    self._take(event)
            self._end("closed")
        except HubbubError as error:
            self._end(str(getattr(error, "code", error)))
        except Exception as error:
            self._notes.find(f"{self.name} has crashed: {error!r}")
            self._end(repr(error))
        finally:
            if not self.open.done():
                self.open.set_result(False)

    def _begin(self) -> None:
        client, person = self.client, self.person
        person.sender = self.sender = client.sender
        person.token = client.device
        self._notes.client(self.name, person, self.sender)
        self._notes.back(self.name, client.gateway, False)
        self.connected = True
        # What has come since the greeting is above the heads that this told.
        early: list[ClientEvent] = []
        while (event := client.event_nowait()) is not None:
            early.append(event)
        first: dict[str, int] = {}
        for event in early:
            if isinstance(event, Message | Event):
                # By what it is for everybody: of two people one may take another name just now.
                first.setdefault(self.canonical(event.room), event.seq)
        for room in client.joined:
            view = client.state(room)
            if view is not None:
                self._enter(room, first.get(self.canonical(room), view.head + 1) - 1)
        for event in early:
            self._take(event)
        self.open.set_result(True)

    def _end(self, why: str) -> None:
        self.over = why
        self.connected = False
        if self.open.done():
            self._notes.over(self.name, why)

    @property
    def inside(self) -> list[str]:
        """The rooms that it believes itself in."""
        return [self.canonical(room) for room in self.client.joined]

    def canonical(self, room: str) -> str:
        """The name of a room that is the same for everybody."""
        return self._people.canonical(room, self.sender)

    # --- what it is shown -----------------------------------------------------------------------

    def _take(self, event: ClientEvent) -> None:
        notes, name = self._notes, self.name
        match event:
            case Message():
                self._show(event, "message", 0, "")
            case Event():
                self._show(event, event.kind, event.of, event.to)
            case Joined():
                self._enter(event.room, event.head)
            case Parted():
                self._leave(event.room, event.why)
            case RoomLost():
                self._leave(event.room, "lost")
            case Lacking():
                room = self.canonical(event.room)
                self.at[room] = event.last
                notes.lacking(name, room, event.first, event.last)
            case Marked():
                self._mark(self.canonical(event.room), event.mark)
            case hubbub.Disconnected():
                self.connected = False
                notes.cut(name, event.why)
            case hubbub.Reconnected():
                self._is_back(event.resumed)
            case hubbub.EpochReset():
                notes.find(f"{name}: the numbering began anew")

    def _show(self, entry: Message | Event, kind: str, of: int, to: str) -> None:
        room = self.canonical(entry.room)
        self.at[room] = entry.seq
        self._notes.shown(self.name, room, entry.seq, kind, entry.sender, entry.text, of, to)

    def _enter(self, room: str, head: int) -> None:
        room = self.canonical(room)
        self._inside.add(room)
        self.at[room] = head
        self._notes.entered(self.name, room, head)

    def _leave(self, room: str, why: str) -> None:
        room = self.canonical(room)
        self._inside.discard(room)
        self._notes.out(self.name, room, why)

    def _mark(self, room: str, mark: int) -> None:
        if mark < self._marks.get(room, 0):
            was = self._marks[room]
            self._notes.find(f"{self.name}: the mark in {room} went back from {was} to {mark}")
        self._marks[room] = mark

    def _is_back(self, resumed: bool) -> None:
        if self.client.sender != self.sender:
            self._become(self.client.sender)
        self.connected = True
        self._notes.back(self.name, self.client.gateway, resumed)

    def _become(self, sender: int) -> None:
        """The session of a guest was over: it has another number, so it is somebody else.

        What it asked and was not answered is asked anew by the library, or was given up.
        """
        notes, before = self._notes, self.name
        self.person.sender = self.sender = sender
        self.name = f"{self._base}={sender}"
        notes.client(self.name, self.person, sender)
        for request in self._under_way:
            notes.passes_to(self.name, request)
        for room in sorted(self._inside):
            notes.entered(self.name, room, self.at.get(room, 0))
        notes.over(before, "another guest now")

    def settle(self) -> None:
        """Note what it is out of and was not told: an answer and an event may cross each other."""
        for room in sorted(self._inside - set(self.inside)):
            self._leave(room, "at the end")

    # --- what it does ---------------------------------------------------------------------------

    async def act(self, pause: float, random: Random, quiet: asyncio.Event) -> None:
        """Do what its person wants, until it has ended or everybody is to be quiet.

        Args:
            pause: seconds between two wishes, about.
        """
        busy: set[asyncio.Task[Request | None]] = set()
        try:
            while not quiet.is_set() and self.over is None:
                await passes(quiet, pause * (0.5 + random.random()))
                if len(busy) >= AT_ONCE:
                    await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                    continue
                for wish in self._people.wishes(self.person, self.inside, random):
                    busy.add(task := asyncio.create_task(self.ask(wish)))
                    task.add_done_callback(busy.discard)
            if busy:
                await asyncio.wait(busy)
        finally:
            for each in busy:
                each.cancel()

    async def do(self, wish: Wish) -> int | None:
        """Ask for something, and note what becomes of it.

        Returns the number that it was acknowledged with, 0 if it has none; None: it was not.
        """
        request = await self.ask(wish)
        return None if request is None else request.seq

    async def ask(self, wish: Wish) -> Request | None:
        """The same, and what has become of it; None when nothing can be asked now."""
        # A guest that has just become another has not been told yet.
        if self.over is not None or self.client.sender != self.sender:
            return None
        if wish.op in MOVES:
            if wish.room in self._moving:  # the library has one way into and out of a room
                return None
            self._moving.add(wish.room)
        request = self._notes.asks(self.name, wish)
        self._under_way[request] = None
        try:
            async with asyncio.timeout(slack(ACT_WITHIN)):
                seq = await self._call(wish, request.id)
        except Refused as refused:
            if isinstance(refused, OutcomeUnknown) or refused.code in UNSURE:
                self._notes.unknown(request)
            else:
                self._notes.refused(request, refused.code, refused.text)
            return request
        except HubbubError:
            self._notes.unknown(request)
            return request
        except TimeoutError:
            self._notes.find(f"{self.name}: {wish} has no outcome after {ACT_WITHIN:.0f} s")
            self._notes.unknown(request)
            return request
        except asyncio.CancelledError:
            self._notes.unknown(request)
            raise
        finally:
            self._under_way.pop(request, None)
            self._moving.discard(wish.room)
        self._notes.answered(request, seq)
        self._people.fulfilled(self.person, wish, seq, request.id)
        return request

    async def _call(self, wish: Wish, id: bytes) -> int:
        """The number that it is acknowledged with; 0 when the library tells none."""
        client, room, text = self.client, wish.room, wish.text
        match wish.op:
            case "say":
                return (await client.say(room, text, id=id)).seq
            case "edit":
                return (await client.edit(room, wish.of, text)).seq
            case "delete":
                return (await client.delete(room, wish.of)).seq
            case "react" | "unreact":
                return (await client.react(room, wish.of, text, on=wish.op == "react")).seq
            case "join":
                await self._join(room)
            case "leave":
                await client.leave(room)
                if client.state(room) is None:
                    self._leave(room, "left")
            case "read":
                await client.read(room)
            case "typing":
                await client.typing(room)
            case "away":
                await client.away(text)
            case _:
                await self._order(wish)
        return 0

    async def _join(self, room: str) -> None:
        was_in = self.client.state(room) is not None
        make = self.person.keeper and room in PRIVATE
        roster = await self.client.join(room, private=make)
        if not was_in:
            self._enter_by_answer(room, roster.head)

    def _enter_by_answer(self, room: str, head: int) -> None:
        self._inside.add(room)
        # What follows may have been shown before this answer was looked at.
        self.at[room] = max(self.at.get(room, 0), head)
        self._notes.entered(self.name, room, head)

    async def _order(self, wish: Wish) -> None:
        client, room, whom, text = self.client, wish.room, wish.whom, wish.text
        match wish.op:
            case "topic":
                await client.topic(room, text)
            case "private" | "public":
                await client.visibility(room, wish.op == "private")
            case "invite":
                await client.invite(room, whom)
            case "kick":
                await client.kick(room, whom, text)
            case "ban":
                await client.ban(room, whom, text)
            case "unban":
                await client.unban(room, whom)
            case "close":
                await client.close_room(room, text)
            case "role":
                await client.role(room, whom, text)
            case "mute":
                await client.mute(room, whom, text)
            case "unmute":
                await client.mute(room, whom, on=False)
            case "nick":
                await client.nick(text)
            case "suspend":
                await client.suspend(whom, text)
            case "unsuspend":
                await client.suspend(whom, on=False)
            case _:
                raise AssertionError(wish)
