"""The process that carries the links of a cluster (links.py), as its tests speak to it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.faults.links import Of
from tests.support import ROOT, clean_environment, slack

ANSWER_WITHIN = 10.0  # seconds


class Link:
    """One link, or several that are hurt alike. Each fault stays until `heal` or another value."""

    def __init__(self, proxy: Proxy, parts: Sequence[str]) -> None:
        self._proxy = proxy
        self._parts = parts

    async def _do(self, what: str, **more: Any) -> list[dict[str, Any]]:
        return [await self._proxy.ask(do=what, link=part, **more) for part in self._parts]

    async def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        await self._do("set", cut=True)

    async def hold(self, way: str = "both") -> None:
        """Be silent: `in` to the server, `out` from it, or `both`. What is sent comes when healed.

        Connections stay, and new ones are accepted; the server hears of them when healed.
        """
        await self._do("set", hold=way)

    async def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Carry everything later, each way, by `seconds` and up to `jitter` more; in order."""
        await self._do("set", delay=seconds, jitter=jitter)

    async def lose(self, share: float, *, of: Of = "any") -> None:
        """Lose this share of bus messages, on their way to the broker as well as from it.

        `of`: which (see `CHOICES` in links.py); `any` is all but canaries.
        """
        await self._do("set", lose=share, of=of)

    async def lose_next(self, count: int, *, of: Of = "any") -> None:
        """Lose the next bus messages; of several links, so many each."""
        await self._do("set", lose_next=count, of=of)

    async def heal(self) -> None:
        """None of it any more."""
        await self._do("heal")

    async def count(self) -> dict[str, int]:
        """What has been carried: `connections` ever, `open` now, `bytes_in`, `bytes_out`, and bus
        messages `lost`."""
        answers = await self._do("count")
        return {key: sum(answer[key] for answer in answers) for key in answers[0]}


class Proxy:
    """The process that carries all links.

    Args:
        log: where it writes what it should not have to: what goes wrong in itself.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Start it."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.faults.links",
                cwd=ROOT,
                env=clean_environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Have it do something; its answer.

        Raises:
            RuntimeError: it could not, or is no more.
        """
        process, number = self._process, next(self._numbers)
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        async with self._lock, asyncio.timeout(slack(ANSWER_WITHIN)):
            process.stdin.write(json.dumps({"number": number} | command).encode() + b"\n")
            answer: dict[str, Any] = {}
            while answer.pop("number", None) != number:  # who asked earlier was cancelled
                line = await process.stdout.readline()
                if not line:
                    raise RuntimeError(f"the proxy has ended: {self.troubles()}")
                answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        return answer

    async def end(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(slack(ANSWER_WITHIN)):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def troubles(self) -> str:
        """What it has written."""
        return self.log.read_text() if self.log.exists() else ""
