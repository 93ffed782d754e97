"""A terminal for tests: a pseudo-terminal, and as much of a screen as the line editor uses."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import termios
from collections.abc import Callable, Mapping

from tests.support import eventually

_SEQUENCE = re.compile(r"\x1b\[([?>]?)([\d;]*)([A-Za-z])|\x1b[=>]|\x1b\][^\x07]*\x07")


class Screen:
    """Rows of text under a cursor. Scrolls by growing: nothing is ever lost at the top."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.top = 0  # the first row that is visible
        self.row = 0
        self.column = 0
        self.bells = 0
        self._cells: list[list[str]] = [[]]

    def text(self) -> list[str]:
        """The rows, without empty ones at the end."""
        lines = ["".join(row).rstrip() for row in self._cells]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def put(self, character: str) -> None:
        """One printed character, or line feed, carriage return, backspace."""
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._go(self.row + 1, self.column)
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\a":
            self.bells += 1
        elif character >= " ":
            if self.column >= self.columns:
                self._go(self.row + 1, 0)
            line = self._cells[self.row]
            line += " " * (self.column + 1 - len(line))
            line[self.column] = character
            self.column += 1

    def control(self, parameters: str, kind: str) -> None:
        """One control sequence."""
        first = int(parameters.split(";")[0] or 0)
        count = max(1, first)
        if kind == "A":
            self.row = max(self.top, self.row - count)
        elif kind == "B":
            self._go(self.row + count, self.column)
        elif kind == "C":
            self.column = min(self.columns - 1, self.column + count)
        elif kind == "D":
            self.column = max(0, self.column - count)
        elif kind == "K":
            del self._cells[self.row][self.column :]
        elif kind == "J":
            start = self.top if first == 2 else self.row
            if first != 2:
                del self._cells[self.row][self.column :]
                start += 1
            for line in self._cells[start:]:
                line.clear()
        elif kind == "H":
            self.row, self.column = self.top, 0

    def _go(self, row: int, column: int) -> None:
        while row >= len(self._cells):
            self._cells.append([])
        self.row, self.column = row, column
        self.top = max(self.top, row - self.rows + 1)


class Terminal:
    """A program that believes it sits at a terminal."""

    def __init__(self, columns: int = 60, rows: int = 20, *, kind: str = "xterm") -> None:
        self.screen = Screen(columns, rows)
        self.escapes = 0  # how many sequences the program has written
        self._kind = kind
        self._rest = ""
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process: asyncio.subprocess.Process

    async def start(self, argv: list[str], environ: Mapping[str, str]) -> None:
        """Start the program."""
        self.process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**environ, "TERM": self._kind},
            start_new_session=True,
        )
        os.close(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has closed its side
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self.escapes += data.count(b"\x1b")
        self._rest += data.decode(errors="replace")
        while self._rest:
            found = _SEQUENCE.match(self._rest)
            if found is None and self._rest[0] == "\x1b" and len(self._rest) < 20:
                return  # the rest of it is yet to come
            if found is None:
                self.screen.put(self._rest[0])
                self._rest = self._rest[1:]
                continue
            self._rest = self._rest[found.end() :]
            if found[3] == "n":
                row, column = self.screen.row - self.screen.top + 1, self.screen.column + 1
                os.write(self._master, f"\x1b[{row};{column}R".encode())
            elif found[3] and not found[1]:
                self.screen.control(found[2], found[3])

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def echoes(self) -> bool:
        """Whether the terminal itself would show what is typed now."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    async def shows(self, check: Callable[[list[str]], bool], within: float = 10) -> None:
        """Wait until the screen is so."""
        try:
            await eventually(lambda: check(self.screen.text()), within)
        except AssertionError:
            raise AssertionError("\n".join(["the screen is", *self.screen.text()])) from None

    async def close(self) -> None:
        """Take the terminal away."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
