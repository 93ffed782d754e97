"""“one clear sentence, non-zero exit, nothing left running”"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.site import SHIPPED, Site, is_root
from tests.support import eventually, slack


def refused(site: Site) -> None:
    """Nothing is left of an attempt."""
    assert site.kinds() == {}


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEPORT,)])
async def test_a_port_that_a_stranger_holds(site: Site, options: tuple[int, ...]) -> None:
    with socket.socket() as stranger:
        for option in options:
            stranger.setsockopt(socket.SOL_SOCKET, option, 1)
        stranger.bind(("127.0.0.1", site.port))
        stranger.listen()
        done = await site.run("up")
    assert f"127.0.0.1:{site.port} is in use" in done.sentence
    assert "HUBBUB_LISTEN" in done.sentence
    refused(site)
    await site.up()


async def test_a_port_that_another_cluster_holds(site: Site, another_site: Site) -> None:
    """“by another cluster, which SO_REUSEPORT would let in silently”"""
    await site.up()
    pids = site.pids()
    another_site.port = site.port
    done = await another_site.run("up")
    assert f"in use by the cluster in {site.data.resolve()}" in done.sentence
    refused(another_site)
    assert site.pids() == pids
    assert site.kinds() == SHIPPED


@pytest.mark.parametrize("taken", [True, False])
async def test_a_cluster_that_runs_elsewhere_than_is_set(
    site: Site, another_site: Site, taken: bool
) -> None:
    """It was said to be up on an address that is another cluster's, or nobody's for 30 s."""
    if taken:
        await another_site.up()
    await site.up()
    pids = site.pids()
    done = await site.run("up", listen=f"127.0.0.1:{another_site.port}")
    assert f"runs on 127.0.0.1:{site.port}, " in done.sentence
    assert f"the settings say 127.0.0.1:{another_site.port}" in done.sentence
    assert f"HUBBUB_DATA={site.data.resolve()} deploy/down" in done.sentence
    assert done.seconds < slack(3)
    assert site.pids() == pids


async def test_a_cluster_that_stood_still_and_starts_elsewhere_than_is_set(
    site: Site, another_site: Site
) -> None:
    """Its supervisord keeps the settings that it was started with."""
    await another_site.up()
    await site.up(gateways=1)
    site.supervisor.stop("gateway-1")
    await eventually(lambda: not site.pids()["gateway-1"], 15, what="gateway-1 stops")
    done = await site.run("up", listen=f"127.0.0.1:{another_site.port}")
    assert f"runs on 127.0.0.1:{site.port}, " in done.sentence


async def test_a_cluster_whose_port_another_has_meanwhile_is_not_up(
    site: Site, another_site: Site
) -> None:
    """“Readiness must never take a stranger's cluster for its own”: gateways are called alike."""
    site.settings["log_level"] = "WARNING"  # so that only what answers tells
    await site.up(gateways=1)
    site.supervisor.stop("gateway-1")
    await eventually(lambda: not site.pids()["gateway-1"], 15, what="gateway-1 stops")
    another_site.port = site.port
    await another_site.up(gateways=1)
    done = await site.run("up")
    assert f"{site.port} is in use by another program" in done.sentence
    assert another_site.serves("gateway-1")


async def test_one_of_several_addresses_that_is_not_listened_on(site: Site) -> None:
    both = f"127.0.0.1:{site.port},127.0.0.2:{site.port}"
    await site.up(listen=both)
    assert "already" in (await site.up(listen=both)).out
    assert f"runs on {both}, " in (await site.run("up")).sentence
    await site.down()
    await site.up()
    assert f"the settings say {both}:" in (await site.run("up", listen=both)).sentence


async def test_an_address_of_another_machine(site: Site) -> None:
    done = await site.run("up", listen="192.0.2.1:7000")
    assert "192.0.2.1:7000" in done.sentence
    refused(site)


@pytest.fixture
def unwritable(directory: Path) -> Iterator[Path]:
    if is_root():
        yield Path("/proc/hubbub")  # permission bits do not stop root
    else:
        (directory / "closed").mkdir(mode=0o500)
        yield directory / "closed" / "data"


async def test_a_directory_that_cannot_be_written(site: Site, unwritable: Path) -> None:
    done = await site.run("up", data=unwritable)
    assert str(unwritable) in done.sentence
    done = await site.run("down", data=unwritable)
    assert done.status == 0


@pytest.mark.parametrize("name", ["100%", "semi;colon", 'quo"te'])
async def test_a_directory_that_supervisord_cannot_name(site: Site, name: str) -> None:
    done = await site.run("up", data=site.data / name)
    assert "supervisord" in done.sentence
    assert name in done.sentence


async def test_a_file_where_the_directory_should_be(site: Site) -> None:
    site.data.write_text("")
    done = await site.run("up")
    assert str(site.data) in done.sentence
    site.data.unlink()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"gateways": "many"}, "HUBBUB_GATEWAYS=many"),
        ({"gateways": "0"}, "HUBBUB_GATEWAYS=0"),
        ({"listen": "here"}, "'here' is not HOST:PORT"),
        ({"listen": "127.0.0.1:0"}, "fixed port"),
        ({"outbox_byte": "5000"}, "HUBBUB_OUTBOX_BYTE is unknown"),
        ({"config": "/nowhere.toml"}, "/nowhere.toml"),
    ],
)
async def test_a_setting_that_is_wrong(site: Site, settings: dict[str, object], word: str) -> None:
    done = await site.run("up", **settings)
    assert word in done.sentence
    refused(site)


async def test_a_process_that_refuses_to_start(site: Site) -> None:
    """“a TCP bus address off loopback without keys is refused at start”"""
    done = await site.run("up", bus_listen="tcp://0.0.0.0:17999,tcp://0.0.0.0:17989")
    assert "broker-" in done.sentence
    assert "keys" in done.sentence
    refused(site)


async def test_gateways_that_cannot_be_added_are_taken_back(site: Site) -> None:
    """The cluster goes on as it was."""
    await site.up()
    pids = site.pids()
    script = site.data / "programs" / "gateway-3.conf"
    script.mkdir()  # nothing can be written there
    done = await site.run("up", gateways=3)
    assert "gateway-3.conf" in done.sentence
    assert site.pids() == pids
    script.rmdir()
    await site.up(gateways=3)


async def test_a_too_old_python(site: Site, directory: Path) -> None:
    old = stub(directory / "python3.9", 'echo "3.9"')
    done = await site.run("up", python=old, venv=directory / "venv")
    assert "Python 3.9" in done.sentence
    assert "3.11 to 3.14" in done.sentence
    assert not (directory / "venv").exists()


async def test_no_python_at_all(site: Site, directory: Path) -> None:
    done = await site.run("up", python=directory / "nothing", venv=directory / "venv")
    assert "no Python" in done.sentence


async def test_a_python_without_ensurepip(site: Site, directory: Path) -> None:
    """“the exact package to install is named”"""
    poor = stub(
        directory / "python3",
        'case "$*" in *ensurepip*) echo "No module named ensurepip" >&2; exit 1 ;; esac; echo 3.12',
    )
    done = await site.run("up", python=poor, venv=directory / "venv")
    assert "python3.12-venv" in done.sentence
    assert not (directory / "venv").exists()


async def test_a_directory_that_is_no_environment_is_left_alone(
    site: Site, directory: Path
) -> None:
    precious = directory / "home"
    precious.mkdir()
    (precious / "letters").write_text("dear")
    done = await site.run("up", venv=precious)
    assert "HUBBUB_VENV" in done.sentence
    assert (precious / "letters").read_text() == "dear"


async def test_an_environment_that_cannot_be_written(site: Site) -> None:
    done = await site.run("up", venv="/proc/venv")
    assert "/proc/venv" in done.sentence


def stub(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
