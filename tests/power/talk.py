"""The run that is recorded: people who talk, edit, delete, join and read while workers come and go.

What the cluster has answered, and when, is what a power cut must not take back (`Talk.promises`).
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.native import AnsweredError, Fields, RawClient
from tests.support import Cluster, eventually

PASSWORD = "correct horse battery"
HALL = "hall"
IN_FLIGHT = 4  # requests that one speaker has not been answered yet
# Four bytes each and no word to the search: much to store, little to compute.
_FILLING = "🌊🌿🪨🔥🌙⭐🍂🐚"
LONG = 3_900  # characters
_RESTARTS = struct.Struct(">12xI")  # of a log's header: how often it was begun anew
SETTINGS: dict[str, Any] = {"say_rate": 0, "change_rate": 0, "read_rate": 0, "gather": 0.01}


class Promise(NamedTuple):
    """A request that was acknowledged."""

    at: float  # time.monotonic() when the answer was there
    op: str  # hello | register | join | say | edit | delete | read
    sender: int
    id: bytes
    room: str = ""
    seq: int = 0  # its number in the room; of `read`, the number up to which
    of: int = 0
    text: str = ""


class Period(NamedTuple):
    """Some time in which something happened."""

    what: str
    begin: float
    end: float


class Talk:
    """What was asked and what was promised."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.promises: list[Promise] = []  # in the order of their times
        self.asked: dict[str, float] = {}  # text -> when it was first sent
        self.epoch = 0
        self.periods: list[Period] = []

    def until(self, at: float) -> Talk:
        """As it was at a moment."""
        past = Talk(0)
        past.promises = [promise for promise in self.promises if promise.at <= at]
        past.asked = {text: when for text, when in self.asked.items() if when <= at}
        past.epoch = self.epoch
        return past


class Speaker:
    """One person: an account, or a guest."""

    def __init__(self, talk: Talk, client: RawClient, name: str) -> None:
        self.talk = talk
        self.client = client
        self.name = name
        self.sender: int = client.welcome["sender"]
        self._texts = 0
        self._rooms = 0
        self._own: list[int] = []  # messages that can be edited
        self._space = asyncio.Semaphore(IN_FLIGHT)
        self._failure: BaseException | None = None

    def ask(self, t: str, op: Promise, taken: Callable[[int], None], **fields: object) -> None:
        """Send a request, and note its answer when it comes."""
        talk = self.talk
        if op.text:
            talk.asked[op.text] = time.monotonic()
        if op.id:
            fields["id"] = op.id

        def answered(answer: asyncio.Future[Fields]) -> None:
            at = time.monotonic()
            self._space.release()
            if answer.exception() is not None:
                self._failure = answer.exception()
                return
            frame = answer.result()
            if frame["t"] == "error":
                # Its message was deleted by a request that was not answered yet when it was sent.
                if frame["code"] != "no_such_message":
                    self._failure = AnsweredError(frame)
                return
            seq = op.seq or frame.get("seq", 0)
            talk.promises.append(op._replace(at=at, seq=seq))
            taken(seq)

        self.client.send(t, **fields).add_done_callback(answered)

    def _text(self, *, long: bool) -> str:
        self._texts += 1
        text = f"{self.name} {self._texts}"
        if not long:
            return text
        begin = self.talk.random.randrange(len(_FILLING))
        filling = (_FILLING[begin:] + _FILLING[:begin]) * (LONG // len(_FILLING))
        return f"{text} {filling}"

    async def speak(self, is_over: Callable[[], bool]) -> None:
        """Do things at random until it is over and all is answered.

        Raises:
            ClosedError: the connection ended.
            AnsweredError: something was refused.
        """
        while not is_over() and self._failure is None:
            await self._space.acquire()
            self._act()
        for _ in range(IN_FLIGHT):
            await self._space.acquire()
        for _ in range(IN_FLIGHT):
            self._space.release()
        if self._failure is not None:
            raise self._failure

    def _act(self) -> None:
        random = self.talk.random
        kinds = ["say", "long", "edit", "delete", "read", "join"]
        # Edits above all: they fill the log, and the database stays small.
        (kind,) = random.choices(kinds, [32, 8, 48, 3, 8, 1])
        op = Promise(0.0, kind, self.sender, os.urandom(16), HALL)
        if kind in ("edit", "delete", "read") and len(self._own) < 5:
            kind = "say"
        if kind == "edit":
            text, of = self._text(long=True), random.choice(self._own[:40])
            edit = op._replace(of=of, text=text)
            self.ask("edit", edit, lambda _: None, room=HALL, seq=of, text=text)
        elif kind == "delete":
            of = self._own.pop(random.randrange(len(self._own)))
            self.ask("delete", op._replace(of=of), lambda _: None, room=HALL, seq=of)
        elif kind == "read":
            seq = self._own[-1]
            read = op._replace(id=b"", seq=seq)
            self.ask("read", read, lambda _: None, room=HALL, seq=seq)
        elif kind == "join":
            self._rooms += 1
            room = f"room-{self.name}-{self._rooms}"
            self.ask("join", op._replace(room=room), lambda _: None, room=room)
        else:
            text = self._text(long=kind == "long")
            say = op._replace(op="say", text=text)
            self.ask("say", say, self._own.append, room=HALL, text=text)


class Run:
    """A cluster of one broker, one gateway and two workers that is talked to, as it is recorded."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.talk = Talk(seed)
        self._cluster = cluster
        self._speakers: list[Speaker] = []

    async def whole(self) -> Talk:
        """All of it: the cluster has started; all its processes have ended when it returns."""
        talk = self.talk
        for name, account in (("ann", True), ("ben", True), ("guest", False)):
            await self._come(name, account=account)
        await self._talk(self._has_restarted_log())
        await self._while_talking("restart", self._restart)
        await self._talk(self._has_restarted_log())
        await self._while_talking("kill", self._kill)
        begin = time.monotonic()
        for speaker in self._speakers:
            speaker.client.abort()  # a guest that says goodbye is a member of nothing any more
        await self._cluster.stop()
        talk.periods.append(Period("stop", begin, time.monotonic()))
        return talk

    async def _come(self, name: str, *, account: bool) -> None:
        client = await RawClient.open(self._cluster.address(), name)
        speaker = Speaker(self.talk, client, name)
        self._promised("hello", speaker)
        self.talk.epoch = client.welcome["epoch"]
        if account:
            await client.ask("register", id=os.urandom(16), password=PASSWORD)
            self._promised("register", speaker)
        await client.join(HALL)
        self._promised("join", speaker, HALL)
        self._speakers.append(speaker)

    def _promised(self, op: str, speaker: Speaker, room: str = "") -> None:
        session = speaker.client.welcome["session"] if op == "hello" else 0
        promise = Promise(time.monotonic(), op, speaker.sender, b"", room, session)
        self.talk.promises.append(promise)

    async def _talk(self, is_over: Callable[[], bool]) -> None:
        await asyncio.gather(*(speaker.speak(is_over) for speaker in self._speakers))

    def _has_restarted_log(self) -> Callable[[], bool]:
        """Whether the database's log was begun anew since now: it was copied into the database."""
        path = self._cluster.data / "hubbub.db-wal"
        before = _restarts(path)
        return lambda: _restarts(path) > before

    async def _while_talking(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something to the workers, with talk before, during and after it."""
        stopped = False
        talking = asyncio.create_task(self._talk(lambda: stopped))
        await self._heard(50)
        begin = time.monotonic()
        await act()
        await self._heard(50)
        self.talk.periods.append(Period(what, begin, time.monotonic()))
        stopped = True
        await talking

    async def _heard(self, more: int) -> None:
        """Wait for so many answers more."""
        wanted = len(self.talk.promises) + more
        await eventually(lambda: len(self.talk.promises) >= wanted, 20)

    async def _restart(self) -> None:
        worker = self._cluster.active_worker
        await worker.stop()
        await self._cluster.restart(worker)

    async def _kill(self) -> None:
        self._cluster.active_worker.kill()


def _restarts(log: Path) -> int:
    try:
        with log.open("rb") as file:
            head = file.read(_RESTARTS.size)
    except FileNotFoundError:
        return 0
    return int(_RESTARTS.unpack(head)[0]) if len(head) == _RESTARTS.size else 0
