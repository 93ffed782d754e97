"""Keeping one session alive over many connections: dialing, greeting, resuming, asking again."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from hubbub.client_asking import Asking
from hubbub.client_dialing import Dialing
from hubbub.client_events import Disconnected, EventQueue, Reconnected
from hubbub.client_identity import Identity
from hubbub.client_link import Link
from hubbub.client_news import take_news
from hubbub.client_retry import Patience, delays
from hubbub.client_rooms import Rooms
from hubbub.client_wire import to_exception
from hubbub.errors import Code, EpochChanged, OutcomeUnknown, Refused, Unreachable
from hubbub.frames import (
    Away,
    Beat,
    Bye,
    ClientFrame,
    Error,
    Event,
    Moving,
    News,
    Ping,
    Reply,
    ServerFrame,
    Welcome,
    encoder,
)
from hubbub.names import name_key

# A refusal that trying again does not mend, at the greeting or later.
_FINAL = frozenset(
    {
        Code.BAD_NAME,
        Code.NAME_TAKEN,
        Code.NOT_ALLOWED,
        Code.REPLACED,
        Code.BAD_LOGIN,
        Code.SUSPENDED,
        Code.BANNED,
    }
)
# The connection has no session any more. A request that is answered so is asked again elsewhere.
_OVER = frozenset({Code.REPLACED, Code.EXPIRED})
_CURSOR_BYTES = 48 * 1024  # of one `resume`; rooms beyond it are compared with their heads alone
_STEADY = 1.0  # seconds a connection must have lived for the next try to be at once


class Session:
    """One session and the connection it has at the moment. Ended once and for all by `_end`."""

    def __init__(
        self, addresses: Sequence[tuple[str, int]], who: Identity, *, patience: Patience
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._patience = patience
        self._link: Link | None = None
        self._stopping = False
        self._told = False  # that the connection was lost
        self._connect_by = loop.time() + patience.connect_within
        self._not_before = 0.0  # a server asked not to greet any sooner
        self._becoming: Identity | None = None  # who one will be if a login is welcomed
        self._left: Link | None = None  # of who one was before that
        self.who = who
        self.welcome: Welcome | None = None
        self.greetings = 0  # how often a server welcomed us
        self.last_error: Exception | None = None
        self.error: Refused | None = None  # what ended the session
        self.ready: asyncio.Future[None] = loop.create_future()
        self.queue = EventQueue(self._catch_up)
        self._dialing = Dialing(self, addresses, patience)
        self.rooms = Rooms(self.queue.put, self.queue.put_notice, self._ask_internal)
        self._asking = Asking(patience, self.rooms.directs.show_reply)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._link is not None

    # --- the connection ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep connected until `stop`, or until the session cannot go on."""
        tries = delays(random.random)
        try:
            while not self._stopping and self.error is None:
                link = self._link
                if link is None or link.over.done():
                    link = await self._open()
                if link is None:
                    if not self._dialing.met_silence:  # that was pause enough
                        pause = self._not_before - self._loop.time()
                        await asyncio.sleep(max(next(tries), pause))
                    continue
                await link.over
                if self._link is not link and self._link is not None:
                    continue  # logged in, on another
                if self._loop.time() - link.since > _STEADY:
                    tries = delays(random.random)
                # A draining gateway asks everybody at once: spread, and stay on it meanwhile.
                spread = 0.5 * link.moving * random.random() if link.moving else next(tries)
                await asyncio.sleep(spread)
        finally:
            for link in (self._link, self._left):
                if link is not None:
                    link.close()

    async def _open(self) -> Link | None:
        """A greeted connection; None when there is to be another try (or none, see `error`)."""
        who = self.who
        try:
            return await self._dial(who)
        except OSError as error:
            self._note(error)
        except Refused as error:
            self._note(error)
            if who is self.who:
                self._greeting_refused(error)
        if self._link is None and self.welcome is not None and self.error is None:
            self._tell_lost(str(self.last_error))  # asked to move, and nobody took it in
        return None

    def _tell_lost(self, why: str, *, over: bool = False) -> None:
        """Once until there is a connection again."""
        if not self._told:
            self._told = True
            self.queue.put_notice(Disconnected(why, over))

    async def _dial(self, who: Identity) -> Link:
        link = await self._dialing.dial(who, self.rooms.epoch, self._cursors())
        if self._link is not link:
            link.abort()  # it is over already
        return link

    def _cursors(self) -> dict[str, int]:
        cursors: dict[str, int] = {}
        size = 0
        for room in self.rooms.all():
            size += len(room.name.encode()) + 12
            if room.cursor >= 0 and size < _CURSOR_BYTES:
                cursors[room.name] = room.cursor
        return cursors

    def _note(self, error: Exception) -> None:
        self.last_error = self._asking.trouble = error

    def _greeting_refused(self, error: Refused) -> None:
        now = self._loop.time()
        if isinstance(error, EpochChanged):
            if error.epoch != self.rooms.epoch:
                self.rooms.take_epoch(error.epoch)
            elif not self.rooms.lose_name(error.room):
                self.rooms.epoch = -1  # above a head: what we hold is not from this log
                self.rooms.take_epoch(error.epoch)
        elif error.code == Code.EXPIRED:
            self.who.expired()
        elif error.code == Code.NAME_TAKEN and self._dialing.in_doubt:
            pass  # most likely by our own unanswered hello, whose session ends by itself
        elif error.code in _FINAL:
            self._end(error)
        elif error.code == Code.LIMIT and error.retry_after is not None:
            self._not_before = now + error.retry_after
            if not self.ready.done() and self._not_before >= self._connect_by:
                self._end(error)

    def _greet(self, link: Link, welcome: Welcome) -> None:
        """The connection is good: go on where the last one ended."""
        before, self.who = self.who, link.who
        old, self._link = self._link, link
        first, resumed = self.welcome is None, self.who.token is not None
        other = not first and before.sender != welcome.sender
        if old is not None:
            self._leave(old, goodbye=before is not self.who)
        self.greetings += 1
        self.welcome = welcome
        self.who.welcomed(welcome)
        self.rooms.is_me(welcome.sender)
        self.rooms.invitations = {name_key(one.room): one for one in welcome.invitations}
        self._asking.lost()
        self._asking.link, self._asking.max_text = link, welcome.max_text
        self.rooms.lost()
        self.rooms.take_epoch(welcome.epoch)
        if other:
            self._asking.fail_sent(OutcomeUnknown)
        self.rooms.entered(welcome.rooms, again=other, tell=not first)
        if not resumed and self.who.away is not None:
            self._asking.ask_internal(self._away, lambda _: None)
        link.greeted.set_result(None)
        if not self.ready.done():
            self.ready.set_result(None)
        if self._told or not (first or resumed or before is not self.who):
            self.queue.put_notice(Reconnected(welcome.name, resumed))
            self._told = False
        self._catch_up()
        self._asking.flush()
        link.watch()

    def _away(self, ref: int) -> ClientFrame:
        state, text = self.who.away or ("here", "")
        return Away(ref, os.urandom(16), state, text)

    def _leave(self, link: Link, *, goodbye: bool) -> None:
        """Another link is the session's now. `goodbye`: and another session the client's."""
        if not goodbye:
            link.close()
            return
        # The servers should have it before the connection ends: `login` waits for that.
        link.write(encoder.encode(Bye(0, os.urandom(16))))
        self._left = link

    def take_lost(self, link: Link) -> None:
        """A connection ended (Link's owner)."""
        if link is self._link:
            self._link = None
            self.rooms.lost()
            self._asking.lost()
            if not self._stopping and self.error is None:
                self._note(ConnectionError(link.why))
                if link.moving is None:  # else: on the way to another already
                    self._tell_lost(link.why, over=link.expired)

    def ping(self, link: Link) -> None:
        """Ask whether the server is there (Link's owner)."""
        if link is self._link:
            self._asking.ask_internal(Ping, lambda _: None)

    # --- somebody else -------------------------------------------------------------------------

    async def login(self, who: Identity) -> None:
        """Be somebody else from now on; a refusal leaves everything as it was.

        Raises:
            Refused: the server does not want that.
            Unreachable: no server answered in time.
        """
        if self._becoming is not None:
            raise RuntimeError("a login is under way already")
        self._becoming = who
        try:
            async with asyncio.timeout(self._patience.ask_within):
                await self._asking.hold()
                await self._become(who)
        except TimeoutError:
            if self.who is not who:
                raise Unreachable(f"no answer in time; last: {self.last_error}") from None
        finally:
            self._becoming = None
            self._asking.go_on()
        await self._part_with_left()

    async def _become(self, who: Identity) -> None:
        tries = delays(random.random)
        give_up = self._loop.time() + self._patience.connect_within
        while self.who is not who:
            if self.error is not None or self._stopping:
                raise self._ended_by()
            pause = next(tries)
            try:
                await self._dial(who)
            except OSError as error:
                self.last_error = error
            except Refused as error:
                if not error.code.retryable:
                    raise
                pause = max(pause, error.retry_after or 0.0)
                if self._loop.time() + pause >= give_up:
                    raise
            if self.who is not who:
                await asyncio.sleep(pause)

    async def _part_with_left(self) -> None:
        """Wait a moment for the old session's goodbye to be answered."""
        left = self._left
        if left is None:
            return
        try:
            await asyncio.wait([left.over], timeout=self._patience.bye_within)
        finally:
            left.close()
            self._left = None

    # --- the end -------------------------------------------------------------------------------

    def _end(self, error: Refused) -> None:
        self.error = error
        self._asking.close(self._ended_by)
        self.queue.end(self._ended_by)
        if not self.ready.done():
            self.ready.set_exception(error)

    def _ended_by(self) -> Exception:
        # A new one for each who is told: raising one again and again makes its traceback grow.
        error = self.error
        if isinstance(error, Refused):
            return Refused(error.code, error.text, error.retry_after)
        return Unreachable("the client is closed")

    def finish(self) -> None:
        """The session is over, as was asked for."""
        self._stopping = True
        self._asking.close(self._ended_by)
        self.queue.end(None)
        if self._link is not None:
            self._link.close()
            self._link = None

    async def stop(self, *, goodbye: bool) -> None:
        """End; with `goodbye` the session is over at once and its name free."""
        link = self._link
        if goodbye and link is not None and self.error is None:
            farewell = self.ask(lambda ref: Bye(ref, os.urandom(16)))
            self._stopping = True
            self._asking.flush()
            try:
                # Without an answer in time the server ends the session by itself.
                if self._patience.bye_within > 0:
                    await asyncio.wait(
                        [farewell, link.over],
                        timeout=self._patience.bye_within,
                        return_when="FIRST_COMPLETED",
                    )
            finally:
                farewell.cancel()
        self.finish()

    # --- frames --------------------------------------------------------------------------------

    def take_frame(self, link: Link, frame: ServerFrame, size: int) -> None:
        """A frame arrived (Link's owner)."""
        if not link.greeted.done():
            self._take_greeting(link, frame)
        elif link is not self._link:
            pass  # of a connection that was left: the new one brings it again
        elif isinstance(frame, Moving):
            link.move(frame.within)
        elif isinstance(frame, Error) and (frame.ref is None or frame.code in _OVER):
            self._take_goodbye(link, frame)
        elif not isinstance(frame, Beat):
            if isinstance(frame, News):
                self._rename(frame)
                take_news(frame, size, self.rooms, self.queue)
            else:
                self._asking.take_reply(frame)
            self._catch_up()

    def _take_greeting(self, link: Link, frame: ServerFrame) -> None:
        if isinstance(frame, Welcome):
            if link.who is self.who or link.who is self._becoming:
                self._greet(link, frame)
            else:
                link.greeted.set_exception(ConnectionError("one is somebody else meanwhile"))
        elif isinstance(frame, Error):
            error = to_exception(frame)
            if frame.ref is None:
                error.retry_after = None  # it is about this gateway: another may do at once
            link.greeted.set_exception(error)
        elif isinstance(frame, Beat):
            link.bear(self._patience.greet_within)

    def _rename(self, frame: News) -> None:
        if isinstance(frame, Event) and frame.kind == "renamed" and frame.sender in self.rooms.own:
            self.who.renamed(frame.to)

    def _take_goodbye(self, link: Link, frame: Error) -> None:
        error = to_exception(frame)
        # `replaced` may come of a `resume` of our own, one under way or one that was given up.
        ours = error.code == Code.REPLACED and self._dialing.in_doubt
        if error.code in _FINAL and not ours:
            self._end(error)
        link.expired = error.code == Code.EXPIRED
        link.lose(frame.text)

    def _catch_up(self) -> None:
        # A page that no place is left for would be asked for again and again, before all else.
        if self._link is not None and not self.queue.is_full:
            self.rooms.catch_up()

    # --- requests ------------------------------------------------------------------------------

    def ask(
        self,
        make: Callable[[int], ClientFrame],
        on_answer: Callable[[Reply], None] | None = None,
        *,
        within: float | None = None,
    ) -> asyncio.Future[Any]:
        """Send a request; see `Asking.ask`.

        Raises:
            HubbubError: the client has ended.
        """
        return self._asking.ask(make, on_answer, within=within)

    def _ask_internal(
        self, make: Callable[[int], ClientFrame], on_answer: Callable[[Reply], None]
    ) -> None:
        self._asking.ask_internal(make, on_answer)

    def mention(self, make: Callable[[int], ClientFrame], *, within: float) -> None:
        """Send a request whose answer nobody needs."""
        self._asking.mention(make, within=within)
