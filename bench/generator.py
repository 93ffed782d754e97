"""Building and running the two C programs of the benchmarks: the load generator and the floor."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
GIVE_UP = 60.0  # seconds beyond the measured ones


class Scenario(NamedTuple):
    """What the load generator does. `rate` 0: closed loop, one message in flight a member."""

    name: str
    rooms: int
    members: int
    rate: int

    def arguments(self, ports: Sequence[int], warm: float, seconds: float) -> list[str]:
        """The flags of bench/loadgen.c."""
        load = ["--rate", str(self.rate)] if self.rate else ["--closed"]
        return [
            *("--ports", ",".join(map(str, ports))),
            *("--rooms", str(self.rooms), "--members", str(self.members), *load),
            *("--warm", str(warm), "--seconds", str(seconds)),
        ]

    def __str__(self) -> str:
        load = f"{self.rate:,} msg/s" if self.rate else "closed loop, 1 in flight each"
        return f"{self.name}: {self.rooms:,} x {self.members:,} members, {load}"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("A", 1, 100, 200),
        Scenario("C", 100, 10, 2_000),
        Scenario("D", 1_000, 2, 2_000),
        Scenario("E", 1, 100, 0),
    )
}


class Result(NamedTuple):
    """What the generator saw, and the CPU seconds each watched process took meanwhile."""

    seen: dict[str, Any]
    cpu: dict[str, float]

    def micros(self, kind: str = "") -> float:
        """CPU microseconds per delivery of the processes whose name begins with `kind`."""
        spent = sum(seconds for name, seconds in self.cpu.items() if name.startswith(kind))
        deliveries: int = self.seen["deliveries"]
        return spent * 1e6 / deliveries if deliveries else float("nan")


def build(directory: Path) -> None:
    """Compile both programs into `directory`."""
    for name in ("loadgen", "floor"):
        target = directory / name
        subprocess.run(["cc", "-O2", "-o", target, HERE / f"{name}.c"], check=True)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all its threads, ended ones too, to the nanosecond."""
    # clock_getcpuclockid(3): how Linux makes the clock id of another process.
    return time.clock_gettime((~pid << 3) | 2)


async def run(
    programs: Path,
    scenario: Scenario,
    ports: Sequence[int],
    watched: Mapping[str, int],
    *,
    warm: float,
    seconds: float,
) -> Result:
    """Put the load of `scenario` on `ports`; `watched` are the servers' pids by name."""
    generator = await asyncio.create_subprocess_exec(
        programs / "loadgen",
        *scenario.arguments(ports, warm, seconds),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert generator.stderr is not None
    assert generator.stdout is not None
    marks: list[dict[str, float]] = []
    said: list[str] = []
    async with asyncio.timeout(warm + seconds + GIVE_UP):
        async for raw in generator.stderr:
            line = raw.decode().strip()
            if line in ("begin", "end"):
                marks.append({name: cpu_seconds(pid) for name, pid in watched.items()})
            else:
                said.append(line)
        output = await generator.stdout.read()
        if await generator.wait():
            raise RuntimeError(f"loadgen failed: {'; '.join(said)}")
    for line, count in {line: said.count(line) for line in said}.items():
        print(f"    generator: {line} ({count} times)")
    before, after = marks
    return Result(json.loads(output), {name: after[name] - before[name] for name in watched})


async def floor(
    programs: Path, scenario: Scenario, *, batch: bool, warm: float, seconds: float
) -> Result:
    """The same load on a server in C that only copies bytes to sockets."""
    flags = ["--batch"] if batch else []
    server = await asyncio.create_subprocess_exec(
        programs / "floor", *flags, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        watched = {"floor": server.pid}
        return await run(programs, scenario, [port], watched, warm=warm, seconds=seconds)
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


def machine() -> str:
    """One line about where this was measured."""
    return f"{os.cpu_count()} cores, Linux {os.uname().release}, {os.uname().machine}"
