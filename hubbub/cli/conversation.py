"""One person's conversation: typed lines go in, shown lines come out. Knows no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hubbub.cli import common
from hubbub.cli.commands import Command, Text, WrongLineError, parse_line
from hubbub.cli.completer import Known
from hubbub.cli.input import is_text
from hubbub.cli.marks import Marks
from hubbub.cli.own_lines import OwnLines
from hubbub.cli.people import TYPING_FOR, People
from hubbub.cli.render import (
    is_direct,
    line_of,
    notice_of,
    roster_line,
    unread_of,
    visible,
)
from hubbub.cli.transcript import Look, Screen, Transcript
from hubbub.client import Client
from hubbub.client_events import ClientEvent, Disconnected, EpochReset, RoomLost
from hubbub.errors import HubbubError
from hubbub.frames import (
    Event,
    Invited,
    Joined,
    Marked,
    Message,
    Ok,
    Parted,
    Presence,
    Roster,
    Typists,
)
from hubbub.names import name_key

HISTORY_ON_JOIN, MOST_NEW, MOST_HISTORY = 10, 100, 500
NEW = "--- new since you left ---"


class Conversation:
    """The rooms one is in, of which one is current, and the lines on their way.

    Args:
        client: connected.
        servers: the addresses of its cluster, under which its account is remembered.
    """

    def __init__(
        self, client: Client, look: Look, screen: Screen, servers: Sequence[str] = ()
    ) -> None:
        self.room = ""  # the current one, as it is spelled by the server
        self.exit_code = common.OK
        self.over = asyncio.Event()
        self.client = client
        self.look = look
        self.screen = screen
        self.servers = list(servers)
        self.transcript = Transcript(client, look, screen)
        self.own = OwnLines(client, screen, self.fail, typed=look.typed)
        self.people = People()
        self.marks = Marks(client)
        self._lines = 0
        self._shown: dict[str, int] = {}  # room key: highest number shown
        self._past: dict[str, int] = {}  # room key: what was shown from history, up to here
        self._idle = asyncio.Event()  # all that has arrived is shown
        self._changed = False  # something was done that others are told of, and oneself
        # Held while a room's past is printed, so that what follows it is printed after it.
        self._printing = asyncio.Lock()

    # --- what happens --------------------------------------------------------------------------

    async def print_events(self) -> None:
        """Show what happens until cancelled or until the client ends.

        Raises:
            HubbubError: what ended the client.
        """
        while True:
            event = self.client.event_nowait()
            if event is None:
                self._idle.set()
                try:
                    event = await anext(self.client)
                except StopAsyncIteration:
                    return
                except HubbubError:
                    if self.over.is_set():
                        return  # ended by oneself
                    raise
                finally:
                    self._idle.clear()
            async with self._printing:
                self.print_event(event)

    def print_event(self, event: ClientEvent) -> None:
        """Show one event."""
        if isinstance(event, Message | Event | Presence):
            self.people.take(event, asyncio.get_running_loop().time())
            if isinstance(event, Presence) and is_direct(event.room):
                self.screen.redraw()  # how the other is stands in the toolbar
            if not self.transcript.hides(event):
                self._show_event(event)
            if isinstance(event, Message | Event):
                self._passed(event)
            return
        if isinstance(event, Typists):
            if event.sender not in self.client.blocked:
                loop = asyncio.get_running_loop()
                self.people.take_typing(event, loop.time())
                self.screen.redraw()
                loop.call_later(TYPING_FOR, self.screen.redraw)
            return
        if isinstance(event, Joined):
            self._entered(event)
        elif isinstance(event, Parted | RoomLost):
            self._parted(event.room)
        elif isinstance(event, EpochReset):
            self._shown.clear()
            self._past.clear()
        if isinstance(event, Disconnected | Marked):
            self.screen.redraw()
        if (notice := notice_of(event)) is not None:
            self.screen.tell(notice)
        elif (line := line_of(event)) is not None:
            self.note(line, event)
        if isinstance(event, Parted | RoomLost) and self.room and not self.is_in(self.room):
            self._put_out()

    def _show_event(self, event: Message | Event | Presence) -> None:
        key = name_key(event.room)
        if isinstance(event, Message | Event) and event.seq <= self._past.get(key, 0):
            return  # shown with the room's past
        self.transcript.show(event, self.room)
        if isinstance(event, Message) and self.transcript.rings(event, self.room):
            self.screen.ring()

    def _passed(self, event: Message | Event) -> None:
        key = name_key(event.room)
        self._shown[key] = event.seq
        self.own.shown(event)
        self.marks.shown(event.room, event.seq)
        if isinstance(event, Event) and event.kind == "renamed":
            self._renamed(f"@{event.name}", f"@{event.to}")

    def _renamed(self, old: str, new: str) -> None:
        """The conversation of two with somebody is called by their new name."""
        if self.marks.is_caught_up(old):
            self.marks.catch_up(new)
        if name_key(old) == name_key(self.room):
            self.room = new
            self.screen.redraw()

    def _entered(self, joined: Joined) -> None:
        if joined.count <= joined.marked:
            self.marks.catch_up(joined.room)

    def _parted(self, room: str) -> None:
        self.marks.forget(room)
        self.own.drop_room(room)
        self._past.pop(name_key(room), None)

    def _put_out(self) -> None:
        """One is out of the current room, not by a line of one's own."""
        # What is being typed was meant for it: no other room may get that by itself.
        self.room = ""
        if self.look.typed and self.client.joined:
            self.note("* You are talking in no room now; /join ROOM goes to one")
        self.screen.redraw()

    # --- what is typed -------------------------------------------------------------------------

    async def take_line(self, line: str) -> None:
        """Carry out one typed line. Errors are told, and remembered in `exit_code`."""
        self._lines += 1
        try:
            if not is_text(line):
                raise common.NoTextError
            wanted = parse_line(line)
            if isinstance(wanted, Text):
                await self.say(wanted.text)
            elif wanted is not None:
                await self._command(wanted)
        except WrongLineError as error:
            self.fail(self._lines, str(error), common.USAGE)
        except HubbubError as error:
            self.fail(self._lines, str(error), common.exit_code(error))
        except OSError as error:  # what is stored of accounts
            self.fail(self._lines, common.told(error), common.IO_ERROR)

    async def _command(self, command: Command) -> None:
        from hubbub.cli.actions import ACTIONS  # needs this module itself

        await ACTIONS[command.name](self, command)

    def fail(self, number: int, text: str, code: int) -> None:
        """Line `number` could not be carried out."""
        self.screen.tell(text if self.look.typed else f"line {number}: {text}")
        self.exit_code = self.exit_code or code

    async def say(
        self, text: str, *, action: bool = False, reply: int = 0, room: str | None = None
    ) -> None:
        """Say something in a room (the current one); it is pending until it is stored."""
        room = self.here() if room is None else room
        prefix = f"[{visible(room)}] " if self.transcript.names_room(room, self.room) else ""
        await self.own.say(room, text, prefix, self._lines, action=action, reply=reply)

    async def finish(self) -> None:
        """Wait until every own line is acknowledged, and shown in its place."""
        await self.own.finish(self._is_shown)

    def _is_shown(self, room: str, seq: int) -> bool:
        """Whether nothing up to this number is still to be shown."""
        return self._shown.get(name_key(room), 0) >= seq or not self.is_in(room)

    async def leave_all(self) -> None:
        """The end: what is on its way arrives, what was done is shown, what was read is noted."""
        if self.over.is_set():
            return
        await self.finish()
        if self._changed and not self.look.typed:
            await self.client.ping()  # then all that one's commands led to has arrived
            await self._idle.wait()
        await self.marks.flush()

    # --- rooms ---------------------------------------------------------------------------------

    def here(self) -> str:
        """The current room.

        Raises:
            WrongLineError: there is none.
        """
        if not self.room:
            raise WrongLineError("you are talking in no room; /join ROOM goes to one")
        return self.room

    def is_in(self, room: str) -> bool:
        """Whether one is in a room, by any spelling of its name."""
        return name_key(room) in map(name_key, self.client.joined)

    async def begin(self, room: str | None) -> None:
        """Look around, and enter the first room: `room`, else the lobby or where one is already.

        Raises:
            HubbubError: it could not be entered.
        """
        async with self._printing:  # what happens meanwhile stands below the room's past
            joined = self.client.joined
            if room is None:
                rooms = [each for each in joined if not is_direct(each)]
                room = "lobby" if self.is_in("lobby") or not rooms else rooms[0]
            if self.look.typed and joined:
                await self._print_unread(room)
            for one in self.client.invitations if self.look.typed else ():
                self.note(line_of(Invited(one.room, one.by, one.title)) or "")
            await self._join(room)

    async def _print_unread(self, but: str) -> None:
        unread = []
        for state in await self.client.unread():
            if unread_of(state) == 0:
                self.marks.catch_up(state.room)
            elif name_key(state.room) != name_key(but):
                unread.append(f"{visible(state.room)} ({unread_of(state)})")
        if unread:
            self.note(f"* Unread: {', '.join(unread)}")

    async def join(self, room: str, *, private: bool = False) -> None:
        """Enter a room and make it the current one.

        Raises:
            HubbubError: it could not be entered.
        """
        async with self._printing:
            await self._join(room, private=private)

    async def _join(self, room: str, *, private: bool = False) -> None:
        new = not self.is_in(room)
        roster = await self.client.join(room, private=private)
        self.room = roster.room
        if private and not roster.private:
            self.note(f"* {visible(roster.room)} was there already, and is open to all")
        if self.look.typed:
            if new or not self.marks.is_caught_up(roster.room) or not self._seen(roster):
                await self._print_new(roster, was_in=not new)
            self.answer(roster, [roster_line(roster, self.client.sender)])
            self.screen.redraw()

    async def enter(self, room: str) -> str:
        """Enter a room without going to it; its name as the server spells it."""
        roster = await self.client.join(room)
        if roster.count <= roster.marked:
            self.marks.catch_up(roster.room)
        return roster.room

    def _seen(self, roster: Roster) -> bool:
        """Whether something of the room was shown, so that its past need not be."""
        return name_key(roster.room) in self._shown or name_key(roster.room) in self._past

    async def _print_new(self, roster: Roster, *, was_in: bool) -> None:
        """The last of a room, or all that one has not read of it (within bounds)."""
        fresh = roster.mark + 1 if was_in and roster.count > roster.marked else 0
        missed = roster.head - roster.mark
        limit = min(MOST_NEW, missed + 2) if fresh else HISTORY_ON_JOIN
        if roster.head:
            await self._print_past(
                roster.room, max(limit, HISTORY_ON_JOIN), before=roster.head + 1, fresh=fresh
            )
        self._past[name_key(roster.room)] = roster.head
        self.marks.catch_up(roster.room)
        self.marks.shown(roster.room, roster.head)

    async def _print_past(
        self, room: str, count: int, *, before: int | None = None, fresh: int = 0
    ) -> None:
        """Print entries of the past; a line marks the first of others from number `fresh` on."""
        past = await self.client.history(room, before=before, limit=count)
        if fresh and past.events and past.events[0].seq > fresh:
            left = past.events[0].seq - fresh
            more = min(left + len(past.events), MOST_HISTORY)
            self.note(f"* {left} more new entries are not shown; /history {more} shows them")
        marked = not fresh
        for event in past.events:
            own = event.sender == self.client.sender
            self.own.remember(event)
            if self.transcript.hides(event):
                continue
            if not marked and event.seq >= fresh and not own and isinstance(event, Message):
                self.note(NEW)
                marked = True
            self.transcript.show(event, self.room)

    async def look_back(self, count: int) -> None:
        """Print the last `count` entries of the current room."""
        room = self.here()
        async with self._printing:
            await self._print_past(room, count)

    def left(self, room: str) -> None:
        """One has left a room."""
        self._parted(room)
        if self.look.typed:
            self.note(f"* You left {visible(room)}")
        if self.room and not self.is_in(self.room):
            self.go_elsewhere()

    def go_elsewhere(self) -> None:
        """The current room was left."""
        joined = sorted(self.client.joined, key=lambda room: not is_direct(room))
        self.room = joined[-1] if joined else ""
        if self.room and self.look.typed:
            self.note(f"* You are talking in {visible(self.room)} now")
        self.screen.redraw()

    # --- for the commands ----------------------------------------------------------------------

    def changed(self, ok: Ok | None = None) -> None:
        """Something was done that others are told of; in a room's log, if its `ok` has a number."""
        if ok is None or ok.seq:
            self._changed = True
        else:
            self.note("* That changes nothing: it is so already")

    def note(self, line: str, frame: object = None) -> None:
        """One line about the conversation; in a stream of JSON objects `frame`, if it is one."""
        self.transcript.note(line, frame)

    def answer(self, frame: object, lines: Sequence[str]) -> None:
        """What was asked for, as lines or as JSON."""
        self.transcript.answer(frame, lines)

    def known(self) -> Known:
        """What there is to be named."""
        view = self.client.state(self.room)
        return self.people.known(view.members if view is not None else (), self.client.joined)

    def toolbar(self) -> str:
        """What stands beneath the typed line; nothing for ""."""
        view = self.client.state(self.room)
        peer = view.peer if view is not None else None
        return self.people.toolbar(self.room, peer, asyncio.get_running_loop().time())

    def quit(self) -> None:
        """Nothing more is read."""
        self.screen.end()
        self.over.set()
