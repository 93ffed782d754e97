"""Real processes for tests: a `Cluster` of brokers, workers and gateways, each under its handle.

Nothing here knows how a process works: it starts `python -m ...`, reads its lines, signals it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, overload

T = TypeVar("T")
Address: TypeAlias = tuple[str, int]

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN = 20.0  # seconds until a process says that it is ready
STOP_WITHIN = 12.0  # a gateway may drain for 8 of them
_TROUBLE = re.compile(r"^Traceback |^\S+ (?:ERROR|CRITICAL) |^\s*\w*(?:Error|Exception): ", re.M)


def slack(seconds: float) -> float:
    """A deadline on this machine: HUBBUB_TEST_SLACK stretches all of them where it is slow."""
    return seconds * float(os.environ.get("HUBBUB_TEST_SLACK", "1"))


@overload
async def eventually(
    check: Callable[[], Awaitable[T]], within: float = 5.0, *, what: str = ""
) -> T: ...
@overload
async def eventually(
    check: Callable[[], T | None], within: float = 5.0, *, what: str = ""
) -> T: ...
async def eventually(check: Callable[[], Any], within: float = 5.0, *, what: str = "") -> Any:
    """The first true value of `check()`, asked again and again for `within` (times slack) seconds.

    Raises:
        AssertionError: it never was true; an AssertionError of `check` itself counts as not true.
    """
    deadline = time.monotonic() + slack(within)
    while True:
        trouble: AssertionError | None = None
        value = None
        try:
            result = check()
            value = await result if inspect.isawaitable(result) else result
        except AssertionError as error:
            trouble = error
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {slack(within)} s: {what or inspect.getsource(check).strip()}"
            ) from trouble
        await asyncio.sleep(0.01)  # poll


async def passing(seconds: float, grace: float = 0.0) -> None:
    """Let time pass that a rule names: an outage lasts so long, a line would come after so long.

    `grace`: what a machine may take more for it, in seconds; stretched on a slow one.
    """
    end = time.monotonic() + seconds + slack(grace)
    await eventually(lambda: time.monotonic() >= end, 2 * (seconds + grace) + 1)


def clean_environment(**settings: object) -> dict[str, str]:
    """This process's environment without its Hubbub settings, and with the given ones."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("HUBBUB_")}
    environ["PYTHONUNBUFFERED"] = "1"
    environ["PYTHONPATH"] = str(ROOT)
    # No test is to find the logins of whoever runs it; those that make some name another place.
    environ["XDG_DATA_HOME"] = str(Path(tempfile.gettempdir()) / "hubbub-has-no-logins-here")
    environ.update({f"HUBBUB_{key.upper()}": str(value) for key, value in settings.items()})
    return environ


def free_ports(count: int = 1) -> list[int]:
    """Consecutive TCP ports of 127.0.0.1 that nobody uses now."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            sockets[0].bind(("127.0.0.1", 0))
            first: int = sockets[0].getsockname()[1]
            try:
                for number, each in enumerate(sockets[1:], 1):
                    each.bind(("127.0.0.1", first + number))
            except (OSError, OverflowError):
                continue
            return list(range(first, first + count))
    raise AssertionError(f"no {count} free ports in a row")


class Process:
    """One process of ours, in its own process group, its output in a file."""

    def __init__(self, name: str, argv: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.argv = argv
        self.environ = dict(environ)
        self.log = log
        self.forgiven = False  # its troubles are part of the test
        self._popen: subprocess.Popen[bytes] | None = None
        self._begin = 0  # where the output of the running process begins

    def start(self) -> None:
        """Start it; at once, without waiting for anything."""
        assert not self.alive
        with self.log.open("ab") as out:
            self._begin = out.tell()
            self._popen = subprocess.Popen(
                self.argv,
                env=self.environ,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (or is stopped)."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs, or has not been started."""
        return self._popen.poll() if self._popen is not None else None

    def output(self, *, ever: bool = False) -> str:
        """What it wrote since its last start; `ever`: since the first."""
        if not self.log.exists():
            return ""
        data = self.log.read_bytes()
        return data[0 if ever else self._begin :].decode(errors="replace")

    async def line(self, pattern: str, within: float = START_WITHIN) -> re.Match[str]:
        """The first match of `pattern` in its output since its last start, when it comes.

        Raises:
            AssertionError: the process ended, or the time did, without one.
        """
        compiled = re.compile(pattern, re.M)

        def look() -> re.Match[str] | None:
            alive = self.alive
            found = compiled.search(self.output())
            if found is None and not alive:
                raise ProcessEndedError(f"{self.name} ended:\n{self.output()}")
            return found

        return await eventually(look, within, what=f"{pattern!r} from {self.name}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it must be alive."""
        assert self._popen is not None
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.kill()
            self._popen.wait()

    async def stop(self, within: float = STOP_WITHIN) -> int:
        """SIGTERM; its exit status. One that does not end in time is killed: -9."""
        if self._popen is None:
            return 0
        if self.alive:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
        try:
            await eventually(lambda: not self.alive, within, what=f"{self.name} ends at SIGTERM")
        except AssertionError:
            self.kill()
        return self._popen.wait()

    def troubles(self) -> list[str]:
        """The lines of its output, ever, that tell of a bug of ours."""
        found = [line for line in self.output(ever=True).splitlines() if _TROUBLE.search(line)]
        return [] if self.forgiven else found


class ProcessEndedError(Exception):
    """A process ended that was waited for: no use to wait on (hence no AssertionError)."""


class Cluster:
    """Brokers, workers and gateways over one data directory of their own.

    Every gateway has a port of its own, so that a test chooses where a client is, unless
    `one_port`: then they share one, as in a real cluster.
    """

    launcher: Sequence[str] = ("-m",)  # what follows `python`, before the kind of process

    def __init__(
        self,
        *,
        gateways: int = 1,
        brokers: int = 2,
        workers: int = 1,
        one_port: bool = False,
        python: str = sys.executable,
        **settings: object,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hub-"))  # short: unix socket paths end at 107
        self.data = self.root / "data"
        self.settings: dict[str, object] = {
            "brokers": max(brokers, 1),  # none: `bus` names others
            "data": self.data,
        } | settings
        self.one_port = one_port
        self.python = python
        self._ports: dict[Process, int] = {}
        self.brokers = [self._process("broker", number + 1) for number in range(brokers)]
        self.workers = [self._process("worker", number + 1) for number in range(workers)]
        self.gateways = [self._process("gateway", number + 1) for number in range(gateways)]
        self.others: list[Process] = []

    def _process(
        self, kind: str, number: int, *, prefix: Sequence[str] = (), **settings: object
    ) -> Process:
        name = f"{kind}-{number}"
        given = self.settings | {"listen": "127.0.0.1:0"} | settings
        argv = [*prefix, self.python, *self.launcher, kind, "--number", str(number)]
        return Process(name, argv, clean_environment(**given), self.root / f"{name}.log")

    @property
    def processes(self) -> list[Process]:
        """All of them, the dead ones too."""
        return [*self.brokers, *self.workers, *self.gateways, *self.others]

    async def start(self) -> None:
        """Start everything; returns when every process is ready."""
        for process in [*self.brokers, *self.workers]:
            process.start()
        first, rest = self.gateways[:1], self.gateways[1:]
        for process in first:
            process.start()
        if self.one_port and first:
            await self._listening(first[0])
        await asyncio.gather(*(self.start_gateway(gateway) for gateway in rest))
        await asyncio.gather(*(self.ready(process) for process in self.processes))

    async def start_gateway(self, gateway: Process) -> None:
        """Start it; on the common port if there is one, or on the port it had before."""
        host = gateway.environ["HUBBUB_LISTEN"].rpartition(":")[0]
        port = self._ports.get(gateway, 0)
        if self.one_port and gateway is not self.gateways[0]:
            port = self._ports[self.gateways[0]]
        gateway.environ["HUBBUB_LISTEN"] = f"{host}:{port}"
        gateway.start()

    async def _listening(self, gateway: Process) -> None:
        found = await gateway.line(r"what=listening address=[\d.]+:(\d+)")
        self._ports[gateway] = int(found[1])

    async def ready(self, process: Process) -> None:
        """Wait until a started process says that it is ready."""
        if process in self.gateways:
            await self._listening(process)
        await process.line(r"what=ready\b")

    async def add_gateway(self, *, prefix: Sequence[str] = (), **settings: object) -> Process:
        """One more gateway, started and ready. `prefix`: a command to run it with, as setpriv."""
        number = len(self.gateways) + 1
        gateway = self._process("gateway", number, prefix=prefix, **settings)
        self.gateways.append(gateway)
        await self.start_gateway(gateway)
        await self.ready(gateway)
        return gateway

    async def restart(self, process: Process) -> None:
        """Start a dead process again (a gateway on the port it had) and wait until it is ready."""
        if process in self.gateways:
            await self.start_gateway(process)
        else:
            process.start()
        await self.ready(process)

    def port(self, gateway: Process | int) -> int:
        """The port of one gateway, by handle or by number (from 0)."""
        return self._ports[self.gateways[gateway] if isinstance(gateway, int) else gateway]

    def address(self, gateway: Process | int = 0) -> Address:
        """(host, port) of one gateway."""
        process = self.gateways[gateway] if isinstance(gateway, int) else gateway
        return process.environ["HUBBUB_LISTEN"].rpartition(":")[0], self.port(gateway)

    def server(self, gateway: Process | int = 0) -> str:
        """The same as HOST:PORT."""
        host, port = self.address(gateway)
        return f"{host}:{port}"

    @property
    def active_worker(self) -> Process:
        """The worker that was the last to say it is active."""

        def said(worker: Process) -> str:
            found = re.findall(r"^(\S+) .*what=ready role=active\b", worker.output(), re.M)
            return str(max(found, default=""))

        return max((worker for worker in self.workers if worker.alive), key=said)

    def command(
        self, *arguments: str, gateway: Process | int = 0
    ) -> tuple[list[str], dict[str, str]]:
        """argv and environment of the `hubbub` command with this cluster as its server."""
        argv = [self.python, "-m", "hubbub", *arguments]
        return argv, clean_environment(data=self.data, server=self.server(gateway))

    async def stop(self, processes: Iterable[Process] | None = None) -> None:
        """End processes (all of them): clients' doors first, then what they speak through."""
        chosen = set(self.processes if processes is None else processes)
        for group in (self.gateways, self.workers, self.brokers, self.others):
            await asyncio.gather(*(each.stop() for each in group if each in chosen))

    def kill(self) -> None:
        """SIGKILL to whatever still runs."""
        for process in self.processes:
            process.kill()

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        self.kill()

    def outputs(self) -> list[tuple[str, str]]:
        """(name, all it ever wrote) of every process."""
        return [(each.name, each.output(ever=True)) for each in self.processes]

    def troubles(self) -> list[str]:
        """What no process may write, whatever a test did to it."""
        return [f"{each.name}: {line}" for each in self.processes for line in each.troubles()]

    def remove(self) -> None:
        """Delete its directory."""
        shutil.rmtree(self.root, ignore_errors=True)
