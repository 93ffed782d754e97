"""A client of the native protocol that hides nothing: frames are plain maps, bytes are bytes.

It knows msgpack and the shape "request with ref, answer with the same ref", no more, so that a
mistake in hubbub.frames or hubbub.client cannot hide itself.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgpack

from tests.support import Address, slack

Fields: TypeAlias = dict[str, Any]


class AnsweredError(Exception):
    """The answer was an `error` frame."""

    def __init__(self, frame: Fields) -> None:
        super().__init__(f"{frame['code']}: {frame['text']}")
        self.code: str = frame["code"]
        self.frame = frame


class ClosedError(Exception):
    """The connection ended while something was waited for."""


class RawClient(asyncio.Protocol):
    """One connection. `seen` holds every frame that was no answer or `beat`, in order of arrival.

    An answer is given the key `seen_before`: how many of `seen` came before it.
    """

    def __init__(self) -> None:
        self.seen: list[Fields] = []
        self.at: list[float] = []  # when each frame of `seen` came, time.monotonic()
        self.welcome: Fields = {}
        self.bytes_received = 0
        self.beats = 0
        self.on_frame: Callable[[Fields], None] | None = None  # called with each, in order
        self._unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=2**28)
        self._answers: dict[int, asyncio.Future[Fields]] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self._ref = 0
        self._closed = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    # --- opening and closing ---------------------------------------------------------------

    @classmethod
    async def connect(cls, address: Address) -> RawClient:
        """A connection on which nothing was said yet."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(slack(5)):
            _, client = await loop.create_connection(cls, *address)
        return client

    @classmethod
    async def open(cls, address: Address, name: str | None = None, **fields: Any) -> RawClient:
        """Connect and say hello."""
        client = await cls.connect(address)
        await client.hello(name, **fields)
        return client

    async def hello(self, name: str | None = None, **fields: Any) -> Fields:
        """Begin a session; the welcome."""
        if name is not None:
            fields["name"] = name
        self.welcome = await self.ask("hello", id=os.urandom(16), **fields)
        return self.welcome

    async def resume(self, address: Address, **cursors: int) -> RawClient:
        """A new connection at `address` that continues this one's session."""
        client = await RawClient.connect(address)
        client.welcome = await client.ask(
            "resume",
            id=os.urandom(16),
            token=self.welcome["token"],
            epoch=self.welcome["epoch"],
            rooms=cursors,
        )
        return client

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.transport.abort()

    async def close(self) -> None:
        """Say goodbye, and wait until the other side has closed."""
        if not self._closed.done():
            await self.ask("bye", id=os.urandom(16))
        await self.closed()

    async def closed(self, within: float = 10.0) -> None:
        """Wait until the connection is over."""
        async with asyncio.timeout(slack(within)):
            await asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is over."""
        return self._closed.done()

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        now = time.monotonic()
        self._unpacker.feed(data)
        for frame in self._unpacker:
            if self.on_frame is not None:
                self.on_frame(frame)
            answer = self._answers.pop(frame["ref"], None) if "ref" in frame else None
            if frame["t"] == "beat":
                self.beats += 1  # signs of life, which come whenever the gateway likes
            elif answer is None:
                self.seen.append(frame)
                self.at.append(now)
            elif not answer.done():
                frame["seen_before"] = len(self.seen)
                answer.set_result(frame)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set_result(None)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ClosedError("the connection ended before the answer"))
                answer.exception()  # retrieved: nobody may be waiting
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # --- asking -----------------------------------------------------------------------------

    def send(self, t: str, **fields: Any) -> asyncio.Future[Fields]:
        """Send a request; its answer comes as the result, an `error` as such, too."""
        return self.send_all({"t": t, **fields})[0]

    def send_all(self, *requests: Fields) -> list[asyncio.Future[Fields]]:
        """Send requests in one piece; their answers."""
        first = self._ref + 1
        self._ref += len(requests)
        answers = [asyncio.get_running_loop().create_future() for _ in requests]
        if self._closed.done():
            for answer in answers:
                answer.set_exception(ClosedError("the connection is over"))
            return answers
        self._answers.update(enumerate(answers, first))
        pack = msgpack.packb
        self.transport.write(
            b"".join(pack({"ref": ref, **fields}) for ref, fields in enumerate(requests, first))
        )
        return answers

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transport.write(data)

    async def ask(self, t: str, *, within: float = 15.0, **fields: Any) -> Fields:
        """Send a request and wait for its answer.

        Raises:
            AnsweredError: it was an `error`.
            ClosedError: the connection ended first.
        """
        async with asyncio.timeout(slack(within)):
            answer = await self.send(t, **fields)
        if answer["t"] == "error":
            raise AnsweredError(answer)
        return answer

    async def join(self, room: str, **fields: Any) -> Fields:
        """Enter a room; its roster."""
        return await self.ask("join", room=room, id=os.urandom(16), **fields)

    async def say(self, room: str, text: str, key: bytes | None = None) -> int:
        """Say something; its number."""
        answer = await self.ask("say", room=room, text=text, id=key or os.urandom(16))
        seq: int = answer["seq"]
        return seq

    async def ping(self, within: float = 15.0) -> None:
        """The barrier: what was answered to anybody before has been delivered after this."""
        await self.ask("ping", within=within)

    async def log(self, room: str, after: int = 0) -> list[Fields]:
        """Every event of a room above `after`, page by page."""
        events: list[Fields] = []
        while True:
            page = await self.ask("history", room=room, after=after, limit=500)
            events += page["events"]
            if not page.get("more"):
                return events
            after = events[-1]["seq"]

    # --- looking at what came ---------------------------------------------------------------

    async def until(self, check: Callable[[], object], within: float = 10.0) -> None:
        """Wait until `check()` is true, asking after every arrival."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(slack(within)):
            while not check():
                if self._closed.done():
                    raise ClosedError("the connection ended while something was waited for")
                waiter = loop.create_future()
                self._waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.discard(waiter)

    def messages(self, room: str | None = None) -> list[Fields]:
        """The `message` frames that were shown (of one room), in order."""
        return [f for f in self.seen if f["t"] == "message" and room in (None, f["room"])]

    def texts(self, room: str | None = None) -> list[str]:
        """Their texts."""
        return [frame["text"] for frame in self.messages(room)]

    def presences(self, name: str | None = None) -> list[str]:
        """The changes of presence that were shown (of one person), in order."""
        return [
            f["change"] for f in self.seen if f["t"] == "presence" and name in (None, f["name"])
        ]

    async def until_text(self, text: str, within: float = 10.0) -> None:
        """Wait until a message with this text was shown."""
        await self.until(lambda: text in self.texts(), within)
