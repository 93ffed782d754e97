"""`deploy/up` and `deploy/down` on a machine where all is well."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import hubbub
from tests.deploy.site import SHIPPED, Site
from tests.support import eventually, slack


async def test_up_serves_says_where_and_down_leaves_nothing(site: Site) -> None:
    """“waits until the cluster really serves, prints addresses and the next command to type”"""
    done = await site.up()
    assert site.serves("gateway-1", "gateway-2")
    assert f"127.0.0.1:{site.port}" in done.out
    assert f"hubbub chat --server 127.0.0.1:{site.port} --name YOU --room lobby" in done.out
    assert site.kinds() == SHIPPED
    assert site.data.stat().st_mode & 0o777 == 0o700
    done = await site.down()
    assert "down" in done.out
    assert site.kinds() == {}
    assert "not running" in (await site.down()).out


async def test_what_up_says_to_stop_it_with_stops_it_from_a_new_shell(
    site: Site, clone: Callable[[], Path]
) -> None:
    """Nothing is set there: `deploy/down` alone would stop the cluster in `var`."""
    site.root = clone()
    site.data = site.data / "with space & $HOME"
    (stop,) = re.findall(r"^Stop:  (.*)$", (await site.up()).out, re.M)
    await asyncio.to_thread(
        subprocess.run,
        ["sh", "-c", stop],
        cwd=site.root,
        env=site.environment(data="", listen=""),
        check=True,
    )
    assert site.kinds() == {}


async def test_an_installed_tree_serves_within_three_seconds(site: Site) -> None:
    """“`deploy/up` on an installed tree under 3 s to serving”"""
    took = []
    for _ in range(3):  # the best of three: the machine may have other work
        took.append((await site.up()).seconds)
        await site.down()
        if took[-1] < slack(3):
            return
    raise AssertionError(f"took {took}")


async def test_a_second_up_is_quick_and_changes_nothing(site: Site) -> None:
    """“Run again, it is quick and says that it is up.”"""
    await site.up()
    pids = site.pids()
    done = await site.up()
    assert "already" in done.out
    assert done.seconds < slack(1)
    assert site.pids() == pids
    # The look that it takes leaves no guest behind.
    client = hubbub.connect(f"127.0.0.1:{site.port}", visible=False)
    async with client:
        assert (await client.status()).sessions == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", "127.1"])
async def test_however_its_address_is_written_it_is_up_already(site: Site, host: str) -> None:
    listen = f"{host}:{site.port}"
    await site.up(listen=listen, gateways=1)
    done = await site.up(listen=listen)
    assert f"up already: 1 gateway on {listen}, " in done.out


async def test_more_gateways_are_added_and_nobody_else_is_touched(site: Site) -> None:
    """“`HUBBUB_GATEWAYS=4 deploy/up` adds the missing gateways and touches no other process.”"""
    await site.up()
    before = site.pids()
    done = await site.up(gateways=4)
    assert "gateway-3 gateway-4 added" in done.out
    after = site.pids()
    assert set(after) - set(before) == {"gateway-3", "gateway-4"}
    assert before.items() <= after.items()
    assert site.serves("gateway-1", "gateway-2", "gateway-3", "gateway-4")
    # What was added stays, also for one who does not ask for it.
    assert "4 gateways" in (await site.up()).out
    assert "none was stopped" in (await site.up(gateways=1)).out
    assert site.pids() == after
    await site.down()
    assert site.kinds() == {}
    # The added ones belonged to that run.
    assert "2 gateways" in (await site.up()).out


@pytest.mark.parametrize("gateways", [1, 3])
async def test_the_number_of_gateways_is_a_setting(site: Site, gateways: int) -> None:
    """“`HUBBUB_GATEWAYS` sets how many gateways start”"""
    await site.up(gateways=gateways)
    assert site.kinds() == SHIPPED | {"gateway": gateways}


async def test_what_stands_still_is_started_again(site: Site) -> None:
    await site.up()
    before = site.pids()
    site.supervisor.stop("gateway-2")
    await eventually(lambda: not site.pids()["gateway-2"], 15, what="gateway-2 stops")
    await site.up()
    after = site.pids()
    assert site.serves("gateway-2")
    assert {name for name in after if after[name] != before[name]} == {"gateway-2"}


@pytest.mark.parametrize("program", ["gateway-1", "worker-1", "broker-1"])
async def test_who_is_killed_comes_back_however_often(site: Site, program: str) -> None:
    await site.up()
    pid = site.pids()[program]
    for _ in range(5):
        os.kill(pid, signal.SIGKILL)
        pid = await site.comes_back(program, pid)
    await eventually(lambda: site.serves("gateway-1", "gateway-2"), 10, what="it serves again")


async def test_who_ends_by_a_stray_signal_comes_back(site: Site) -> None:
    """Nobody asked supervisord for it, so the cluster must not stay one short."""
    await site.up()
    pid = site.pids()["gateway-1"]
    os.kill(pid, signal.SIGTERM)
    await eventually(lambda: site.pids()["gateway-1"] not in (0, pid), 15, what="gateway-1 is back")


async def test_two_at_once_make_one_cluster(site: Site) -> None:
    one, other = await asyncio.gather(site.up(), site.up())
    assert sum("already" in done.out for done in (one, other)) == 1
    assert site.kinds() == SHIPPED


async def test_two_clusters_run_side_by_side(site: Site, another_site: Site) -> None:
    """“Two clusters run side by side on one machine when both settings differ”"""
    await asyncio.gather(site.up(), another_site.up())
    assert site.serves("gateway-1", "gateway-2")
    assert another_site.serves("gateway-1", "gateway-2")
    await site.down()
    assert site.kinds() == {}
    assert another_site.kinds() == SHIPPED
    assert another_site.serves("gateway-1", "gateway-2")


@pytest.mark.parametrize("name", ["x" * 150, "with space, comma & ünicode"])
async def test_the_data_directory_may_lie_anywhere(site: Site, name: str) -> None:
    """“a data directory path of 150 characters works” (unix socket paths end at 107 bytes)"""
    site.data = site.data / name
    await site.up(gateways=1)
    assert site.kinds() == SHIPPED | {"gateway": 1}
    await site.up(gateways=2)
    assert site.serves("gateway-1", "gateway-2")
    await site.down()
    assert site.kinds() == {}


async def test_a_relative_data_directory_is_where_the_user_stands(
    site: Site, directory: Path
) -> None:
    (directory / "link").symlink_to(directory)
    site.settings["data"] = os.path.relpath(directory / "link" / "data", "/")  # run() stands in /
    await site.up()
    assert site.kinds() == SHIPPED


async def test_one_more_by_hand_joins_and_is_not_stopped_unasked(site: Site) -> None:
    """“one more started by hand (`python -m gateway`) joins the running cluster on its port”"""
    await site.up()
    by_hand = await asyncio.create_subprocess_exec(
        f"{site.environment()['HUBBUB_VENV']}/bin/python",
        "-m",
        "gateway",
        "--number",
        "9",
        env=site.environment(),
        cwd=site.root,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: site.serves("gateway-9"), 10, what="gateway-9 is known")
        done = await site.down()
        assert f"process {by_hand.pid}" in done.out
        assert by_hand.returncode is None
        # Its port is the cluster's own.
        await site.up()
        assert site.kinds() == SHIPPED | {"gateway": 3}
    finally:
        by_hand.kill()
        await by_hand.wait()
