"""What a frozen gateway does to the others: their latency before and while it is frozen.

Three gateways; the load of scenario A runs on two of them, the third holds a few members of its
own and is stopped with SIGSTOP for the second half.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.generator import SCENARIOS, Result, build, machine, run
from tests.native import RawClient
from tests.support import Cluster


async def measure(options: argparse.Namespace, programs: Path) -> bool:
    """True when p99 while frozen is under max(2 x, + 25 ms) of p99 before, and all was exact."""
    cluster = Cluster(gateways=3, workers=2)
    try:
        await cluster.start()
        idle = [await RawClient.open(cluster.address(2)) for _ in range(10)]
        for client in idle:
            await client.join("lobby")

        async def load() -> Result:
            ports = [cluster.port(0), cluster.port(1)]
            return await run(programs, SCENARIOS["A"], ports, {}, warm=1, seconds=options.seconds)

        before = await load()
        cluster.gateways[2].freeze()
        while_frozen = await load()
        cluster.gateways[2].thaw()
        for client in idle:
            client.abort()
    finally:
        cluster.kill()
        cluster.remove()
    exact = True
    for when, result in (("before", before), ("frozen", while_frozen)):
        seen = result.seen
        exact &= not (seen["lost"] or seen["doubled"] or seen["out_of_order"])
        print(
            f"{when}: p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms,"
            f" max {seen['max_ms']:.1f} ms, lost {seen['lost']}, doubled {seen['doubled']},"
            f" out of order {seen['out_of_order']}"
        )
    p99 = before.seen["p99_ms"]
    return exact and while_frozen.seen["p99_ms"] <= max(2 * p99, p99 + 25)


def main() -> int:
    """Exit status 1 when the others were disturbed."""
    parser = argparse.ArgumentParser(prog="bench/frozen", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of each half")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as directory:
        build(Path(directory))
        return 0 if asyncio.run(measure(options, Path(directory))) else 1


if __name__ == "__main__":
    sys.exit(main())
