"""What a delivery costs: CPU of all server processes, rate, latency, exactness, and the floor.

A cluster of its own, shaped like the shipped one, is put under the load of bench/loadgen.c; then
the same load goes to bench/floor.c, a server that only copies bytes. A sender's own copy is not
counted as a delivery.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.generator import SCENARIOS, Result, Scenario, build, floor, machine, run
from tests.support import Cluster

KINDS = ("gateway", "worker", "broker")


def report(scenario: Scenario, gateways: int, result: Result) -> None:
    """Print what one run of the cluster showed."""
    seen = result.seen
    kinds = ", ".join(f"{kind} {result.micros(kind):.2f}" for kind in KINDS)
    print(f"{scenario}; {gateways} gateway(s)")
    print(f"    {result.micros():8.2f} us CPU per delivery ({kinds})")
    print(
        f"    {seen['deliveries'] / seen['seconds']:8,.0f} deliveries/s;"
        f" p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms, max {seen['max_ms']:.1f} ms"
    )
    print(
        f"    lost {seen['lost']}, doubled {seen['doubled']}, out of order {seen['out_of_order']};"
        f" sent {seen['sent']:,}, acknowledged {seen['acked']:,}, refused {seen['refused']},"
        f" unsent {seen['unsent']}; generator {seen['generator_us']:.2f} us per delivery",
        flush=True,
    )


async def measure_cluster(
    programs: Path, scenario: Scenario, gateways: int, warm: float, seconds: float
) -> Result:
    """One scenario on a fresh cluster."""
    # Its few senders say more than any person may.
    cluster = Cluster(gateways=gateways, workers=2, say_rate=0)
    try:
        await cluster.start()
        ports = [cluster.port(number) for number in range(gateways)]
        watched = {process.name: process.pid for process in cluster.processes}
        result = await run(programs, scenario, ports, watched, warm=warm, seconds=seconds)
        await cluster.stop()
        for trouble in cluster.troubles():
            print(f"    TROUBLE {trouble}")
        return result
    finally:
        cluster.kill()
        cluster.remove()


async def measure(options: argparse.Namespace, programs: Path) -> bool:
    """Run what was asked for; True when every run was exact."""
    exact = True
    rows = []
    for name in options.scenarios.upper().split(","):
        scenario = SCENARIOS[name]
        for gateways in map(int, options.gateways.split(",")):
            result = await measure_cluster(
                programs, scenario, gateways, options.warm, options.seconds
            )
            report(scenario, gateways, result)
            seen = result.seen
            exact &= not (seen["lost"] or seen["doubled"] or seen["out_of_order"])
            rows.append(
                {"scenario": name, "gateways": gateways, "cpu": result.cpu}
                | {"us_per_delivery": result.micros()}
                | seen
            )
        if options.floor:
            bare, turn = [
                await floor(programs, scenario, batch=batch, warm=1, seconds=options.seconds / 2)
                for batch in (False, True)
            ]
            print(
                f"    floor: a bare send() per delivery {bare.micros():.2f} us,"
                f" one per receiver and turn {turn.micros():.2f} us",
                flush=True,
            )
            rows.append({"scenario": name, "send": bare.micros(), "batch": turn.micros()})
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return exact


def main() -> int:
    """Exit status 1 when anything was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(prog="bench/fanout", description=__doc__)
    parser.add_argument("--scenarios", default="A,E", help="of A, C, D and E, with ','")
    parser.add_argument("--gateways", default="1", help="how many, several with ',' (1,2,4)")
    parser.add_argument("--seconds", type=float, default=10, help="measured, per run")
    parser.add_argument("--warm", type=float, default=2, help="seconds before measuring")
    parser.add_argument("--no-floor", dest="floor", action="store_false")
    parser.add_argument("--json", help="write all numbers to this file, too")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as directory:
        build(Path(directory))
        return 0 if asyncio.run(measure(options, Path(directory))) else 1


if __name__ == "__main__":
    sys.exit(main())
