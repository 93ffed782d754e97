"""What server processes keep beside the database, and what they look at before they open it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

from hubbub import run_dir
from hubbub.errors import ConfigError
from tests.fuzz.files import InFiles
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.target import which
from worker import active, exits, lease, note, version

_REFUSALS = (
    "run_dir", "operator key", "newer Hubbub", "not a database", "malformed", "file is encrypted",
    "int()", "invalid literal", "infinity", "integer", "no such", "unsupported", "cannot",
)  # fmt: skip


class Kept(InFiles):
    """Files of a data directory: what they say, or nothing, or ConfigError.

    Of an input the first byte says which file it is; its end is what a start does with it.
    """

    name = "kept"
    modules = (run_dir, note, lease, version)
    most = 16 * 1024

    def __init__(self) -> None:
        super().__init__()
        words = [
            b"/run/user/0/hubbub-0-abc", b"/", b"..", b"\0", b"\n", b" ", b"\xff", b"-", b"_",
            b"9" * 30, b"9" * 5000, b"9007199254740992", b"2147483648", "٣".encode(), b"1 2 3",
            b"NULL", b"0003", b"1e999", b"SQLite format 3\0",
        ]  # fmt: skip
        self.mutators = (Bytes(words), Text(words))
        self._readers: Mapping[bytes, Callable[[bytes], Hashable]] = {
            b"d": self._run_dir, b"n": self._note, b"l": self._lock, b"b": self._beat,
            b"k": self._key, b"v": self._version, b"f": self._database,
        }  # fmt: skip
        self._lease = lease.Lease(self.directory)
        # Whoever is named in a lock file is not ended here.
        self._start_time, lease.start_time = lease.start_time, lambda pid: None
        self._database_file = self.directory / version.DATABASE
        self._made = sqlite3.connect(self.directory / "made.db", isolation_level=None)
        self._made.execute("CREATE TABLE alembic_version (version_num)")

    def close(self) -> None:
        lease.start_time = self._start_time
        self._lease.close()
        self._made.close()
        super().close()

    def seeds(self) -> Iterable[bytes]:
        yield from (b"d/run/user/1000/hubbub-1000-0123456789abcdef", b"d", b"d/tmp/x\n", b"drun")
        yield from (b"n7 3 1200\n", b"n7 3", b"n-1 2 3", b"n1_0 2 9007199254740992")
        yield from (b"l4711 8812345\n", b"l", b"l2147483648 1", "l٣ 1".encode(), b"lx y")
        yield from (b"b\0\0\0\0\0\0\0\x07", b"b\xff\xff\xff\xff\xff\xff\xff\xff", b"b\0")
        yield from (b"kf9aa-_key\n", b"k\xff", b"k\0", b"ka b")
        yield from (b"v0003", b"v9999", b"vx", b"v")
        yield b"f"
        yield b"f" + (self.directory / "made.db").read_bytes()[:2048]

    def run(self, data: bytes) -> Hashable:
        if data[:1] not in self._readers:
            return None
        try:
            return data[:1], self._read(data)
        except ConfigError as error:
            return data[:1], which(error, *_REFUSALS)

    def parse(self, data: bytes) -> object:
        try:
            return self._read(data)
        except ConfigError:
            return None

    def _read(self, data: bytes) -> Hashable:
        reader = self._readers.get(data[:1])
        return reader(data[1:]) if reader is not None else None

    def _write(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data)
        return path

    def _run_dir(self, data: bytes) -> Hashable:
        self._write("run_dir", data)
        found = run_dir.read(self.directory)
        if found is not None:
            assert found.is_absolute(), "the sockets would be where a process was started"
            assert run_dir.fits(found)
            os.path.lexists(found)  # no error of a path that is none
        return found is not None

    def _note(self, data: bytes) -> Hashable:
        found = note.read(self._write(active.NOTE_FILE, data))
        if found is not None:
            assert all(0 <= number < 2**53 for number in found), "cannot be stored"
        return found is not None

    def _lock(self, data: bytes) -> Hashable:
        self._write(lease.LOCK_FILE, data)
        assert self._lease.end_holder() is None
        return self._lease.holder() is not None

    def _beat(self, data: bytes) -> Hashable:
        self._write(lease.BEAT_FILE, data)
        other = lease.Lease(self.directory)
        try:
            before = other.read_beat()
            other.beat()
            assert other.read_beat() != before, "a standby would end the holder"
        finally:
            other.close()
        return before == 0

    def _key(self, data: bytes) -> Hashable:
        if not data.strip():
            return None  # one is made then, which waits for the disk
        self._write(active.KEY_FILE, data)
        return active.operator_key(self.directory).encode() in data

    def _version(self, data: bytes) -> Hashable:
        value: object = {b"NULL": None, b"1e999": float("inf")}.get(data, data)
        if isinstance(value, bytes) and value.isascii():
            value = value.decode()
        self._made.execute("DELETE FROM alembic_version")
        self._made.execute("INSERT INTO alembic_version VALUES (?)", (value,))
        return version.version_of(self.directory / "made.db") > 0

    def _database(self, data: bytes) -> Hashable:
        self._write(version.DATABASE, data)
        try:
            return version.version_of(self._database_file) > 0
        except sqlite3.OperationalError as error:
            if not exits.is_passing(error):
                raise
            return "passing"
