"""Workers that start while the disk is full: they are to be started again, and then serve."""

from __future__ import annotations

import signal

import pytest

from hubbub.errors import ConfigError
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually
from worker import active
from worker.exits import TryLater

# As on a full disk: no file may grow beyond so many bytes.
NO_ROOM = (
    "import os, resource, sys;"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY));"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


async def starts_on_a_full_disk(cluster: Cluster, room: int) -> str:
    """Start the worker where files have room for so many bytes; what it says and ends with.

    Afterwards there is room again, and it has to serve.
    """
    worker = cluster.workers[0]
    worker.forgiven = True
    python, *arguments = worker.argv
    worker.log.unlink()
    worker.argv = [python, "-c", NO_ROOM, str(room), *arguments]
    worker.start()
    await eventually(lambda: not worker.alive)
    said = f"{worker.status} {worker.output()}"
    worker.argv = [python, *arguments]
    await cluster.restart(worker)
    return said


async def test_a_worker_that_starts_on_a_full_disk_is_to_be_started_again(
    make_cluster: ClusterFactory,
) -> None:
    """With 78 nobody would: a disk that was full for a moment left a cluster without an owner."""
    cluster = await make_cluster(gateways=0, brokers=1)
    cluster.workers[0].kill()
    # Not even what SQLite needs to look into its log.
    assert (await starts_on_a_full_disk(cluster, 0)).startswith("75 ")


async def test_so_is_one_that_has_no_room_for_its_key_or_its_lock(
    make_cluster: ClusterFactory,
) -> None:
    """The first start of all: there is no file yet."""
    cluster = await make_cluster(gateways=0, brokers=1)
    for room, names in ((0, ("hubbub.db",)), (20, ("hubbub.db", "operator.key"))):
        assert await cluster.workers[0].stop() == 0
        for name in names:
            (cluster.data / name).unlink()
        assert (await starts_on_a_full_disk(cluster, room)).startswith("75 ")


async def test_so_is_one_whose_database_has_no_room_to_become_a_newer_one(
    make_cluster: ClusterFactory,
) -> None:
    """What a migration leaves behind is what was there before: it can be tried again."""
    cluster = await make_cluster(gateways=0, brokers=1)
    assert await cluster.workers[0].stop() == 0
    (cluster.data / "hubbub.db").unlink()
    said = await starts_on_a_full_disk(cluster, 4096)
    assert said.startswith("75 ")
    assert 'what=database_failed why="the database could not be brought' in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("status", "raised"), [(75, TryLater), (-signal.SIGKILL, TryLater), (1, ConfigError)]
)
def test_how_a_migration_ended_says_whether_to_try_it_again(
    status: int, raised: type[Exception]
) -> None:
    """One that is killed, as when memory is short, changes nothing and is no fault of the data."""
    active.check_migration(0)
    with pytest.raises(raised):
        active.check_migration(status)
