"""What the idle cluster weighs: memory (sum of PSS) and CPU of its processes.

Of a cluster that runs already with --supervisord PIDFILE (supervisord and all its children), else
of one of its own, shaped like the shipped one but without supervisord. Ends with 1 when it is more
than docs/design.md promises.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from bench.generator import cpu_seconds, machine
from tests.faults.results import record
from tests.support import Cluster

MOST_MEMORY = 200.0  # MiB, of all together
MOST_CPU = 2.0  # per cent of a core, of all together


class Weight(NamedTuple):
    """Of all processes of a cluster together."""

    memory: float  # MiB
    cpu: float  # per cent of a core

    def findings(self) -> list[str]:
        """What is above the promise, in words."""
        found = []
        if self.memory > MOST_MEMORY:
            found.append(f"{self.memory:.1f} MiB, and {MOST_MEMORY:g} are promised")
        if self.cpu > MOST_CPU:
            found.append(f"{self.cpu:.2f} % of a core, and {MOST_CPU:g} are promised")
        return found


def pss(pid: int) -> int:
    """Bytes of memory of a process, shared pages divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss of process {pid}")


async def weigh(processes: dict[str, int], seconds: float) -> Weight:
    """Print memory now and CPU over the next `seconds`; return the sums."""
    before = {name: cpu_seconds(pid) for name, pid in processes.items()}
    await asyncio.sleep(seconds)
    total_memory, total_cpu = 0.0, 0.0
    for name, pid in processes.items():
        memory = pss(pid) / 2**20
        cpu = (cpu_seconds(pid) - before[name]) / seconds * 100
        total_memory += memory
        total_cpu += cpu
        print(f"{name:24} {memory:7.1f} MiB  {cpu:6.2f} % of a core")
    print(f"{'sum':24} {total_memory:7.1f} MiB  {total_cpu:6.2f} % of a core")
    return Weight(total_memory, total_cpu)


def family(pidfile: Path) -> dict[str, int]:
    """supervisord and all below it, by name."""
    found: dict[str, int] = {}
    waiting = [int(pidfile.read_text())]
    for pid in waiting:
        process = Path(f"/proc/{pid}")
        words = (process / "cmdline").read_text().split("\0")
        found[f"{pid} {' '.join(words[1:])[-18:]}"] = pid
        waiting += map(int, (process / f"task/{pid}/children").read_text().split())
    return found


async def measure(options: argparse.Namespace) -> Weight:
    """Weigh what was asked for."""
    if options.supervisord:
        return await weigh(family(options.supervisord), options.seconds)
    cluster = Cluster(gateways=2, workers=2, one_port=True)
    try:
        await cluster.start()
        await asyncio.sleep(3)  # start-up is not idling
        processes = {each.name: each.pid for each in cluster.processes}
        weight = await weigh(processes, options.seconds)
        await cluster.stop()
        return weight
    finally:
        cluster.kill()
        cluster.remove()


def main() -> int:
    """Weigh, and print; 1 when it is more than is promised."""
    parser = argparse.ArgumentParser(prog="bench/idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="over which CPU is measured")
    parser.add_argument("--supervisord", type=Path, help="its pid file: weigh that cluster")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    options = parser.parse_args()
    print(machine())
    weight = asyncio.run(measure(options))
    findings = weight.findings()
    for finding in findings:
        print(f"finding: {finding}")
    if options.record:
        name = "the shipped cluster" if options.supervisord else "without supervisord"
        record("idle", name, weight._asdict() | {"found": len(findings)})
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
