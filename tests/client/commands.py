"""The `hubbub` command in a process of its own, its output read line by line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support import Cluster, eventually, slack

started: list[asyncio.subprocess.Process] = []  # and not yet waited for


class Run:
    """A running command, its output read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        assert process.stdout is not None
        self._reading = asyncio.ensure_future(self._read(process.stdout))

    async def _read(self, out: asyncio.StreamReader) -> None:
        while line := await out.readline():
            self.lines.append(line.decode().removesuffix("\n"))

    def type(self, *lines: str) -> None:
        """Write lines to its standard input; "\\udcff" is a byte that is no text."""
        assert self.process.stdin is not None
        typed = "".join(f"{line}\n" for line in lines)
        self.process.stdin.write(typed.encode("utf-8", "surrogateescape"))

    async def shows(self, line: str, within: float = 10) -> None:
        """Wait until it printed this line."""
        await eventually(lambda: line in self.lines, within, what=f"{line!r} in {self.lines}")

    async def end(self) -> tuple[int, str]:
        """Close its input and wait: (exit code, standard error)."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        async with asyncio.timeout(slack(20)):
            errors = (await self.process.stderr.read()).decode()
            await self._reading
            return await self.process.wait(), errors


async def start(
    cluster: Cluster, *arguments: str, gateway: int = 0, state: Path | None = None
) -> Run:
    """Start the command, with a home directory of the cluster's."""
    argv, env = cluster.command(*arguments, gateway=gateway)
    env["XDG_DATA_HOME"] = str(cluster.root / "home")
    if state is not None:
        env["XDG_STATE_HOME"] = str(state)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env
    )
    started.append(process)
    return Run(process)


async def run(
    cluster: Cluster,
    *arguments: str,
    stdin: str = "",
    gateway: int = 0,
    state: Path | None = None,
) -> tuple[int, list[str], str]:
    """(exit code, lines of standard output, standard error) of a whole run."""
    running = await start(cluster, *arguments, gateway=gateway, state=state)
    if stdin:
        running.type(*stdin.splitlines())
    code, errors = await running.end()
    return code, running.lines, errors


def objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    """What it printed as JSON."""
    return [json.loads(line) for line in lines]
