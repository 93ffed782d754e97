"""What a storm of logins does to the others: how fast they are answered before and while it rages.

Some people talk, each waiting for the answer. Then many accounts log in with their passwords, all
at once, from a process of its own; who is told to wait does so and asks again until let in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.generator import cpu_seconds, machine
from tests.native import AnsweredError, ClosedError, RawClient
from tests.support import ROOT, Address, Cluster

PASSWORD = "correct horse"
AT_ONCE = 50  # accounts that are made at the same time
PAUSE = 0.2  # seconds between an answer and what the same person says next
GIVE_UP = 120.0  # seconds until all of the storm must be in
TIMES, MORE = 3, 0.05  # so much the others' p99 may grow: by a factor, or by seconds


class Storm(NamedTuple):
    """What those who logged in saw."""

    let_in: int
    told_to_wait: int  # answers, not people: some are told twice
    broken: int  # connections that ended first
    seconds: float  # until the last was in


class Talk(NamedTuple):
    """How the others were served, and what the servers spent."""

    took: list[float]
    cpu: dict[str, float]
    seconds: float

    def at(self, share: float) -> float:
        """A quantile of the round trips."""
        return sorted(self.took)[min(len(self.took) - 1, int(share * len(self.took)))]

    def spent(self, kind: str) -> float:
        """CPU seconds a second of the processes of one kind."""
        return sum(cpu for name, cpu in self.cpu.items() if name.startswith(kind)) / self.seconds


# --- the storm, in its own process ------------------------------------------------------------


async def storm(addresses: Sequence[Address], count: int) -> Storm:
    """So many accounts log in at once; returns when all are in, or time is up."""
    told = broken = 0

    async def one(number: int, client: RawClient) -> RawClient:
        nonlocal told, broken
        while True:
            try:
                fields = {"name": account(number), "password": PASSWORD}
                await client.ask("login", id=os.urandom(16), within=GIVE_UP, **fields)
            except AnsweredError as error:
                if error.code != "limit":
                    raise
                told += 1
                await asyncio.sleep(error.frame["retry_after"])
            except ClosedError:
                broken += 1
                client = await RawClient.connect(addresses[number % len(addresses)])
            else:
                return client

    clients = [await RawClient.connect(addresses[n % len(addresses)]) for n in range(count)]
    before = time.monotonic()
    tasks = [asyncio.create_task(one(*each)) for each in enumerate(clients)]
    done, late = await asyncio.wait(tasks, timeout=GIVE_UP)
    seconds = time.monotonic() - before
    for task in late:
        task.cancel()
    for task in done:
        task.result().abort()
    return Storm(len(done), told, broken, seconds)


def account(number: int) -> str:
    """The name of an account."""
    return f"account-{number}"


async def storm_elsewhere(addresses: Sequence[Address], count: int) -> Storm:
    """The same from another process, at low priority: clients are on other machines."""
    servers = ",".join(f"{host}:{port}" for host, port in addresses)
    argv = ["-m", "bench.login", "--storm", servers, "--logins", str(count)]
    process = await asyncio.create_subprocess_exec(
        "nice", sys.executable, *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return Storm(*json.loads(output))


# --- the others -------------------------------------------------------------------------------


async def make_accounts(addresses: Sequence[Address], count: int) -> None:
    """Register `account-0` and so on."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(number: int) -> None:
        async with gate:
            address = addresses[number % len(addresses)]
            client = await RawClient.open(address, account(number), visible=False)
            await client.ask("register", id=os.urandom(16), password=PASSWORD, within=60)
            await client.close()

    await asyncio.gather(*(make(number) for number in range(count)))


class Others:
    """People who talk in rooms of two, each waiting for the answer before the next word."""

    def __init__(self, clients: Sequence[RawClient]) -> None:
        self._clients = clients

    @classmethod
    async def come(cls, addresses: Sequence[Address], people: int) -> Others:
        """They join their rooms."""
        clients = []
        for number in range(people):
            client = await RawClient.open(addresses[number % len(addresses)], f"p{number}")
            await client.join(f"room-{number // 2}")
            clients.append(client)
        return cls(clients)

    async def talk(self, cluster: Cluster, until: asyncio.Event) -> Talk:
        """Measure until told to end."""
        took: list[float] = []

        async def one(number: int, client: RawClient) -> None:
            await asyncio.sleep(PAUSE * number / len(self._clients))  # not all at the same moment
            while not until.is_set():
                before = time.monotonic()
                await client.say(f"room-{number // 2}", "hello")
                took.append(time.monotonic() - before)
                client.seen.clear()
                await asyncio.sleep(PAUSE)

        pids = {process.name: process.pid for process in cluster.processes}
        began, spent = time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()}
        await asyncio.gather(*(one(*each) for each in enumerate(self._clients)))
        cpu = {name: cpu_seconds(pid) - spent[name] for name, pid in pids.items()}
        return Talk(took, cpu, time.monotonic() - began)


async def measure(options: argparse.Namespace) -> bool:
    """True when the others were hardly disturbed and all of the storm got in."""
    cluster = Cluster(gateways=2, workers=2)
    try:
        await cluster.start()
        addresses = [cluster.address(number) for number in range(2)]
        await make_accounts(addresses, options.logins)
        others = await Others.come(addresses, options.people)
        calm, over = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(options.seconds, calm.set)
        before = await others.talk(cluster, calm)
        talking = asyncio.create_task(others.talk(cluster, over), name="others")
        seen = await storm_elsewhere(addresses, options.logins)
        over.set()
        during = await talking
        await cluster.stop()
        for trouble in cluster.troubles():
            print(f"    TROUBLE {trouble}")
    finally:
        cluster.kill()
        cluster.remove()
    return report(options, before, during, seen)


def report(options: argparse.Namespace, before: Talk, during: Talk, seen: Storm) -> bool:
    """Print both side by side; True when nobody was hurt."""
    print(f"{options.people} others say something every {PAUSE} s:")
    for when, talk in (("before", before), ("during", during)):
        print(
            f"    {when}: p50 {talk.at(0.5) * 1000:.1f} ms, p99 {talk.at(0.99) * 1000:.1f} ms,"
            f" max {max(talk.took) * 1000:.1f} ms of {len(talk.took):,} in {talk.seconds:.1f} s"
        )
    print(
        f"{options.logins} logins at once: {seen.let_in} let in within {seen.seconds:.1f} s,"
        f" {seen.told_to_wait} times told to wait, {seen.broken} connections ended meanwhile"
    )
    for kind in ("worker", "gateway", "broker"):
        more = (during.spent(kind) - before.spent(kind)) * during.seconds
        print(f"    {kind}: {more * 1000 / max(1, seen.let_in):.2f} ms CPU per login")
    p99 = before.at(0.99)
    return seen.let_in == options.logins and during.at(0.99) <= max(TIMES * p99, p99 + MORE)


def main() -> int:
    """Exit status 1 when the others were disturbed, or somebody did not get in."""
    parser = argparse.ArgumentParser(prog="bench/login", description=__doc__)
    parser.add_argument("--logins", type=int, default=500, help="at once")
    parser.add_argument("--people", type=int, default=20, help="who talk meanwhile")
    parser.add_argument("--seconds", type=float, default=10, help="measured before the storm")
    parser.add_argument("--storm", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.storm:
        servers = [server.rpartition(":") for server in options.storm.split(",")]
        addresses = [(host, int(port)) for host, _, port in servers]
        print(json.dumps(asyncio.run(storm(addresses, options.logins))))
        return 0
    print(machine())
    return 0 if asyncio.run(measure(options)) else 1


if __name__ == "__main__":
    sys.exit(main())
