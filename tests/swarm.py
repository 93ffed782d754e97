"""Many people in one room, on the client library, who talk at a steady rate and note everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType

import hubbub
from tests.exact import Line, faults
from tests.support import eventually, slack


class Talker:
    """One client: what it said, was answered and was shown."""

    def __init__(self, client: hubbub.Client, room: str) -> None:
        self.client = client
        self.room = room
        self.acked: dict[str, int] = {}
        self.asked: list[str] = []
        self.slowest = 0.0  # seconds between saying and its acknowledgement
        self.lines: list[Line] = []
        self.presences: list[tuple[str, str]] = []  # (name, change)
        self.resumed_at: list[float] = []
        self.restarted = 0  # times that the session could not be resumed

    async def read(self) -> None:
        """Note what happens until cancelled."""
        async for event in self.client:
            match event:
                case hubbub.Message(room=self.room):
                    self.lines.append((event.seq, event.text))
                case hubbub.Presence():
                    self.presences.append((event.name, event.change))
                case hubbub.Reconnected():
                    self.resumed_at.append(time.monotonic())
                    self.restarted += not event.resumed

    async def say(self, text: str) -> None:
        """Say one line and note its number."""
        self.asked.append(text)
        before = time.monotonic()
        answer = await self.client.say(self.room, text)
        self.slowest = max(self.slowest, time.monotonic() - before)
        self.acked[text] = answer.seq


class Swarm:
    """Talkers spread over addresses, each knowing all of them: `async with Swarm(...) as swarm`."""

    def __init__(self, servers: Sequence[str], people: int, *, room: str = "lobby") -> None:
        self.servers = list(servers)
        self.people = people
        self.room = room
        self.talkers: list[Talker] = []
        self._stack = AsyncExitStack()
        self._quiet = asyncio.Event()
        self._load: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Swarm:
        await self._stack.__aenter__()
        for number in range(self.people):
            at = number % len(self.servers)
            servers = self.servers[at:] + self.servers[:at]
            client = hubbub.connect(*servers, name=f"p{number}")
            await self._stack.enter_async_context(client)
            await client.join(self.room)
            self.talkers.append(Talker(client, self.room))
        readers = [asyncio.create_task(talker.read()) for talker in self.talkers]
        for reader in readers:
            self._stack.callback(reader.cancel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._load:
            task.cancel()
        await asyncio.gather(*self._load, return_exceptions=True)
        await self._stack.__aexit__(kind, error, trace)

    def talk(self, rate: float) -> None:
        """Begin to talk: `rate` lines a second over all people, until `finish`."""
        every = self.people / rate
        for number, talker in enumerate(self.talkers):
            first = every * number / self.people
            self._load.append(asyncio.create_task(self._talk(talker, number, first, every)))

    async def _talk(self, talker: Talker, number: int, first: float, every: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + first
        count = 0
        said: list[asyncio.Task[None]] = []
        while not self._quiet.is_set():
            try:
                async with asyncio.timeout_at(due):
                    await self._quiet.wait()
            except TimeoutError:
                count += 1
                said.append(asyncio.create_task(talker.say(f"p{number} says {count}")))
                due += every
        await asyncio.gather(*said)

    async def finish(self, within: float = 30.0) -> None:
        """Stop talking; returns when all was acknowledged and everybody was shown the last line."""
        self._quiet.set()
        async with asyncio.timeout(slack(within)):
            await asyncio.gather(*self._load)
            self._load.clear()
            last = await self.talkers[0].client.say(self.room, "the end")
            self.talkers[0].acked["the end"] = last.seq
        await eventually(
            lambda: all(talker.lines[-1][0] >= last.seq for talker in self.talkers),
            within,
            what="everybody is shown the last line",
        )

    @property
    def slowest(self) -> float:
        """The longest that anybody waited for an acknowledgement, in seconds."""
        return max(talker.slowest for talker in self.talkers)

    async def log(self) -> list[Line]:
        """The room, read from number 1 by somebody new."""
        lines: list[Line] = []
        async with hubbub.connect(*self.servers, visible=False) as reader:
            more, after = True, 0
            while more:
                page = await reader.history(self.room, after=after, limit=500)
                lines += [(e.seq, e.text) for e in page.events if isinstance(e, hubbub.Message)]
                after = page.events[-1].seq if page.events else after
                more = page.more
        return lines

    async def faults(self) -> list[str]:
        """The verdict, after `finish`."""
        acked = {text: seq for talker in self.talkers for text, seq in talker.acked.items()}
        asked = [*(text for talker in self.talkers for text in talker.asked), "the end"]
        shown = {talker.client.name: talker.lines for talker in self.talkers}
        return faults(acked, shown, await self.log(), asked)
