"""The unanswered requests of one client: what is to be asked next, and what again."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import msgspec

from hubbub.client_identity import MAX_PASSWORD
from hubbub.client_wire import to_exception
from hubbub.errors import (
    Code,
    HubbubError,
    LocalProtocolError,
    OutcomeUnknown,
    Refused,
    Unreachable,
)
from hubbub.frames import (
    MAX_REASON,
    MAX_TEXT,
    Announce,
    ClientFrame,
    Edit,
    Error,
    Reply,
    Say,
    client_decoder,
    encoder,
)
from hubbub.names import DIRECT, check_name

# Enough to keep a server busy over a round trip of 50 ms, little enough to resend after a cut.
WINDOW = 512  # requests on the wire
WINDOW_BYTES = 256 * 1024
AGAIN_AFTER, AGAIN_AT_MOST = 0.2, 2.0  # seconds before an `unknown` is asked again


class Request:
    """One request, until it is answered or its time is over.

    Attributes:
        changing: carries an id, is asked again until its outcome is known, and keeps its order.
        internal: made by the client itself; forgotten when the connection is lost.
        on_answer: called at the very place of the answer in the stream, before what follows it.
        sent: how many times it went out; above 0 it may have been done.
    """

    __slots__ = (
        "changing", "data", "frame", "future", "internal", "on_answer", "ref", "sent", "timer",
        "tries",
    )  # fmt: skip

    def __init__(
        self,
        frame: ClientFrame,
        future: asyncio.Future[Any] | None,
        on_answer: Callable[[Reply], None] | None = None,
        *,
        max_text: int = MAX_TEXT,
    ) -> None:
        self.ref = frame.ref
        self.frame = frame
        self.data = encode_checked(frame, max_text)
        self.changing = hasattr(frame, "id")
        self.internal = future is None
        self.future = future
        self.on_answer = on_answer
        self.sent = 0
        self.tries = 0
        self.timer: asyncio.TimerHandle | None = None

    def __lt__(self, other: Request) -> bool:
        return self.ref < other.ref

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future is not None and self.future.done()

    def settle(self, result: Reply | None = None, error: BaseException | None = None) -> None:
        """Tell whoever waits; at most once."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.future is None or self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def overdue(self, limit: Error | None) -> HubbubError:
        """What to raise when there was no answer in time.

        Args:
            limit: the refusal because of which requests wait, if they do.
        """
        if self.changing and self.sent:
            return OutcomeUnknown()
        if limit is not None:
            return to_exception(limit)
        return Unreachable("no answer in time")


def encode_checked(frame: ClientFrame, max_text: int = MAX_TEXT) -> bytes:
    """The bytes of a frame, such that no server takes them for a breach of the protocol.

    A frame that every connection is closed for would be asked again on every connection.

    Raises:
        Refused: a name, a text or a password may not be one.
        LocalProtocolError: anything else that the protocol does not allow.
    """
    if isinstance(frame, Say | Edit | Announce):
        check_text(frame.text, max_text)
    try:
        data = encoder.encode(frame)
        client_decoder.decode(data)
    except UnicodeEncodeError:
        raise Refused(Code.BAD_NAME, "names and texts must be valid Unicode") from None
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        _check_fields(frame)
        raise LocalProtocolError(f"not a {type(frame).__name__.lower()}: {error}") from None
    return data


def _check_fields(frame: ClientFrame) -> None:
    for field, what in (("room", "room"), ("name", "name"), ("to", "name")):
        value = getattr(frame, field, None)
        if isinstance(value, str):
            check_name(value.removeprefix(DIRECT) if field == "room" else value, what)
    for field in ("password", "old", "new"):
        value = getattr(frame, field, None)
        if isinstance(value, str) and len(value) > MAX_PASSWORD:
            raise Refused(Code.BAD_PASSWORD, f"a password has at most {MAX_PASSWORD} characters")
    text = getattr(frame, "text", None)
    if isinstance(text, str) and len(text) > MAX_REASON:
        raise Refused(Code.TOO_LARGE, f"this text is too long: it has {len(text):,} characters")


def check_text(text: str, max_text: int = MAX_TEXT) -> None:
    """Refuse what is too short or too long to be said.

    Raises:
        Refused: `too_large`, with both lengths.
    """
    if not 1 <= len(text) <= max_text:
        said = f"a text has 1 to {max_text:,} characters, this one has {len(text):,}"
        raise Refused(Code.TOO_LARGE, said)


class Requests:
    """What waits for the wire, in the order of the calls, and what is on it."""

    def __init__(self) -> None:
        self.paused = False  # one came back `unknown`: later ones wait, or they would overtake it
        self.held_after: int | None = None  # what was asked after this ref waits
        # The last refusal for asking too often. As long as any wait it is one at a time: behind one
        # that is refused others on the wire might be let through, and overtake it.
        self.limit: Error | None = None
        self.flight: dict[int, Request] = {}
        self._flight_bytes = 0
        # Heaps. The client's own go first: a room must be joined again before one speaks in it.
        self._own: list[Request] = []
        self._asked: list[Request] = []
        self._refs = 0

    def next_ref(self) -> int:
        """A number never used before by this client: refs stand for the order of calls, too."""
        self._refs += 1
        return self._refs

    def add(self, request: Request) -> None:
        """Queue for sending."""
        heapq.heappush(self._own if request.internal else self._asked, request)

    def take(self) -> Request | None:
        """The next request to write on the connection, or None: nothing, or the window is full."""
        while not self.paused and len(self.flight) < WINDOW and self._flight_bytes < WINDOW_BYTES:
            lane = self._own or self._asked
            if not lane or (self.limit is not None and self.flight):
                return None
            held_after = self.held_after
            if lane is self._asked and held_after is not None and lane[0].ref > held_after:
                return None
            request = heapq.heappop(lane)
            if request.given_up:
                continue
            request.sent += 1
            self.flight[request.ref] = request
            self._flight_bytes += len(request.data)
            return request
        return None

    def answered(self, ref: int) -> Request | None:
        """Take the request that an answer belongs to off the wire."""
        request = self.flight.pop(ref, None)
        if request is not None:
            self._flight_bytes -= len(request.data)
        if not (self.flight or self._own or self._asked):
            self.limit = None
        return request

    def again(self, request: Request) -> float:
        """Queue what was answered `unknown`, and hold all others; seconds until to go on."""
        delay: float = min(AGAIN_AFTER * 2.0**request.tries, AGAIN_AT_MOST)
        request.tries += 1
        self.paused = True
        self.add(request)
        return delay

    def limited(self, request: Request, limit: Error) -> float:
        """Queue what was refused for asking too often, and hold all others; seconds until then."""
        request.sent -= 1  # this time it certainly was not done
        self.limit = limit
        self.paused = True
        self.add(request)
        return AGAIN_AFTER if limit.retry_after is None else limit.retry_after

    def unanswered(self) -> list[asyncio.Future[Any]]:
        """What is being waited for."""
        waiting = [*self.flight.values(), *self._asked]
        return [one.future for one in waiting if one.future is not None and not one.future.done()]

    def lost(self) -> None:
        """The connection is gone: everything unanswered is to be asked again, in its order."""
        flight, self.flight, self._flight_bytes = self.flight, {}, 0
        self.paused = False
        self._own.clear()
        waiting = [*flight.values(), *self._asked]
        self._asked = [one for one in waiting if not one.internal and not one.given_up]
        heapq.heapify(self._asked)

    def fail_sent(self, error: Callable[[], BaseException]) -> None:
        """Settle every change that may have been done: by a new sender it cannot be asked again.

        Call after `lost`.
        """
        doubtful = [one for one in self._asked if one.changing and one.sent]
        self._asked = [one for one in self._asked if not (one.changing and one.sent)]
        heapq.heapify(self._asked)
        for request in doubtful:
            request.settle(error=error())

    def fail_all(self, error: Callable[[], BaseException]) -> None:
        """Settle everything: the client has ended.

        What was sent may have been done before that, and never answered.
        """
        self.lost()
        self.fail_sent(lambda: OutcomeUnknown(f"{error()}; it may have been done before"))
        asked, self._asked = self._asked, []
        for request in asked:
            request.settle(error=error())
