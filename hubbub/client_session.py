"""Keeping one session alive over many connections: dialing, greeting, resuming, asking again."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from hubbub.client_events import Disconnected, EventQueue, Reconnected
from hubbub.client_link import Link
from hubbub.client_requests import Request, Requests
from hubbub.client_retry import Patience, delays, greet_waits
from hubbub.client_rooms import Rooms
from hubbub.client_wire import to_exception
from hubbub.errors import (
    Code,
    EpochChanged,
    HubbubError,
    OutcomeUnknown,
    Refused,
    RemoteProtocolError,
    Unreachable,
)
from hubbub.frames import (
    Beat,
    Behind,
    Bye,
    ClientFrame,
    Error,
    Event,
    Hello,
    Message,
    Moving,
    Ok,
    Ping,
    Presence,
    Reply,
    Resume,
    ServerFrame,
    Welcome,
    encoder,
)

# A refusal at the greeting that trying again does not mend.
_FINAL = frozenset({Code.BAD_NAME, Code.NAME_TAKEN, Code.NOT_ALLOWED, Code.REPLACED})
# The connection has no session any more. A request that is answered so is asked again elsewhere.
_OVER = frozenset({Code.REPLACED, Code.EXPIRED})
_CURSOR_BYTES = 48 * 1024  # of one `resume`; rooms beyond it are compared with their heads alone
_STEADY = 1.0  # seconds a connection must have lived for the next try to be at once
_DOUBT = 30.0  # seconds in which a `resume` that was given up may still be carried out


class Session:
    """One session and the connection it has at the moment. Ended once and for all by `_end`."""

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        *,
        name: str | None,
        visible: bool,
        token: str | None,
        agent: str,
        patience: Patience,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._addresses = itertools.cycle(addresses)
        self._visible = visible
        self._agent = agent[:64]
        self._patience = patience
        self._link: Link | None = None
        self._flushing = False
        self._unpause: asyncio.TimerHandle | None = None
        self._stopping = False
        self._told = False  # that the connection was lost
        self._greeting_id = os.urandom(16)  # kept until greeted: a repeated hello is one hello
        self._doubt_until = 0.0
        self.name = name
        self.token = token
        self.welcome: Welcome | None = None
        self.greetings = 0  # how often a server welcomed us
        self.last_error: Exception | None = None
        self.error: Refused | None = None  # what ended the session
        self.ready: asyncio.Future[None] = loop.create_future()
        self.queue = EventQueue(self._catch_up)
        self._greet_waits = greet_waits(patience.greet_within)
        self._met_silence = False  # the last dial was accepted, and then nothing came
        self.requests = Requests()
        self.rooms = Rooms(self.queue.put, self.queue.put_notice, self._ask_internal)

    # --- the connection ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep connected until `stop`, or until the session cannot go on."""
        tries = delays(random.random)
        try:
            while not self._stopping and self.error is None:
                link = await self._open()
                if link is None:
                    if not self._met_silence:  # that was pause enough
                        await asyncio.sleep(next(tries))
                    continue
                await link.over
                if self._loop.time() - link.since > _STEADY:
                    tries = delays(random.random)
                # A draining gateway asks everybody at once: spread, and stay on it meanwhile.
                spread = 0.5 * link.moving * random.random() if link.moving else next(tries)
                await asyncio.sleep(spread)
        finally:
            if self._unpause is not None:
                self._unpause.cancel()
            if self._link is not None:
                self._link.close()

    async def _open(self) -> Link | None:
        """A greeted connection; None when there is to be another try (or none, see `error`)."""
        host, port = next(self._addresses)
        link = Link(self, self._patience)
        doubted = self._doubt_until
        self._met_silence = False
        try:
            async with asyncio.timeout(next(self._greet_waits)) as link.greet_deadline:
                await self._loop.create_connection(lambda: link, host, port)
                self._doubt_until = self._loop.time() + _DOUBT
                link.write(encoder.encode(self._greeting()))
                await link.greeted
                self._doubt_until = doubted
        except OSError as error:
            self.last_error = error
            if isinstance(error, TimeoutError):
                self._met_silence = True
                self.last_error = Unreachable(f"{host}:{port} does not answer")
        except Refused as error:
            self._doubt_until = doubted
            self._greeting_refused(error)
        else:
            self._greet_waits = greet_waits(self._patience.greet_within)
            return link
        finally:
            if not link.greeted.done() or self._link is not link:
                link.abort()
        return None

    def _greeting(self) -> ClientFrame:
        if self.token is None:
            return Hello(0, self._greeting_id, self.name, self._visible, self._agent)
        cursors: dict[str, int] = {}
        size = 0
        for room in self.rooms.all():
            size += len(room.name.encode()) + 12
            if room.cursor >= 0 and size < _CURSOR_BYTES:
                cursors[room.name] = room.cursor
        epoch = self.rooms.epoch if cursors else 0
        return Resume(0, self._greeting_id, self.token, epoch, cursors, self._agent)

    def _greeting_refused(self, error: Refused) -> None:
        self.last_error = error
        doubt = self._loop.time() < self._doubt_until
        if isinstance(error, EpochChanged):
            if error.epoch == self.rooms.epoch:
                self.rooms.epoch = -1  # above the head: what we hold is not from this log
            self.rooms.take_epoch(error.epoch)
        elif error.code == Code.EXPIRED:
            self.token = None
            self._greeting_id = os.urandom(16)
        elif error.code == Code.NAME_TAKEN and doubt:
            pass  # most likely by our own unanswered hello, whose session ends by itself
        elif error.code in _FINAL:
            self._end(error)

    def _greet(self, link: Link, welcome: Welcome) -> None:
        """The connection is good: go on where the last one ended."""
        old, self._link = self._link, link
        if old is not None:
            old.close()
        first, resumed = self.welcome is None, self.token is not None
        self.greetings += 1
        self.welcome = welcome
        self.name, self.token = welcome.name, welcome.token
        self._greeting_id = os.urandom(16)
        self.rooms.own.add(welcome.sender)
        self.requests.lost()
        self.rooms.lost()
        self.rooms.take_epoch(welcome.epoch)
        if resumed:
            self.rooms.resumed(welcome.rooms)
        else:
            self.requests.fail_sent(OutcomeUnknown)
            self.rooms.rejoin()
        link.greeted.set_result(None)
        if not self.ready.done():
            self.ready.set_result(None)
        if self._told or not (first or resumed):
            self.queue.put_notice(Reconnected(welcome.name, resumed))
            self._told = False
        self._catch_up()
        self._flush()
        link.watch()

    def take_lost(self, link: Link) -> None:
        """A connection ended (Link's owner)."""
        if link is self._link:
            self._link = None
            self.rooms.lost()
            self.requests.lost()
            if not self._stopping and self.error is None:
                self.last_error = ConnectionError(link.why)
                if link.moving is None:  # else: on the way to another already
                    self._told = True
                    self.queue.put_notice(Disconnected(link.why))

    def ping(self, link: Link) -> None:
        """Ask whether the server is there (Link's owner)."""
        if link is self._link:
            self._ask_internal(Ping, lambda _: None)

    def _end(self, error: Refused) -> None:
        self.error = error
        self.requests.fail_all(self._ended_by)
        self.queue.end(self._ended_by)
        if not self.ready.done():
            self.ready.set_exception(error)

    def _ended_by(self) -> Exception:
        # A new one for each who is told: raising one again and again makes its traceback grow.
        error = self.error
        if isinstance(error, Refused):
            return Refused(error.code, error.text, error.retry_after)
        return Unreachable("the client is closed")

    # --- frames --------------------------------------------------------------------------------

    def take_frame(self, link: Link, frame: ServerFrame, size: int) -> None:
        """A frame arrived (Link's owner)."""
        if not link.greeted.done():
            if isinstance(frame, Welcome):
                self._greet(link, frame)
            elif isinstance(frame, Error):
                link.greeted.set_exception(to_exception(frame))
            elif isinstance(frame, Beat):
                link.bear(self._patience.greet_within)
        elif link is not self._link:
            pass  # of a connection that was left: the new one brings it again
        elif isinstance(frame, Message | Event):
            self._rename(frame)
            self.rooms.take(frame, size)
            self._catch_up()
        elif isinstance(frame, Presence):
            self.rooms.take_presence(frame, size)
            self._catch_up()
        elif isinstance(frame, Behind):
            self.rooms.take_behind(frame)
            self._catch_up()
        elif isinstance(frame, Moving):
            link.move(frame.within)
        elif isinstance(frame, Error) and (frame.ref is None or frame.code in _OVER):
            self._take_goodbye(link, frame)
        elif not isinstance(frame, Beat):
            self._take_reply(link, frame)

    def _rename(self, frame: Message | Event) -> None:
        if isinstance(frame, Event) and frame.kind == "renamed" and frame.sender in self.rooms.own:
            self.name = frame.to

    def _take_goodbye(self, link: Link, frame: Error) -> None:
        # `replaced` may come of a `resume` of our own, one under way or one that was given up.
        if frame.code == Code.REPLACED and self._loop.time() >= self._doubt_until:
            self._end(to_exception(frame))
        link.lose(frame.text)

    def _take_reply(self, link: Link, frame: Reply) -> None:
        request = None if frame.ref is None else self.requests.answered(frame.ref)
        if request is None:
            return
        link.waits(bool(self.requests.flight))
        if isinstance(frame, Error) and frame.code in (Code.UNKNOWN, Code.UNAVAILABLE):
            if not request.given_up:
                self._pause(self.requests.again(request))
            return
        if request.on_answer is not None:
            request.on_answer(frame)
        if isinstance(frame, Error):
            request.settle(error=to_exception(frame))
        else:
            request.settle(frame)
        self._catch_up()
        self._flush_soon()

    def _catch_up(self) -> None:
        if self._link is not None:
            self.rooms.catch_up()

    # --- requests ------------------------------------------------------------------------------

    def ask(
        self,
        make: Callable[[int], ClientFrame],
        on_answer: Callable[[Reply], None] | None = None,
        *,
        within: float | None = None,
    ) -> asyncio.Future[Any]:
        """Send a request; the future has its answer, or fails with a HubbubError.

        Requests go out in the order of these calls, also over reconnects. `within` seconds bound
        the whole. Cancelling the future gives the answer up, not what was already sent.
        """
        if self.error is not None or self._stopping:
            raise self._ended_by()
        future: asyncio.Future[Any] = self._loop.create_future()
        request = Request(make(self.requests.next_ref()), future, on_answer)
        request.timer = self._loop.call_later(
            self._patience.ask_within if within is None else within, self._overdue, request
        )
        self.requests.add(request)
        self._flush_soon()
        return future

    def _ask_internal(
        self, make: Callable[[int], ClientFrame], on_answer: Callable[[Reply], None]
    ) -> None:
        self.requests.add(Request(make(self.requests.next_ref()), None, on_answer))
        self._flush_soon()

    def _overdue(self, request: Request) -> None:
        error: HubbubError = request.overdue()
        if isinstance(error, Unreachable) and self._link is None and self.last_error is not None:
            error = Unreachable(f"no answer in time; last: {self.last_error}")
        request.settle(error=error)

    def _pause(self, delay: float) -> None:
        if self._unpause is not None:
            self._unpause.cancel()
        self._unpause = self._loop.call_later(delay, self._go_on)

    def _go_on(self) -> None:
        self.requests.paused = False
        self._flush()

    def _flush_soon(self) -> None:
        # Once per turn of the loop: what was asked in one turn goes out in one write.
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        link = self._link
        if link is None:
            return
        parts = []
        while (request := self.requests.take()) is not None:
            parts.append(request.data)
        if parts:
            link.write(b"".join(parts))
            link.waits(True)

    async def stop(self, *, goodbye: bool) -> None:
        """End; with `goodbye` the session is over at once and its name free."""
        if goodbye and self._link is not None and self.error is None:
            farewell = self.ask(lambda ref: Bye(ref, os.urandom(16)))
            self._stopping = True
            self._flush()
            try:
                # Without an answer in time the server ends the session by itself.
                if self._patience.bye_within > 0:
                    await asyncio.wait(
                        [farewell, self._link.over],
                        timeout=self._patience.bye_within,
                        return_when="FIRST_COMPLETED",
                    )
            finally:
                farewell.cancel()
        self._stopping = True
        self.requests.fail_all(self._ended_by)
        self.queue.end(None)
        if self._link is not None:
            self._link.close()
            self._link = None


def ok(reply: Reply) -> Ok:
    """The reply as the `ok` that was to come.

    Raises:
        RemoteProtocolError: it is something else.
    """
    if not isinstance(reply, Ok):
        raise RemoteProtocolError(f"an answer of the wrong kind: {type(reply).__name__}")
    return reply
