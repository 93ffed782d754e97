"""How long the everyday commands take: `hubbub send`, and `deploy/up` on an installed tree."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.generator import machine
from tests.support import ROOT, Cluster, clean_environment, free_ports


def timed(argv: list[str], environ: dict[str, str]) -> float:
    """Seconds that a command takes, which must succeed."""
    before = time.monotonic()
    done = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return time.monotonic() - before


async def send(times: int) -> None:
    """`hubbub send`, on a cluster of its own."""
    cluster = Cluster(gateways=2, workers=2)
    try:
        await cluster.start()
        argv, environ = cluster.command("send", "lobby", "hello")
        took = [timed(argv, environ) for _ in range(times)]
        await cluster.stop()
    finally:
        cluster.kill()
        cluster.remove()
    median, worst = statistics.median(took), max(took)
    print(f"hubbub send: median {median * 1000:.0f} ms, worst of {times} {worst * 1000:.0f} ms")


def up(times: int) -> None:
    """`deploy/up` to serving, with everything installed, in a data directory of its own."""
    with tempfile.TemporaryDirectory(prefix="hub-") as directory:
        listen = f"127.0.0.1:{free_ports()[0]}"
        environ = clean_environment(data=Path(directory) / "data", listen=listen)
        environ.update({k: v for k, v in os.environ.items() if k == "HUBBUB_VENV"})
        took, again = [], []
        for _ in range(times):
            try:
                took.append(timed(["deploy/up"], environ))
                again.append(timed(["deploy/up"], environ))
            finally:
                timed(["deploy/down"], environ)
    print(
        f"deploy/up: median {statistics.median(took) * 1000:.0f} ms;"
        f" when it is up already {statistics.median(again) * 1000:.0f} ms"
    )


def main() -> int:
    """Always 0: the numbers are for people."""
    parser = argparse.ArgumentParser(prog="bench/send", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    print(machine())
    asyncio.run(send(options.times))
    up(max(1, options.times // 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
