"""`python -m tests.faults.links`: one process that carries every link of a cluster, and hurts them.

It reads commands from standard input, one JSON map a line, and answers each with a line that has
the same `number`:

    {"number": N, "do": "open", "link": NAME, "port": P, "to": Q, ...}
                                                  carry connections to P of 127.0.0.1 on to Q
    {"number": N, "do": "set", "link": NAME, ...} any `Faults`; those not named stay
    {"number": N, "do": "heal", "link": NAME}     none of them any more
    {"number": N, "do": "count", "link": NAME}    what it has carried

It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import msgspec
import uvloop

from hubbub import wire
from hubbub.errors import RemoteProtocolError
from tests.faults.carrying import Pair, Side
from tests.faults.zmtp import Stream
from tests.lossy import kind_of

MOST = 4000  # connections of a link at one time; what is more is reset
TOPICS = (wire.STREAM_TOPIC, b"g/", b"w/", b"o/")  # what else is no message is a subscription
_EVENTS = wire.STREAM_TOPIC + wire.STREAM

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Of = Literal["any", "events", "stream", "requests", "answers", "repairs", "canaries", "everything"]


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """What is wrong with a link.

    Attributes:
        cut: there is no connection, and none is accepted.
        hold: connections stay, new ones are accepted, and nothing is carried to the server
            (`in`), from it (`out`) or either way: as on a silent network, for TCP repeats it later.
        delay, jitter: what is sent arrives so much later, in order; a random part of `jitter` is
            added to `delay`.
        lose: share of bus messages that do not arrive.
        lose_next: so many of them do not; counts down.
        of: which bus messages that concerns (see `CHOICES`).
    """

    cut: bool = False
    hold: Literal["", "in", "out", "both"] = ""
    delay: Seconds = 0.0
    jitter: Seconds = 0.0
    lose: Share = 0.0
    lose_next: Annotated[int, msgspec.Meta(ge=0)] = 0
    of: Of = "any"


def has_events(message: bytes) -> bool:
    """Whether it is a batch of the stream, and no mere repetition of the position."""
    if not message.startswith(_EVENTS):
        return False
    try:
        return wire.peek_stream(message, len(_EVENTS))[2] > 0
    except RemoteProtocolError:
        return False


CHOICES: dict[Of, Callable[[bytes], bool]] = {
    "any": lambda message: kind_of(message) != wire.CANARY,
    "events": has_events,
    "stream": lambda message: message.startswith(_EVENTS),
    "requests": lambda message: message.startswith(b"w/"),
    "answers": lambda message: message.startswith(b"g/") and kind_of(message) == wire.MESSAGE,
    "repairs": lambda message: message.startswith(b"g/") and kind_of(message) == wire.STREAM,
    "canaries": lambda message: kind_of(message) == wire.CANARY,
    "everything": lambda message: True,
}


class Link:
    """One listening port, and what becomes of connections to it.

    Args:
        bus: it carries ZeroMQ, whose messages can be lost one by one.
        seed: of what is lost.
    """

    def __init__(self, name: str, port: int, to: int, *, bus: bool, seed: int) -> None:
        self.to = to
        self.faults = Faults()
        self.pairs: dict[Pair, None] = {}
        self.connections = self.bytes_in = self.bytes_out = self.lost = 0
        self._port = port
        self._bus = bus
        self._losses = random.Random(f"{seed} {name}")
        self._jitters = random.Random(f"{seed} {name} jitter")
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, also where somebody holds the port for us (SO_REUSEPORT)."""
        self._server = await asyncio.get_running_loop().create_server(
            self._accept, "127.0.0.1", self._port, reuse_port=True
        )

    def _accept(self) -> asyncio.Protocol:
        self.connections += 1
        return Side(Pair(self), inward=True) if len(self.pairs) < MOST else _Refused()

    async def set(self, faults: Faults) -> None:
        """Have these faults from now on."""
        self.faults = faults
        if faults.cut:
            server, self._server = self._server, None
            if server is not None:
                server.close()
            for pair in list(self.pairs):
                pair.abort()
        elif self._server is None:
            await self.open()
        for pair in list(self.pairs):
            pair.go_on()

    def counts(self) -> dict[str, int]:
        """What it has carried."""
        return {
            "connections": self.connections,
            "open": len(self.pairs),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "lost": self.lost,
        }

    # --- what a pair asks -------------------------------------------------------------------

    def holds(self, *, inward: bool) -> bool:
        """Whether nothing is carried that way now."""
        return self.faults.hold in ("both", "in" if inward else "out")

    def latency(self) -> float:
        """Seconds that what comes now takes."""
        faults = self.faults
        return faults.delay + (faults.jitter and self._jitters.random() * faults.jitter)

    def carried(self, size: int, *, inward: bool) -> None:
        """So many bytes have been."""
        if inward:
            self.bytes_in += size
        else:
            self.bytes_out += size

    def stream(self) -> Stream | None:
        """What looks at one way of a connection frame by frame."""
        return Stream(self._loses) if self._bus else None

    def _loses(self, message: bytes) -> bool:
        faults = self.faults
        if not (faults.lose or faults.lose_next):
            return False
        if not message.startswith(TOPICS) or not CHOICES[faults.of](message):
            return False
        if faults.lose_next:
            faults.lose_next -= 1
        elif self._losses.random() >= faults.lose:
            return False
        self.lost += 1
        return True


class _Refused(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()  # uvloop's is none by class


class Links:
    """All links of the process, as commands name them."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    async def do(self, command: dict[str, Any]) -> dict[str, int]:
        """Carry out one command; what is to be answered."""
        what, name = command.pop("do"), command.pop("link")
        if what == "open":
            link = Link(name, **command)
            await link.open()
            self._links[name] = link
            return {}
        link = self._links[name]
        if what == "count":
            return link.counts()
        if what == "set":
            command = msgspec.to_builtins(link.faults) | command
        elif what != "heal":
            raise ValueError(f"no such command: {what}")
        await link.set(msgspec.convert(command, Faults))
        return {}


async def serve() -> None:
    """Carry out commands until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    links = Links()
    while line := await reader.readline():
        command = json.loads(line)
        answer = {"number": command.pop("number")}
        try:
            answer |= await links.do(command)
        except Exception as error:
            # The one who asked is told, whatever it is: nobody else would read it here.
            answer["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve())
