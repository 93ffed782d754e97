"""The recorder sees whatever a program does to its files, and says so when it does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.power import recording
from tests.power.crash import Cut, Disk, Loss
from tests.power.recording import Recording, RecordingError
from tests.support import clean_environment

Record: TypeAlias = Callable[[str], Recording]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorder."""
    try:
        return recording.build(tmp_path_factory.mktemp("recorder"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory that is recorded."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def record(library: Path, data: Path, tmp_path: Path) -> Record:
    """Runs a program in that directory; what it did there."""

    def run(program: str) -> Recording:
        into = tmp_path / "recordings"
        into.mkdir()
        environ = clean_environment() | recording.environment(library, data, into)
        text = "import os, sys, signal\n" + textwrap.dedent(program)
        done = subprocess.run([sys.executable, "-c", text], cwd=data, env=environ, check=False)
        assert done.returncode in (0, -signal.SIGKILL)
        return recording.read(into)

    return run


def _played(recording: Recording) -> dict[str, bytes]:
    end = max(act.ended for act in recording.acts)
    files = Disk(recording).after(Cut(end, Loss.NONE, Loss.NONE, 0, ""))
    return {name: bytes(data) for name, data in files.items()}


def _there(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.iterdir() if path.is_file()}


PROGRAMS = {
    "positions": """
        fd = os.open("a", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"0123456789")
        os.pwrite(fd, b"ab", 4)
        os.writev(fd, [b"AB", b"", b"CD"])
        os.pwritev(fd, [b"x", b"y"], 20)
        os.lseek(fd, 1, os.SEEK_SET)
        os.write(fd, b"!")
    """,
    "appending": """
        for text in ("one", "two"):
            with open("a", "a") as file:
                file.write(text)
        fd = os.open("a", os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"three")
    """,
    "truncating": """
        for length in (100, 3, 5000):
            with open("a", "w") as file:
                file.write("x" * 1000)
                file.flush()
                os.ftruncate(file.fileno(), length)
        os.truncate("a", 4000)
        open("b", "w").write("b")
        open("b", "w").close()
    """,
    "copies of descriptors": """
        fd = os.open("a", os.O_RDWR | os.O_CREAT)
        other = os.dup(fd)
        os.close(fd)
        os.write(other, b"by dup")
        os.dup2(other, 50)
        os.write(50, b"by dup2")
        import fcntl
        os.write(fcntl.fcntl(50, fcntl.F_DUPFD, 60), b"by fcntl")
        import ctypes
        c = ctypes.CDLL(None)  # Python's own dup is an fcntl
        os.write(c.dup(50), b"by the other dup")
        os.write(c.dup3(50, 70, os.O_CLOEXEC), b"by dup3")
        os.write(c.dup2(50, 71), b"by the other dup2")
    """,
    "numbers of descriptors that are used again": """
        for close in (lambda fds: [os.close(fd) for fd in fds], lambda _: os.closerange(3, 100)):
            fds = [os.open("a", os.O_RDWR | os.O_CREAT) for _ in range(4)]
            os.write(fds[0], b"into the file")
            close(fds)
            ends = [os.pipe()[1] for _ in range(5)]
            assert set(ends) & set(fds)
            for end in ends:
                os.write(end, b"into a pipe")
            null = os.open("/dev/null", os.O_WRONLY)
            os.write(null, b"elsewhere")
            os.closerange(3, 100)
    """,
    "names": """
        for name in "abcd":
            open(name, "w").write(name * 3)
        os.rename("a", "e")
        os.replace("b", "c")
        os.unlink("d")
        open("d", "w").write("another")
        os.remove("d")
        directory = os.open(".", os.O_RDONLY)
        os.rename("e", "f", src_dir_fd=directory, dst_dir_fd=directory)
        os.close(os.open("g", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        os.unlink("g", dir_fd=directory)
    """,
    "a process that it starts": """
        import subprocess
        open("a", "w").write("mine")
        subprocess.run([sys.executable, "-c", "open('b', 'w').write('its')"], check=True)
        open("a", "a").write(" and mine")
    """,
    "SIGKILL": """
        fd = os.open("a", os.O_RDWR | os.O_CREAT)
        for number in range(1000):
            os.write(fd, b"%d," % number)
        os.kill(os.getpid(), signal.SIGKILL)
    """,
    "a database": """
        import sqlite3
        for mode in ("DELETE", "TRUNCATE", "WAL"):
            database = sqlite3.connect(mode + ".db")
            database.execute("PRAGMA journal_mode = " + mode)
            database.execute("CREATE TABLE t (x)")
            for _ in range(20):
                with database:
                    database.execute("INSERT INTO t VALUES (randomblob(3000))")
            with database:
                database.execute("DELETE FROM t WHERE rowid > 3")
            database.execute("VACUUM")
            database.close()
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_was_recorded_makes_the_same_directory(name: str, record: Record, data: Path) -> None:
    recorded = record(PROGRAMS[name])
    assert _there(data)
    assert _played(recorded) == _there(data)


@pytest.mark.parametrize(
    "program",
    [
        """
        import mmap
        fd = os.open("a", os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 4096)
        mmap.mmap(fd, 4096)[:4] = b"1234"
        """,
        "os.posix_fallocate(os.open('a', os.O_RDWR | os.O_CREAT), 0, 4096)",
        "open('a', 'w').close(); os.link('a', 'b')",
        """
        open("a", "w").write("x" * 100)
        os.sendfile(os.open("b", os.O_WRONLY | os.O_CREAT), os.open("a", os.O_RDONLY), 0, 100)
        """,
        """
        open("a", "w").write("x" * 100)
        os.copy_file_range(os.open("a", os.O_RDONLY), os.open("b", os.O_WRONLY | os.O_CREAT), 100)
        """,
        "open('../outside', 'w').close(); os.rename('../outside', 'a')",
    ],
    ids=["mmap", "fallocate", "link", "sendfile", "copy_file_range", "rename from outside"],
)
def test_what_it_does_not_understand_makes_the_recording_worthless(
    program: str, record: Record
) -> None:
    with pytest.raises(RecordingError):
        record(program)


def test_a_call_that_failed_has_done_nothing(record: Record) -> None:
    recorded = record(
        """
        fd = os.open("a", os.O_RDONLY | os.O_CREAT)
        for call, *arguments in (os.write, fd, b"x"), (os.unlink, "b"), (os.rename, "b", "c"):
            try:
                call(*arguments)
            except OSError:
                continue
            raise AssertionError
        """
    )
    assert _played(recorded) == {"a": b""}


def test_what_was_there_before_is_safe(library: Path, data: Path, tmp_path: Path) -> None:
    (data / "a").write_bytes(b"before")
    environ = clean_environment() | recording.environment(library, data, tmp_path)
    program = "with open('a', 'r+') as file: file.write('AFTER')"
    subprocess.run([sys.executable, "-c", program], cwd=data, env=environ, check=True)
    with pytest.raises(RecordingError):
        recording.read(tmp_path)
    recorded = recording.read(tmp_path, {"a": b"before"})
    assert _played(recorded) == {"a": b"AFTERe"} == _there(data)
    cut = Cut(recorded.acts[-1].ended, Loss.ALL, Loss.ALL, 0, "")
    assert Disk(recorded).after(cut) == {"a": b"before"}
