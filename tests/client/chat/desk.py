"""Somebody who types `hubbub chat` at a terminal."""

from __future__ import annotations

import asyncio

from tests.chats import Someone
from tests.client.terminal import Terminal
from tests.support import slack

SECRET = "correct horse"


class Desk:
    """Somebody at a terminal in `hubbub chat`."""

    def __init__(self, someone: Someone) -> None:
        self.someone = someone
        self.terminal = Terminal(columns=90, rows=60)

    async def sit(self, *flags: str, prompt: str) -> Desk:
        """Start it, and wait for the prompt."""
        argv, environ = self.someone.command("chat", *flags)
        await self.terminal.start(argv, environ)
        await self.terminal.shows(lambda rows: rows[-1:] == [f"{prompt}>"])
        return self

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self.terminal.type(f"{line}\r")

    @property
    def rows(self) -> list[str]:
        """What is on the screen."""
        return self.terminal.screen.text()

    async def sees(self, row: str) -> None:
        """Wait until a row is this."""
        await self.terminal.shows(lambda rows: row in rows)

    async def sees_part(self, part: str) -> None:
        """Wait until a row has this in it."""
        await self.terminal.shows(lambda rows: any(part in row for row in rows))

    async def sees_below(self, *last: str) -> None:
        """Wait until the last rows are these."""
        await self.terminal.shows(lambda rows: rows[-len(last) :] == list(last))

    async def ends(self) -> int:
        """Wait until the program has ended."""
        async with asyncio.timeout(slack(20)):
            return await self.terminal.process.wait()
