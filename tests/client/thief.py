"""A proxy between clients and a gateway that takes away, or alters, frames of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import msgpack

from tests.support import Address

Fields: TypeAlias = dict[str, Any]
Treat: TypeAlias = Callable[[int, Fields], Fields | None]


class Thief:
    """`treat(connection, frame)` is asked for every frame of the gateway: what the client gets
    instead, None for nothing. Connections are numbered from 1 on.
    """

    def __init__(self, gateway: Address, treat: Treat) -> None:
        self._gateway = gateway
        self._treat = treat
        self.connections = 0
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        self.connections += 1
        number = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(*self._gateway)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, back))
                group.create_task(self._steal(number, there, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass  # the test is over; streams would report it as an error
        finally:
            self._tasks.discard(task)
            writer.close()
            back.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _steal(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        unpacker = msgpack.Unpacker()
        while data := await reader.read(65536):
            unpacker.feed(data)
            for frame in unpacker:
                left = self._treat(number, frame)
                if left is not None:
                    writer.write(msgpack.packb(left))
        writer.close()

    def end(self) -> list[asyncio.Task[None]]:
        """End all connections; what is to be waited for."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks


@contextlib.asynccontextmanager
async def stealing(gateway: Address, treat: Treat) -> AsyncIterator[Thief]:
    """A running Thief before a gateway."""
    thief = Thief(gateway, treat)
    listener = await asyncio.start_server(thief.serve, "127.0.0.1", 0)
    thief.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield thief
    finally:
        listener.close()
        await asyncio.gather(*thief.end(), return_exceptions=True)
