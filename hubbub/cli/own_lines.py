"""What one says: pending, then stored, then shown in its numbered place; or failed, and told so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hubbub.cli import common
from hubbub.cli.pending import Pending, PendingLine
from hubbub.cli.render import visible
from hubbub.client import Client
from hubbub.errors import Code, HubbubError, OutcomeUnknown, Refused
from hubbub.frames import Event, Message, Ok
from hubbub.names import name_key

if TYPE_CHECKING:
    from hubbub.cli.transcript import Screen

REMEMBERED = 50  # messages of one's own in a room, to edit or delete the last that is left
UNANSWERED = 256  # lines on their way, then nothing more is read
QUOTED = 60  # characters of a line that was too long
TELL_AFTER = 1.0  # seconds of waiting for acknowledgements before that is told
SHOWN_WITHIN = 10.0  # seconds after the last acknowledgement for them to come back


class OwnLines:
    """One's own lines, from being typed until they are shown.

    Args:
        fail: takes the number of a typed line, what went wrong, and the exit code of that.
        typed: a person sees what is pending; otherwise only the numbers of lines are told.
    """

    def __init__(
        self,
        client: Client,
        screen: Screen,
        fail: Callable[[int, str, int], None],
        *,
        typed: bool,
    ) -> None:
        self._client = client
        self._screen = screen
        self._fail = fail
        self._typed = typed
        self._pending = Pending()
        self._on_the_way: deque[asyncio.Future[Ok]] = deque()
        self._own: dict[str, deque[int]] = {}  # room key: numbers of own messages
        self._stored: dict[str, int] = {}  # room: highest number that is to be shown
        self._progress = asyncio.Event()

    def lines(self) -> list[str]:
        """What is pending, as it is to be shown."""
        return self._pending.lines()

    def last(self, room: str) -> int:
        """The number of the last message that one said in a room; 0 for none that is known."""
        return max(self._own.get(name_key(room), ()), default=0)

    # --- saying --------------------------------------------------------------------------------

    async def say(
        self, room: str, text: str, prefix: str, number: int, *, action: bool, reply: int
    ) -> None:
        """Say `text`, typed as line `number`. Waits only while very many are unanswered."""
        name = visible(self._client.name)
        spoken = f"(to #{reply}) {visible(text)}" if reply else visible(text)
        shown = f"* {name} {spoken}" if action else f"{name}: {spoken}"
        line = self._pending.add(room, text, prefix + shown)
        try:
            future = self._client.say_nowait(room, text, action=action, reply=reply)
        except HubbubError as error:
            self._not_said(line, number, error)
            return
        future.add_done_callback(partial(self._said, line, number))
        self._on_the_way.append(future)
        self._screen.redraw()
        while self._on_the_way and self._on_the_way[0].done():
            self._on_the_way.popleft()
        if len(self._on_the_way) >= UNANSWERED:
            await asyncio.wait([self._on_the_way[0]])

    def _said(self, line: PendingLine, number: int, future: asyncio.Future[Ok]) -> None:
        if future.cancelled():
            self._pending.drop(line)
            return
        error = future.exception()
        if error is not None:
            self._not_said(line, number, error)
            return
        seq = future.result().seq
        self._stored[line.room] = max(self._stored.get(line.room, 0), seq)
        self._pending.stored(line, seq)
        if name_key(line.room) not in map(name_key, self._client.joined):
            self._pending.drop(line)  # it will not be shown here
        self._screen.redraw()

    def _not_said(self, line: PendingLine, number: int, error: BaseException) -> None:
        self._pending.drop(line)
        # It stands in the room perhaps: who is told "not sent" would say it again.
        what = "perhaps not sent" if isinstance(error, OutcomeUnknown) else "not sent"
        said = line.text
        if isinstance(error, Refused) and error.code is Code.TOO_LARGE and len(said) > QUOTED:
            said = f"{said[:QUOTED]}…"  # the whole would push the transcript off the screen
        text = f"{what} ({error}): {said}" if self._typed else f"{what}: {error}"
        self._fail(number, text, common.exit_code(error))
        self._screen.redraw()

    # --- being shown ---------------------------------------------------------------------------

    def shown(self, event: Message | Event) -> None:
        """An entry of a room was shown."""
        self.remember(event)
        own = isinstance(event, Message) and event.sender == self._client.sender
        self._pending.shown(event.room, event.seq, event if own else None)
        self._progress.set()

    def remember(self, event: Message | Event) -> None:
        """Something that was done, now or earlier: which messages are one's own."""
        numbers = self._own.setdefault(name_key(event.room), deque(maxlen=REMEMBERED))
        if isinstance(event, Event):
            if event.kind == "deleted" and event.of in numbers:
                numbers.remove(event.of)
        elif event.sender == self._client.sender and not event.deleted:
            numbers.append(event.seq)

    def drop_room(self, room: str) -> None:
        """Nothing of this room will be shown any more."""
        self._pending.drop_room(room)
        self._progress.set()

    async def finish(self, is_shown: Callable[[str, int], bool]) -> None:
        """Wait until every line is acknowledged, and shown in its place."""
        waiting = [future for future in self._on_the_way if not future.done()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=TELL_AFTER)
            if late:
                lines = "a line is" if len(late) == 1 else f"{len(late)} lines are"
                self._screen.tell(f"{lines} not stored yet; waiting (Ctrl-C gives up)")
                await asyncio.wait(late)
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                while not all(is_shown(room, seq) for room, seq in self._stored.items()):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            self._screen.tell("some of your lines are stored but could not be shown")
