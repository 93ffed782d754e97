"""The lock, the beat, and the end of a holder that hangs, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, eventually
from worker.lease import BEAT_FILE, LOCK_FILE, Lease, Watch, start_time

HOLD = """
import sys, time, subprocess
from pathlib import Path
from worker.lease import Lease
lease = Lease(Path(sys.argv[1]))
assert lease.try_take()
child = subprocess.Popen(["sleep", "60"], close_fds=False) if "child" in sys.argv else None
print("held", child.pid if child else 0, flush=True)
while True:
    lease.beat()
    time.sleep(0.05)  # poll
"""

Hold = Callable[..., "tuple[subprocess.Popen[str], int]"]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """Starts a process that holds the lease of `tmp_path`; also says which child it has."""
    started: list[subprocess.Popen[str]] = []
    children: list[int] = []

    def start(*flags: str) -> tuple[subprocess.Popen[str], int]:
        argv = [sys.executable, "-c", HOLD, str(tmp_path), *flags]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        word, child = process.stdout.readline().split()
        assert word == "held"
        children.append(int(child))
        return process, int(child)

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    for child in children:
        if child:
            os.kill(child, signal.SIGKILL)


async def test_one_holds_it_and_its_death_frees_it(tmp_path: Path, hold: Hold) -> None:
    """“One active, a standby that takes over.”"""
    holder, _ = hold()
    lease = Lease(tmp_path)
    assert not lease.try_take()
    holder.kill()
    await eventually(lease.try_take, 2.0)
    assert lease.holder() == (os.getpid(), start_time(os.getpid()))
    lease.close()


async def test_a_child_of_the_holder_does_not_inherit_it(tmp_path: Path, hold: Hold) -> None:
    """“The lock is on a file of its own that no child inherits.”"""
    holder, child = hold("child")
    lease = Lease(tmp_path)
    holder.kill()
    await eventually(lease.try_take, 2.0)
    os.kill(child, 0)
    lease.close()


async def test_a_frozen_holder_is_ended(tmp_path: Path, hold: Hold) -> None:
    """“A standby that sees it unchanged ends the holder (by pidfd, start time checked).”"""
    holder, _ = hold()
    lease, watch = Lease(tmp_path), Watch(1.0)
    seen = lease.read_beat()
    await eventually(lambda: lease.read_beat() > seen)
    assert not any(watch.tick(lease.read_beat() + n) for n in range(20))
    holder.send_signal(signal.SIGSTOP)
    await eventually(lambda: watch.tick(lease.read_beat()), 2.0)
    assert not lease.try_take()
    assert lease.end_holder() == holder.pid
    assert lease.try_take()
    lease.close()


def test_a_stranger_that_got_the_pid_is_left_alone(tmp_path: Path) -> None:
    """“Start time checked”: a pid passes on."""
    stranger = subprocess.Popen(["sleep", "60"])
    lease = Lease(tmp_path)
    began = start_time(stranger.pid)
    assert began is not None
    (tmp_path / LOCK_FILE).write_text(f"{stranger.pid} {int(began) - 1}\n")
    assert lease.end_holder() is None
    assert stranger.poll() is None
    own = f"{os.getpid()} {start_time(os.getpid())}"
    for written in ("", "x y", own, "1 2 3", f"{2**31} 1", "9" * 60 + " 1"):
        (tmp_path / LOCK_FILE).write_text(written)
        assert lease.end_holder() is None
    lease.close()
    stranger.kill()
    stranger.wait()


def test_a_beat_that_stands_still_is_counted_in_own_ticks() -> None:
    """“Unchanged for 4 s of its own ticks”: a machine that slept has no hanging worker."""
    watch = Watch(4.0)
    assert [watch.tick(7) for _ in range(17)] == [False] * 16 + [True]
    assert [watch.tick(7) for _ in range(16)] == [False] * 15 + [True]
    for _ in range(15):
        assert not watch.tick(8)
    assert not watch.tick(9)


def test_the_beat_goes_on_where_the_last_holder_stopped(tmp_path: Path) -> None:
    """A new holder that begins at the old number would look like one that hangs."""
    one = Lease(tmp_path)
    one.try_take()
    for _ in range(5):
        one.beat()
    one.close()
    two = Lease(tmp_path)
    before = two.read_beat()
    two.try_take()
    assert two.read_beat() > before
    two.close()


def test_the_beat_goes_on_after_the_greatest_number(tmp_path: Path) -> None:
    """Whatever is in the file: a worker that cannot beat serves nobody."""
    (tmp_path / BEAT_FILE).write_bytes(b"\xff" * 8)
    lease = Lease(tmp_path)
    assert lease.try_take()
    assert lease.read_beat() == 0
    lease.close()


async def test_a_new_holder_beats_while_it_has_no_loop_and_no_longer(tmp_path: Path) -> None:
    """Or a standby on a busy machine would take it for one that hangs, and it the next one."""
    lease = Lease(tmp_path)
    assert lease.try_take()
    with lease.beating():
        before = lease.read_beat()
        await eventually(lambda: lease.read_beat() >= before + 3)
    after = lease.read_beat()
    assert not any(thread.name == "beat" for thread in threading.enumerate())
    assert lease.read_beat() == after
    lease.close()
