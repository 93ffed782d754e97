"""How those who take part in a chat write into its history; and what is wrong at first sight."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Callable

from hubbub.errors import Code
from tests.faults.history import (
    Answered,
    AnyRecord,
    Asked,
    Back,
    Client,
    Cut,
    Entered,
    History,
    Lacking,
    Out,
    Over,
    Refused,
    Shown,
    Unknown,
)
from tests.faults.people import Person, Wish

LONGEST = 200  # characters of a text that are noted as they are
QUIET = frozenset({"read", "typing", "away"})  # change no room: not in the history

# What anybody may be answered who does things at random. Not among them: that a server broke down,
# that an id was another request's, or that there were too many requests (there is no limit here).
USUAL = frozenset(
    {
        Code.NO_SUCH_ROOM,
        Code.NO_SUCH_PERSON,
        Code.NO_SUCH_MESSAGE,
        Code.NOT_MEMBER,
        Code.NOT_ALLOWED,
        Code.BANNED,
        Code.MUTED,
    }
)
# After these it may have been done: by an earlier try, or because the whole session has ended.
UNSURE = frozenset(
    {
        Code.UNKNOWN,
        Code.UNAVAILABLE,
        Code.TIMEOUT,
        Code.WRONG_TIME,
        Code.REPLACED,
        Code.EXPIRED,
        Code.SUSPENDED,
    }
)


def brief(text: str) -> str:
    """A text as it is noted: itself, or the beginning and a digest of a long one."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{text[:20]}... {len(text)} {digest}"


async def passes(quiet: asyncio.Event, seconds: float) -> None:
    """How fast somebody is: so long they pause, or until all are to be quiet."""
    try:
        async with asyncio.timeout(seconds):
            await quiet.wait()
    except TimeoutError:
        pass


class Request:
    """Something that is asked for, once or again.

    Attributes:
        seq: the number that it was acknowledged with, 0 if it has none; None: it was not.
        is_refused: it was.
    """

    __slots__ = ("client", "id", "is_refused", "seq", "wish")

    def __init__(self, client: str, wish: Wish, id: bytes) -> None:
        self.client = client
        self.wish = wish
        self.id = id
        self.seq: int | None = None
        self.is_refused = False

    @property
    def is_done(self) -> bool:
        """Whether it was acknowledged."""
        return self.seq is not None


class Notes:
    """A history, and the clock by which it is written.

    Attributes:
        findings: what is wrong whatever the checker says of the history: sentences.
        done: kind of request -> how many were acknowledged.
        refused_with: likewise, by the code of the refusal.
        acts: requests that have had an outcome.
        unknowns: those of them whose outcome nobody could tell.
        again: requests that were made once more by hand.
        rooms: all that were ever asked about.
        joining: room -> joins without an outcome.
        unsure: rooms of joins whose outcome nobody could tell.
        behind: how often a connection was told that it is: as it `resumed`, or reads too `slow`.
    """

    def __init__(self, history: History, clock: Callable[[], float]) -> None:
        self._history = history
        self._clock = clock
        self._open = True
        self.findings: list[str] = []
        self.done: Counter[str] = Counter()
        self.refused_with: Counter[str] = Counter()
        self.acts = 0
        self.unknowns = 0
        self.again = 0
        self.rooms: set[str] = set()
        self.behind: Counter[str] = Counter()
        self.joining: Counter[str] = Counter()
        self.unsure: set[str] = set()

    def now(self) -> float:
        """Seconds since the run began."""
        return self._clock()

    def note(self, record: AnyRecord) -> None:
        """Add a record, unless the history is complete."""
        if self._open:
            self._history.note(record)

    def complete(self) -> None:
        """What follows is clearing up, and belongs into no history."""
        self._open = False

    def find(self, text: str) -> None:
        """Something is wrong."""
        if self._open:
            self.findings.append(f"at {self.now():.1f}: {text}")

    @property
    def records(self) -> list[AnyRecord]:
        """All that were noted."""
        return self._history.records

    # --- requests -------------------------------------------------------------------------------

    def asks(self, client: str, wish: Wish, id: bytes | None = None) -> Request:
        """A client is about to ask. `id`: that of the first time, when it asks again."""
        self.again += id is not None
        request = Request(client, wish, os.urandom(16) if id is None else id)
        self._asked(request)
        return request

    def _asked(self, request: Request) -> None:
        wish = request.wish
        if wish.op in QUIET:
            return
        if wish.room:
            self.rooms.add(wish.room)
        self.joining[wish.room] += wish.op == "join"
        self.note(
            Asked(
                self.now(),
                request.client,
                wish.op,
                request.id.hex(),
                wish.room,
                brief(wish.text),
                wish.of,
                wish.whom,
            )
        )

    def answered(self, request: Request, seq: int) -> None:
        """It was acknowledged, with its number if it has one."""
        self.acts += 1
        self.done[request.wish.op] += 1
        request.seq = seq
        self._has_outcome(request)
        if request.wish.op not in QUIET:
            self.note(Answered(self.now(), request.client, request.id.hex(), seq))

    def refused(self, request: Request, code: str, text: str) -> None:
        """It was refused."""
        self.acts += 1
        self.refused_with[code] += 1
        request.is_refused = True
        self._has_outcome(request)
        if code not in USUAL and (request.wish.op, code) != ("nick", Code.NAME_TAKEN):
            self.find(f"{request.client} was refused {request.wish}: {code}, {text}")
        if request.wish.op not in QUIET:
            self.note(Refused(self.now(), request.client, request.id.hex(), str(code)))

    def unknown(self, request: Request) -> None:
        """Nobody can say."""
        self.acts += 1
        self.unknowns += 1
        self._has_outcome(request)
        if request.wish.op == "join":
            self.unsure.add(request.wish.room)
        if request.wish.op not in QUIET:
            self.note(Unknown(self.now(), request.client, request.id.hex()))

    def _has_outcome(self, request: Request) -> None:
        self.joining[request.wish.room] -= request.wish.op == "join"

    def passes_to(self, client: str, request: Request) -> None:
        """It goes on as the request of another person: under the number that a guest now has."""
        if request.wish.op not in QUIET:
            self.note(Unknown(self.now(), request.client, request.id.hex()))
        request.client, request.id = client, os.urandom(16)
        self._asked(request)

    # --- what is shown --------------------------------------------------------------------------

    def client(self, name: str, person: Person, sender: int, *, exact: bool = False) -> None:
        """There is a new client."""
        self.note(Client(self.now(), name, person.name, sender, exact, person.keeper))

    def entered(self, client: str, room: str, head: int) -> None:
        """It is in a room now."""
        self.note(Entered(self.now(), client, room, head))

    def out(self, client: str, room: str, why: str) -> None:
        """It is in a room no more."""
        self.note(Out(self.now(), client, room, why))

    def shown(
        self, client: str, room: str, seq: int, kind: str, sender: int, text: str, of: int, to: str
    ) -> None:
        """It is shown an entry."""
        self.note(Shown(self.now(), client, room, seq, kind, sender, brief(text), of, to))

    def lacking(self, client: str, room: str, first: int, last: int) -> None:
        """It is told that it will not be shown these."""
        self.note(Lacking(self.now(), client, room, first, last))

    def cut(self, client: str, why: str) -> None:
        """It has lost its connection."""
        self.note(Cut(self.now(), client, why))

    def back(self, client: str, gateway: str, resumed: bool) -> None:
        """It has a connection."""
        self.note(Back(self.now(), client, gateway, resumed))

    def over(self, client: str, why: str) -> None:
        """It has ended."""
        self.note(Over(self.now(), client, why))
