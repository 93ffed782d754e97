"""A server that says what a test tells it to: for servers that are broken, mute or gone.

What a right server does is tested with the real cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import msgpack

Fields: TypeAlias = dict[str, Any]


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unpacker = msgpack.Unpacker()

    async def frame(self) -> Fields:
        """The next frame of the client."""
        while True:
            with contextlib.suppress(StopIteration):
                frame: Fields = next(self._unpacker)
                return frame
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the client is gone")
            self._unpacker.feed(data)

    async def expect(self, t: str) -> Fields:
        """The next frame, which must be of this kind."""
        frame = await self.frame()
        assert frame["t"] == t, frame
        return frame

    def send(self, t: str, **fields: Any) -> None:
        """Send a frame."""
        self.send_bytes(msgpack.packb({"t": t, **fields}))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def message(self, seq: int, text: str = "", room: str = "lobby", sender: int = 9) -> None:
        """Send a message of somebody else."""
        text = text or f"text {seq}"
        self.send("message", room=room, seq=seq, sender=sender, name="Rita", text=text, at=seq)

    def page(self, ref: int, first: int, last: int, head: int, room: str = "lobby") -> None:
        """Answer `history` with the messages first..last."""
        events = [
            {
                "t": "message", "room": room, "seq": seq, "sender": 9, "name": "Rita",
                "text": f"text {seq}", "at": seq,
            }
            for seq in range(first, last + 1)
        ]  # fmt: skip
        more = last < head
        self.send("page", ref=ref, room=room, events=events, head=head, epoch=7, more=more)

    async def greet(self, *, sender: int = 1, **fields: Any) -> Fields:
        """Answer the first frame with `welcome`; that frame."""
        frame = await self.frame()
        self.welcome(frame, sender=sender, **fields)
        return frame

    def welcome(self, frame: Fields, *, sender: int = 1, **fields: Any) -> None:
        """Answer `frame` with `welcome`."""
        defaults = {
            "ref": frame["ref"],
            "session": sender,
            "sender": sender,
            "name": frame.get("name") or "Radha",
            "token": f"token-{sender}",
            "epoch": 7,
            "rooms": (),
        }
        self.send("welcome", **{**defaults, **fields})

    async def ok(self, t: str, **fields: Any) -> Fields:
        """Answer the next frame, which must be of this kind, with `ok`; that frame."""
        frame = await self.expect(t)
        self.send("ok", ref=frame["ref"], **fields)
        return frame

    def refuse(self, frame: Fields, code: str, **fields: Any) -> None:
        """Answer `frame` with an error."""
        self.send("error", ref=frame["ref"], code=code, text=f"refused: {code}", **fields)

    async def answer_pings(self) -> None:
        """Answer `ping` until the goodbye, or until the client goes; nothing else may come."""
        while (frame := await self.frame())["t"] != "bye":
            assert frame["t"] == "ping", frame
            self.send("pong", ref=frame["ref"])

    async def nothing(self, seconds: float) -> None:
        """The client sends nothing for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                raise AssertionError(f"nothing was to come, but {await self.frame()}")

    async def silence(self, seconds: float) -> None:
        """Neither read nor write: what is tested is how long a client bears it."""
        await asyncio.sleep(seconds)  # poll

    async def let_join(self, head: int = 0) -> Fields:
        """Answer a `join`; that frame."""
        frame = await self.expect("join")
        self.roster(frame["ref"], head, room=frame["room"])
        return frame

    def roster(self, ref: int, head: int, *, room: str = "lobby", **fields: Any) -> None:
        """Answer `join` or `members`."""
        self.send("roster", **{"ref": ref, "room": room, "head": head, "epoch": 7, **fields})

    async def gone(self) -> None:
        """Wait until the client has closed."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def cut(self) -> None:
        """Close; what was sent is still delivered."""
        self._writer.close()


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


class OddServer:
    """Carries out one script per connection, in turn; the last one again and again."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.connections = 0
        self.address = ""
        self.failed: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await script(Peer(reader, writer))
        except ConnectionError:
            pass
        except (AssertionError, KeyError) as error:
            self.failed.append(error)
        except asyncio.CancelledError:
            pass  # the test is over; streams would report it as an error
        finally:
            self._tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[OddServer]:
    """A running OddServer; what its scripts did not expect fails the test at the end."""
    server = OddServer(*scripts)
    listener = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    except Exception as error:
        if server.failed:
            raise server.failed[0] from error
        raise
    finally:
        listener.close()
        for task in list(server._tasks):
            task.cancel()
        await asyncio.gather(*server._tasks, return_exceptions=True)
    if server.failed:
        raise server.failed[0]
