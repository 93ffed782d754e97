"""Asking a server: requests go out in their order, and again until they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hubbub.client_link import Link
from hubbub.client_requests import Request, Requests
from hubbub.client_retry import Patience
from hubbub.client_wire import to_exception
from hubbub.errors import Code, HubbubError, Unreachable
from hubbub.frames import MAX_TEXT, ClientFrame, Error, Reply, SecretFrame


class Asking:
    """The requests of one client, over all its connections.

    Args:
        show: makes of an answer what the application is given.

    Attributes:
        link: the greeted connection of the moment.
        trouble: why there is none, where that is known.
        max_text: characters that a message may have here.
    """

    def __init__(self, patience: Patience, show: Callable[[Reply], Reply]) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._show = show
        self._requests = Requests()
        self._unpause: asyncio.TimerHandle | None = None
        self._flushing = False
        self._closed: Callable[[], Exception] | None = None
        self.link: Link | None = None
        self.trouble: Exception | None = None
        self.max_text = MAX_TEXT

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
        if self._closed is not None:
            raise self._closed()
        future: asyncio.Future[Any] = self._loop.create_future()
        frame = make(self._requests.next_ref())
        request = Request(frame, future, on_answer, max_text=self.max_text)
        request.timer = self._loop.call_later(
            self._patience.ask_within if within is None else within, self._overdue, request
        )
        self._requests.add(request)
        self._flush_soon()
        return future

    def mention(self, make: Callable[[int], ClientFrame], *, within: float) -> None:
        """Send a request whose answer nobody needs."""
        future = self.ask(make, within=within)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def ask_internal(
        self, make: Callable[[int], ClientFrame], on_answer: Callable[[Reply], None]
    ) -> None:
        """Send a request of the client's own, before all others; forgotten with the connection."""
        frame = make(self._requests.next_ref())
        self._requests.add(Request(frame, None, on_answer))
        self._flush_soon()

    def _overdue(self, request: Request) -> None:
        error: HubbubError = request.overdue(self._requests.limit)
        if isinstance(error, Unreachable) and self.link is None and self.trouble is not None:
            error = Unreachable(f"no answer in time; last: {self.trouble}")
        request.settle(error=error)

    # --- order ---------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Let what was asked before be answered, and what is asked from now on wait for `go_on`."""
        self._requests.held_after = self._requests.next_ref()
        waiting = self._requests.unanswered()
        if waiting:
            await asyncio.wait(waiting)

    def go_on(self) -> None:
        """What was held goes out."""
        self._requests.held_after = None
        self._flush_soon()

    def _pause(self, delay: float) -> None:
        if self._unpause is not None:
            self._unpause.cancel()
        self._unpause = self._loop.call_later(delay, self._unpaused)

    def _unpaused(self) -> None:
        self._requests.paused = False
        self.flush()

    def _flush_soon(self) -> None:
        # Once per turn of the loop: what was asked in one turn goes out in one write.
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what may go out now."""
        self._flushing = False
        link = self.link
        if link is None:
            return
        parts = []
        while (request := self._requests.take()) is not None:
            parts.append(request.data)
        if parts:
            link.write(b"".join(parts))
            link.waits(True)

    # --- answers -------------------------------------------------------------------------------

    def take_reply(self, frame: Reply) -> None:
        """An answer arrived on the link."""
        request = None if frame.ref is None else self._requests.answered(frame.ref)
        if request is None:
            return
        if self.link is not None:
            self.link.waits(bool(self._requests.flight))
        if isinstance(frame, Error) and self._asks_again(request, frame):
            return
        if request.on_answer is not None:
            request.on_answer(frame)
        if isinstance(frame, Error):
            request.settle(error=to_exception(frame))
        else:
            request.settle(self._show(frame))
        self._flush_soon()

    def _asks_again(self, request: Request, error: Error) -> bool:
        if error.code in (Code.UNKNOWN, Code.UNAVAILABLE):
            if not request.given_up:
                self._pause(self._requests.again(request))
            return True
        if error.code == Code.LIMIT and self._bears(request, error.retry_after):
            self._pause(self._requests.limited(request, error))
            return True
        return False

    def _bears(self, request: Request, retry_after: float | None) -> bool:
        """Whether a request that was refused for asking too often waits until it may be asked."""
        if request.internal:
            return True
        # Passwords have a throttle of their own: nothing else waits because of it.
        if retry_after is None or not request.changing or isinstance(request.frame, SecretFrame):
            return False
        timer = request.timer
        return timer is not None and self._loop.time() + retry_after < timer.when()

    # --- connections ---------------------------------------------------------------------------

    def lost(self) -> None:
        """The connection is gone."""
        self.link = None
        self._requests.lost()

    def fail_sent(self, error: Callable[[], BaseException]) -> None:
        """One is somebody else now: what may have been done cannot be asked again."""
        self._requests.fail_sent(error)

    def close(self, error: Callable[[], Exception]) -> None:
        """Nothing can be asked any more."""
        self._closed = error
        self._requests.fail_all(error)
        if self._unpause is not None:
            self._unpause.cancel()
