"""`hubbub` as people run it: on a pipe, or typed into a terminal (a pty), each at home."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests.support import Cluster, Process, eventually, slack

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])|\r")


class Someone:
    """A person with a home of their own, who is asked by no terminal, and runs `hubbub`."""

    def __init__(self, cluster: Cluster, home: Path, gateway: Process | int = 0) -> None:
        self.cluster = cluster
        self.home = home
        self._gateway = gateway

    def command(self, *arguments: str, **variables: str) -> tuple[list[str], dict[str, str]]:
        """argv and environment; `variables` without their HUBBUB_."""
        argv, environ = self.cluster.command(*arguments, gateway=self._gateway)
        homes = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("DATA", "STATE")}
        return argv, environ | homes | {f"HUBBUB_{key}": text for key, text in variables.items()}

    async def run(
        self, *arguments: str, stdin: str = "", **variables: str
    ) -> tuple[int, list[str], str]:
        """(exit code, lines of standard output, standard error) of a whole run."""
        argv, environ = self.command(*arguments, **variables)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *argv, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        try:
            async with asyncio.timeout(slack(30)):
                out, errors = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, out.decode().splitlines(), errors.decode()

    async def does(self, *arguments: str, stdin: str = "", **variables: str) -> list[str]:
        """What it prints; it must exit with 0."""
        code, lines, errors = await self.run(*arguments, stdin=stdin, **variables)
        assert (code, errors) == (0, ""), f"hubbub {' '.join(arguments)}: {code} {errors}"
        return lines


class PipedChat:
    """One `hubbub chat` between a pipe and a file."""

    def __init__(self, cluster: Cluster, name: str, gateway: Process | int, *flags: str) -> None:
        self.name = name
        self._out = cluster.root / f"chat-{name}.out"
        someone = Someone(cluster, cluster.root / f"home-{name}", gateway)
        argv, environ = someone.command("chat", "--name", name, *flags)
        with self._out.open("wb") as out:
            self._popen = subprocess.Popen(
                argv, env=environ, cwd=cluster.root, stdin=subprocess.PIPE, stdout=out
            )

    def type(self, line: str) -> None:
        """Write one line into the pipe."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def lines(self) -> list[str]:
        """What it has printed."""
        return self._out.read_text(encoding="utf-8").splitlines()

    async def shows(self, line: str, within: float = 10.0) -> None:
        """Wait until it has printed this line."""
        await eventually(
            lambda: any(line in each for each in self.lines()),
            within,
            what=f"{self.name} is shown {line!r}; it was shown {self.lines()}",
        )

    async def leave(self) -> int:
        """End its input and wait; the exit status."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        await eventually(lambda: self._popen.poll() is not None, 10, what=f"{self.name} leaves")
        return self._popen.returncode

    def kill(self) -> None:
        """End it whatever it does."""
        self._popen.kill()
        self._popen.wait()
        if self._popen.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()


class TypedChat:
    """One `hubbub chat` in a terminal of 100 columns and 30 lines."""

    def __init__(self, cluster: Cluster, name: str, gateway: Process | int) -> None:
        self.name = name
        self.stream = b""
        someone = Someone(cluster, cluster.root / f"home-{name}", gateway)
        argv, environ = someone.command("chat", "--name", name)
        environ["TERM"] = "xterm-256color"
        environ["PROMPT_TOOLKIT_NO_CPR"] = "1"  # nobody here answers "where is the cursor?"
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        os.set_blocking(self._terminal, False)
        self._popen = subprocess.Popen(
            argv,
            env=environ,
            cwd=Path(cluster.root),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        asyncio.get_running_loop().add_reader(self._terminal, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that nobody is at the other end any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._terminal)
        self.stream += data

    def type(self, line: str) -> None:
        """Press the keys of one line, and Enter."""
        os.write(self._terminal, line.encode() + b"\r")

    def screen(self) -> str:
        """All that was ever written to the terminal, without what moves or colours."""
        return _ESCAPES.sub("", self.stream.decode(errors="replace"))

    async def shows(self, line: str, within: float = 10.0) -> None:
        """Wait until the terminal was written this."""
        await eventually(
            lambda: line in self.screen(),
            within,
            what=f"{self.name} is shown {line!r}",
        )

    async def ended(self) -> int:
        """Wait until it has ended by itself; the exit status."""
        await eventually(lambda: self._popen.poll() is not None, 10, what=f"{self.name} ends")
        return self._popen.returncode

    def kill(self) -> None:
        """End it whatever it does."""
        asyncio.get_running_loop().remove_reader(self._terminal)
        self._popen.kill()
        self._popen.wait()
        os.close(self._terminal)
