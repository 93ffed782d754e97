"""What the idle cluster weighs: memory (sum of PSS) and CPU of its processes.

Of a cluster that runs already with --supervisord PIDFILE (supervisord and all its children), else
of one of its own, shaped like the shipped one but without supervisord.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from bench.generator import cpu_seconds, machine
from tests.support import Cluster


def pss(pid: int) -> int:
    """Bytes of memory of a process, shared pages divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss of process {pid}")


async def weigh(processes: dict[str, int], seconds: float) -> None:
    """Print memory now and CPU over the next `seconds`."""
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


async def measure(options: argparse.Namespace) -> None:
    """Weigh what was asked for."""
    if options.supervisord:
        await weigh(family(options.supervisord), options.seconds)
        return
    cluster = Cluster(gateways=2, workers=2, one_port=True)
    try:
        await cluster.start()
        await asyncio.sleep(3)  # start-up is not idling
        await weigh({each.name: each.pid for each in cluster.processes}, options.seconds)
        await cluster.stop()
    finally:
        cluster.kill()
        cluster.remove()


def main() -> int:
    """Always 0: the numbers are for people."""
    parser = argparse.ArgumentParser(prog="bench/idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="over which CPU is measured")
    parser.add_argument("--supervisord", type=Path, help="its pid file: weigh that cluster")
    options = parser.parse_args()
    print(machine())
    asyncio.run(measure(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
