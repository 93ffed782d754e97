"""Reading lines from a pipe, a terminal or a file without a thread and without unbounded memory."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncIterator

CHUNK = 64 * 1024
LONGEST = 64 * 1024  # bytes of a line that is kept; nothing near it can be sent anyway


class LineCutter:
    """Bytes in, lines out, decoded; `is_text` tells those that have bytes of no UTF-8. Pure.

    Of a line longer than LONGEST only its beginning is given: still too long to be sent.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends."""
        *lines, rest = data.split(b"\n")
        done = []
        for line in lines:
            if self._rest:
                self._keep(line)
                done.append(self._take())
            else:
                done.append(_text(line[:LONGEST]))
        self._keep(rest)
        return done

    def end(self) -> list[str]:
        """What was left without a line end."""
        return [self._take()] if self._rest else []

    def _keep(self, data: bytes) -> None:
        self._rest += data[: max(0, LONGEST - len(self._rest))]

    def _take(self) -> str:
        line = bytes(self._rest)
        self._rest.clear()
        return _text(line)


def _text(line: bytes) -> str:
    # What was cut off may have taken a part of the last character with it: no fault of the line.
    whole = len(line) < LONGEST
    return codecs.utf_8_decode(line.removesuffix(b"\r"), "surrogateescape", whole)[0]


def is_text(line: str) -> bool:
    """Whether it can be sent as it is: it was UTF-8, and holds no half characters."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


async def lines_of(descriptor: int) -> AsyncIterator[str]:
    """The lines of an open file, as they come. Reads no further than it is asked for."""
    cutter = LineCutter()
    while data := await _read(descriptor):
        for line in cutter.feed(data):
            yield line
    for line in cutter.end():
        yield line


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _read(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _wake, ready)
    except PermissionError:
        pass  # epoll takes no regular files and no /dev/null, which never let one wait
    else:
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
    return os.read(descriptor, CHUNK)
