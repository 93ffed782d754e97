"""One person's conversation: typed lines go in, shown lines come out. Knows no terminal."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable
from functools import partial

from hubbub.cli import common
from hubbub.cli.commands import Command, Text, WrongLineError, help_lines, parse_line
from hubbub.cli.render import json_line, line_of, notice_of, roster_line, time_of, visible
from hubbub.client import Client
from hubbub.client_events import ClientEvent
from hubbub.errors import HubbubError
from hubbub.frames import Event, Frame, Message, Ok, Presence
from hubbub.names import name_key

UNANSWERED = 256  # own lines on their way, then nothing more is read
HISTORY_ON_JOIN, HISTORY_ON_DEMAND, MOST_HISTORY = 10, 20, 500
TELL_AFTER = 1.0  # seconds of waiting for acknowledgements before that is told
SHOWN_WITHIN = 10.0  # seconds after the last acknowledgement for own lines to come back


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """How things are shown. `typed`: a person sits at a terminal and sees the last of a room."""

    json: bool = False
    timestamps: bool = False
    typed: bool = False


class Conversation:
    """The rooms one is in, of which one is current, and the lines on their way.

    Args:
        client: connected.
        show: prints one line of the conversation.
        tell: prints one line about it: errors, and the state of the connection.
    """

    def __init__(
        self,
        client: Client,
        look: Look,
        show: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self.room = ""  # the current one, as it is spelled by the server
        self.exit_code = common.OK
        self.over = asyncio.Event()
        self._client = client
        self._look = look
        self._show = show
        self._tell = tell
        self._on_the_way: deque[asyncio.Future[Ok]] = deque()
        self._lines = 0
        self._last_own: dict[str, int] = {}  # room key: highest number of an own line
        self._shown: dict[str, int] = {}  # room key: highest number shown
        self._progress = asyncio.Event()
        # Held while a room's past is printed, so that what follows it is printed after it.
        self._printing = asyncio.Lock()

    # --- what happens --------------------------------------------------------------------------

    async def print_events(self) -> None:
        """Show what happens until cancelled or until the client ends.

        Raises:
            HubbubError: what ended the client.
        """
        async for event in self._client:
            async with self._printing:
                self.print_event(event)

    def print_event(self, event: ClientEvent) -> None:
        """Show one event."""
        if isinstance(event, Message | Event | Presence):
            if self._look.json:
                self._show(json_line(event))
            else:
                self._show_line(event)
            if isinstance(event, Message | Event):
                self._shown[name_key(event.room)] = event.seq
                self._progress.set()
            return
        notice = notice_of(event)
        if notice is not None:
            self._tell(notice)
        if self.room and name_key(self.room) not in map(name_key, self._client.joined):
            self._go_elsewhere()

    def _show_line(self, event: Message | Event | Presence) -> None:
        line = line_of(event)
        if line is None:
            return
        if len(self._client.joined) > 1:
            line = f"[{visible(event.room)}] {line}"
        if self._look.timestamps:
            line = f"{time_of(event)} {line}"
        self._show(line)

    # --- what is typed -------------------------------------------------------------------------

    async def take_line(self, line: str) -> None:
        """Carry out one typed line. Errors are told, and remembered in `exit_code`."""
        self._lines += 1
        number = self._lines
        try:
            wanted = parse_line(line)
            if isinstance(wanted, Text):
                await self._say(wanted.text, number)
            elif wanted is not None:
                await self._command(wanted, number)
        except WrongLineError as error:
            self._fail(number, str(error), common.USAGE)
        except HubbubError as error:
            self._fail(number, str(error), common.exit_code(error))

    def _fail(self, number: int, text: str, code: int) -> None:
        self._tell(text if self._look.typed else f"line {number}: {text}")
        self.exit_code = self.exit_code or code

    async def _say(self, text: str, number: int, *, action: bool = False) -> None:
        if not self.room:
            raise WrongLineError("you are in no room; /join ROOM enters one")
        room = self.room
        future = self._client.say_nowait(room, text, action=action)
        future.add_done_callback(partial(self._said, room, number))
        self._on_the_way.append(future)
        while self._on_the_way and self._on_the_way[0].done():
            self._on_the_way.popleft()
        if len(self._on_the_way) >= UNANSWERED:
            await asyncio.wait([self._on_the_way[0]])

    def _said(self, room: str, number: int, future: asyncio.Future[Ok]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            key = name_key(room)
            self._last_own[key] = max(self._last_own.get(key, 0), future.result().seq)
        else:
            self._fail(number, f"not sent: {error}", common.exit_code(error))

    async def finish(self) -> None:
        """Wait until every own line is acknowledged, and shown in its place."""
        waiting = [future for future in self._on_the_way if not future.done()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=TELL_AFTER)
            if late:
                lines = "a line is" if len(late) == 1 else f"{len(late)} lines are"
                self._tell(f"{lines} not stored yet; waiting (Ctrl-C gives up)")
                await asyncio.wait(late)
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                while self._not_shown():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            self._tell("some of your lines are stored but could not be shown")

    def _not_shown(self) -> bool:
        joined = {name_key(room) for room in self._client.joined}
        return any(
            key in joined and self._shown.get(key, 0) < seq for key, seq in self._last_own.items()
        )

    # --- commands ------------------------------------------------------------------------------

    async def _command(self, command: Command, number: int) -> None:
        argument = command.argument
        if command.name == "me":
            await self._say(argument, number, action=True)
        elif command.name == "join":
            await self.join(common.room_of(argument))
        elif command.name == "leave":
            await self._leave(common.room_of(argument))
        elif command.name == "nick":
            name = await self._client.nick(argument)
            if not self._client.joined:
                self._say_locally(f"* You are now {visible(name)}")
        elif command.name == "who":
            await self._who(common.room_of(argument))
        elif command.name == "rooms":
            await self._rooms()
        elif command.name == "history":
            await self._history(min(int(argument or HISTORY_ON_DEMAND), MOST_HISTORY))
        elif command.name == "help":
            for line in help_lines():
                self._say_locally(line)
        elif command.name == "quit":
            self.over.set()

    def _say_locally(self, line: str) -> None:
        # In a stream of JSON objects there is no place for what is not a frame.
        (self._tell if self._look.json else self._show)(line)

    async def join(self, room: str) -> None:
        """Enter a room and make it the current one.

        Raises:
            HubbubError: it could not be entered.
        """
        async with self._printing:
            new = name_key(room) not in map(name_key, self._client.joined)
            roster = await self._client.join(room)
            self.room = roster.room
            if self._look.typed:
                if new:
                    await self._print_past(roster.head, HISTORY_ON_JOIN)
                self._answer(roster, [roster_line(roster, self._client.sender)])

    async def _leave(self, room: str) -> None:
        room = room or self.room
        if not room:
            raise WrongLineError("you are in no room")
        if name_key(room) not in map(name_key, self._client.joined):
            raise WrongLineError(f"you are not in {room}")
        # Own lines come back only while one is in the room.
        await self.finish()
        await self._client.leave(room)
        if self._look.typed:
            self._say_locally(f"* You left {visible(room)}")
        if name_key(room) == name_key(self.room):
            self._go_elsewhere()

    def _go_elsewhere(self) -> None:
        joined = self._client.joined
        self.room = joined[-1] if joined else ""
        if self.room and self._look.typed:
            self._say_locally(f"* You are talking in {visible(self.room)} now")

    async def _who(self, room: str) -> None:
        if not room and not self.room:
            raise WrongLineError("you are in no room; /who ROOM asks about one")
        roster = await self._client.members(room or self.room)
        names = sorted(
            (person.name, "" if person.state == "here" else f" ({person.state})")
            for person in roster.members
        )
        listed = ", ".join(visible(name + state) for name, state in names) or "nobody"
        self._answer(roster, [f"* In {visible(roster.room)}: {listed}"])

    async def _rooms(self) -> None:
        rooms = await self._client.rooms()
        if not rooms and not self._look.json:
            self._say_locally("* There are no rooms yet")
        for one in rooms:
            self._answer(one, [f"* {visible(one.room)}: {one.members} here, {one.head} entries"])

    async def _history(self, count: int) -> None:
        if not self.room:
            raise WrongLineError("you are in no room; /join ROOM enters one")
        if count:
            async with self._printing:
                await self._print_past(None, count)

    async def _print_past(self, head: int | None, count: int) -> None:
        before = None if head is None else head + 1
        past = await self._client.history(self.room, before=before, limit=count)
        for event in past.events:
            if self._look.json:
                self._show(json_line(event))
            else:
                self._show_line(event)

    def _answer(self, frame: Frame, lines: list[str]) -> None:
        for line in [json_line(frame)] if self._look.json else lines:
            self._show(line)
