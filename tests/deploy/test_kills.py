"""What is left when supervisord dies, and who cleans up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from deploy import processes
from tests.cluster.test_kills import said
from tests.deploy.site import SHIPPED, Site
from tests.support import eventually
from tests.swarm import Swarm


async def kill_supervisord(site: Site) -> None:
    pid = site.supervisord().pid
    os.kill(pid, signal.SIGKILL)
    await eventually(
        lambda: "supervisord" not in site.kinds(), 5, what="supervisord is gone, others stay"
    )


async def test_up_after_a_killed_supervisord_leaves_one_cluster(site: Site) -> None:
    """“After a supervisord killed with -9, `deploy/up` and `deploy/down` leave one and none.”"""
    await site.up()
    await kill_supervisord(site)
    left = site.kinds()
    assert left == {"broker": 2, "gateway": 2, "worker": 2}
    assert site.serves("gateway-1", "gateway-2"), "people talk on meanwhile"
    await site.up()
    assert site.kinds() == SHIPPED
    assert site.serves("gateway-1", "gateway-2")


async def test_nothing_is_lost_or_doubled_when_supervisord_is_killed_and_started_again(
    site: Site,
) -> None:
    """“`kill -9` of each kind of process (…, supervisord itself) under 200 messages/s from 50
    clients: nothing acknowledged is lost, nothing doubled, no order differs”"""
    await site.up()
    async with Swarm([f"127.0.0.1:{site.port}"], 50) as swarm:
        swarm.talk(rate=200)
        await said(swarm, 200)
        await kill_supervisord(site)
        await said(swarm, 200)
        await site.up()
        await said(swarm, 200)
        await swarm.finish()
        assert await swarm.faults() == []


async def test_down_after_a_killed_supervisord_leaves_none(site: Site) -> None:
    await site.up()
    await kill_supervisord(site)
    await site.down()
    assert site.kinds() == {}


async def test_nobody_elses_processes_are_ended(site: Site, another_site: Site) -> None:
    await asyncio.gather(site.up(), another_site.up())
    before = another_site.pids()
    await kill_supervisord(site)
    await site.down()
    assert site.kinds() == {}
    assert another_site.pids() == before
    assert another_site.kinds() == SHIPPED


async def test_down_ends_what_is_frozen(site: Site) -> None:
    await site.up()
    frozen = [site.supervisord().pid, site.pids()["gateway-1"]]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        done = await site.run("up")
        assert "does not answer" in done.sentence
        assert "deploy/down" in done.sentence
        await site.down()
        assert site.kinds() == {}
    finally:
        for pid in frozen:
            if processes.look(pid):
                os.kill(pid, signal.SIGCONT)


async def test_supervisord_by_hand_takes_over_from_a_killed_one(
    site: Site, clone: Callable[[], Path]
) -> None:
    """“a second start must neither double them nor fight for the port”, also without deploy/up."""
    site.root = clone()
    site.data = site.root / "var"
    await site.up()
    await kill_supervisord(site)
    by_hand = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "supervisor.supervisord",
        "-n",
        "-c",
        str(site.root / "supervisord.conf"),
        env=site.environment(data=""),
        cwd=site.root,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        def one_family() -> bool:
            members = site.members()
            parents = {process.parent for process in members if process.supervised}
            return site.kinds() == SHIPPED and parents == {by_hand.pid}

        await eventually(one_family, 15, what="one cluster, under the new supervisord")
        await eventually(lambda: site.serves("gateway-1", "gateway-2"), 15, what="it serves")
        by_hand.terminate()
        assert await by_hand.wait() == 0
        assert site.kinds() == {}
    finally:
        if by_hand.returncode is None:
            by_hand.kill()
            await by_hand.wait()
